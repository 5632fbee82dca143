"""The table of notices: complete, and with words in both languages.

Owns: what every kind must have. Does not know: when a notice is due.
"""

import pytest

from kinebackup.errors import ExitCode
from kinebackup.i18n import set_language
from kinebackup.policy.notices import BEHAVIOUR, Button, Notice, NoticeKind
from kinebackup.texts.notices import button_text, notice_text


def test_every_kind_of_notice_has_its_row_and_no_row_is_left_over() -> None:
    assert tuple(BEHAVIOUR) == tuple(NoticeKind)


def test_a_family_of_reminders_is_named_after_one_of_its_own() -> None:
    families = {kind: row.reminder.family for kind, row in BEHAVIOUR.items() if row.reminder is not None}
    assert families == {
        NoticeKind.PLUG_IN_FIRST: NoticeKind.PLUG_IN,
        NoticeKind.PLUG_IN: NoticeKind.PLUG_IN,
        NoticeKind.OVERDUE: NoticeKind.PLUG_IN,
        NoticeKind.UNPLUG: NoticeKind.UNPLUG,
        NoticeKind.UNPLUG_TAKE_HOME: NoticeKind.UNPLUG,
        NoticeKind.ROTATE: NoticeKind.ROTATE,
        NoticeKind.BRING_BACK: NoticeKind.BRING_BACK,
        NoticeKind.TEST_WITH_CODE: NoticeKind.TEST_WITH_CODE,
        NoticeKind.PLUG_IN_BOTH: NoticeKind.PLUG_IN_BOTH,
    }
    for kind, named_after in families.items():
        assert BEHAVIOUR[named_after].reminder == BEHAVIOUR[kind].reminder


def test_a_reminder_can_be_put_off_and_a_failure_can_be_acknowledged() -> None:
    assert all(Button.LATER in row.buttons for row in BEHAVIOUR.values() if row.reminder is not None)
    assert all(Button.DONE in row.buttons for row in BEHAVIOUR.values() if row.ends == "acknowledged")


def test_which_notices_end_the_command_that_waits_and_with_which_exit_code() -> None:
    assert {kind: row.error.exit_code for kind, row in BEHAVIOUR.items() if row.error is not None} == {
        NoticeKind.PULLED: ExitCode.FAILED,
        NoticeKind.BUSY: ExitCode.FAILED,
        NoticeKind.STILL_BUSY: ExitCode.FAILED,
        NoticeKind.NOT_MOUNTED: ExitCode.FAILED,
        NoticeKind.IMPOSTOR: ExitCode.TARGET_REFUSED,
        NoticeKind.REFUSED: ExitCode.TARGET_REFUSED,
        NoticeKind.BACKUP_FAILED: ExitCode.FAILED,
        NoticeKind.CHECK_NOT_DONE: ExitCode.FAILED,
        NoticeKind.DRIVE_FULL: ExitCode.FAILED,
        NoticeKind.DRIVE_FAILED: ExitCode.FAILED,
        NoticeKind.SOURCE_SUSPICIOUS: ExitCode.FAILED,
        NoticeKind.DAMAGE_FOUND: ExitCode.CHECK_FAILED,
        NoticeKind.ALARM: ExitCode.FAILED,
    }


@pytest.mark.parametrize("language", ["en", "fr"])
@pytest.mark.parametrize("kind", NoticeKind)
def test_every_notice_is_a_title_and_two_short_sentences(kind: NoticeKind, language: str) -> None:
    set_language("fr" if language == "fr" else "en")
    try:
        for days in (1, 9):
            text = notice_text(Notice(kind, "CABINET", "DOMICILE", days, "nautilus", 3))
            assert len(text.title) <= 50
            assert not text.title.endswith(".")
            assert len(text.body) <= 130
            assert sum(text.body.count(stop) for stop in (". ", "? ", ".\n")) == 1
            assert text.body[-1] in ".?"
            assert "{" not in text.title + text.body
            assert "<" not in text.title + text.body
        labels = [button_text(button) for button in Button]
        assert len(set(labels)) == len(Button)
    finally:
        set_language("en")


def test_the_notices_people_see_most() -> None:
    assert notice_text(Notice(NoticeKind.PLUG_IN, "CABINET", days=1)).body == (
        "The last backup was made 1 day ago. Please plug in the drive CABINET."
    )
    set_language("fr")
    try:
        rotate = notice_text(Notice(NoticeKind.ROTATE, "A", other="B"))
        assert rotate.body == "Emportez le disque A à la maison. Rapportez le disque B au cabinet."
        safe = notice_text(Notice(NoticeKind.SAFE, "CABINET"))
        assert safe.body == "Vous pouvez débrancher le disque CABINET. Rangez-le ensuite."
        assert [button_text(button) for button in Button] == [
            "Sauvegarder maintenant",
            "Plus tard",
            "Éjecter",
            "C’est fait",
        ]
    finally:
        set_language("en")
