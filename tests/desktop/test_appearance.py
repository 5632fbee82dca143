"""How notices look, on servers that can do much and on those that can do little."""

from collections.abc import Iterator

import pytest

from kinebackup.desktop.appearance import Appearance, Capabilities, ShownButton, appearance_of, refusal_of
from kinebackup.i18n import set_language
from kinebackup.policy.notices import Notice, NoticeKind

ALL = Capabilities()
NO_BUTTONS = Capabilities(buttons=False)
NO_MARKUP = Capabilities(markup=False)
CATEGORIES = {  # the Desktop Notifications Specification, "Categories"
    *("device", "device.added", "device.error", "device.removed"),
    *("transfer", "transfer.complete", "transfer.error"),
}


@pytest.fixture(autouse=True)
def french() -> Iterator[None]:
    set_language("fr")
    yield
    set_language("en")


def test_a_reminder_in_french() -> None:
    assert appearance_of(Notice(NoticeKind.PLUG_IN, "CABINET", days=2), ALL) == Appearance(
        summary="C’est l’heure de la sauvegarde",
        body="La dernière sauvegarde date d’il y a 2 jours. Branchez le disque CABINET, s’il vous plaît.",
        urgency=1,
        category="device",
        icon="drive-removable-media",
        timeout_ms=0,
        buttons=(ShownButton("later", "Plus tard"),),
    )


def test_the_two_buttons_of_a_drive_that_is_ready() -> None:
    assert appearance_of(Notice(NoticeKind.READY, "CABINET"), ALL).buttons == (
        ShownButton("back-up-now", "Sauvegarder maintenant"),
        ShownButton("eject", "Éjecter"),
    )


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_kind_has_a_title_a_body_and_a_category_of_the_specification(kind: NoticeKind) -> None:
    looks = appearance_of(Notice(kind, "CABINET", other="MAISON", days=3, program="nautilus", count=2), ALL)
    assert looks.summary
    assert looks.body
    assert looks.category in CATEGORIES
    assert not looks.summary.endswith(".")


@pytest.mark.parametrize("kind", list(NoticeKind))
def test_every_kind_fits_a_server_that_can_show_one_line_only(kind: NoticeKind) -> None:
    looks = appearance_of(Notice(kind, "CABINET", other="MAISON"), Capabilities(False, False, False))
    assert (looks.body, looks.buttons) == ("", ())
    assert " – " in looks.summary


def test_what_is_critical_says_so_and_stays() -> None:
    looks = appearance_of(Notice(NoticeKind.DAMAGE_FOUND, "CABINET"), ALL)
    assert (looks.urgency, looks.timeout_ms, looks.icon) == (2, 0, "dialog-error")


def test_safe_to_unplug_stays_until_somebody_comes_back() -> None:
    looks = appearance_of(Notice(NoticeKind.SAFE_TAKE_HOME, "MAISON"), ALL)
    assert (looks.urgency, looks.timeout_ms, looks.category) == (1, 0, "transfer.complete")


def test_what_is_of_passing_interest_may_go_by_itself() -> None:
    looks = appearance_of(Notice(NoticeKind.UP_TO_DATE, "CABINET"), ALL)
    assert (looks.urgency, looks.timeout_ms) == (0, -1)


def test_what_cannot_be_pressed_is_typed() -> None:
    looks = appearance_of(Notice(NoticeKind.READY, "CABINET"), NO_BUTTONS)
    assert looks.buttons == ()
    assert "kinebackup backup --drive CABINET" in looks.body


def test_a_label_with_a_space_is_typed_in_quotes() -> None:
    looks = appearance_of(Notice(NoticeKind.UNPLUG, "Disque 1"), NO_BUTTONS)
    assert "kinebackup drive eject 'Disque 1'" in looks.body


def test_a_program_that_is_called_like_markup_is_shown_as_it_is_called() -> None:
    notice = Notice(NoticeKind.BUSY, "CABINET", program='<a href="http://x.invalid">&</a>')
    assert '&lt;a href="http://x.invalid"&gt;&amp;&lt;/a&gt;' in appearance_of(notice, ALL).body


def test_without_markup_nothing_is_escaped() -> None:
    assert "<b>&</b>" in appearance_of(Notice(NoticeKind.BUSY, "CABINET", program="<b>&</b>"), NO_MARKUP).body


def test_a_title_has_no_markup_at_all() -> None:
    assert "<b>" in appearance_of(Notice(NoticeKind.READY, "<b>"), ALL).summary


@pytest.mark.parametrize("trick", ["a\nb", "a\r\nb", "a\x1bb", "a\u202eb", "a\u2066b", "a\x00b"])
def test_a_program_that_plays_with_lines_and_directions_gets_spaces(trick: str) -> None:
    assert "par a b." in appearance_of(Notice(NoticeKind.BUSY, "CABINET", program=trick), NO_MARKUP).body


def test_french_keeps_its_no_break_spaces() -> None:
    assert "\u00a0" in appearance_of(Notice(NoticeKind.TEST_WITH_CODE), ALL).body


def test_a_refusal_is_made_of_sentences() -> None:
    looks = refusal_of("no drive is called <X>", "plug one in", ALL)
    assert looks.body == "No drive is called &lt;X&gt;. Plug one in."
    assert refusal_of("it failed", "", NO_MARKUP).body == "It failed."
