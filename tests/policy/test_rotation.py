"""What is said first about the drives: every obstacle, their order, and the verdict."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinebackup.config import RotationConfig
from kinebackup.policy.rotation import DriveFacts, Freshness, StatusCode, StatusMessage, assess
from kinebackup.texts.status import text_of

NOW = datetime(2026, 11, 24, 17, 30, tzinfo=UTC)
RULES = RotationConfig(fresh_days=7, offsite_days=14, verify_days=30, restore_test_days=30)


def ago(days: float) -> datetime:
    return NOW - timedelta(days=days)


CABINET = DriveFacts(
    "CABINET", "cabinet", False, False, last_backup=ago(1), last_verify=ago(1), last_restore_test=ago(1)
)
DOMICILE = replace(CABINET, label="DOMICILE", place="domicile", last_backup=ago(8))
NEW = DriveFacts("NEW", "cabinet", False, False)


def first(*drives: DriveFacts) -> StatusMessage:
    assessment = assess(drives, RULES, now=NOW)
    assert not assessment.protected
    return assessment.headline


def test_no_drive_at_all() -> None:
    assessment = assess([], RULES, now=NOW)
    assert not assessment.protected
    assert not assessment.simulation
    assert assessment.headline == StatusMessage(StatusCode.NO_DRIVE)
    assert assessment.more == ()


def test_both_fresh_and_one_away_is_protected() -> None:
    assessment = assess([DOMICILE, CABINET], RULES, now=NOW)
    assert assessment.protected
    assert assessment.headline == StatusMessage(StatusCode.PROTECTED_BY_BOTH)
    assert assessment.more == ()
    assert [drive.label for drive in assessment.drives] == ["CABINET", "DOMICILE"]


def test_one_drive_protects_if_it_is_kept_away() -> None:
    assert assess([DOMICILE], RULES, now=NOW).headline == StatusMessage(StatusCode.PROTECTED_BY_ONE, "DOMICILE")
    assert first(CABINET) == StatusMessage(StatusCode.NO_DRIVE_AWAY)


def test_three_drives_are_counted() -> None:
    drives = [CABINET, DOMICILE, replace(DOMICILE, label="THIRD")]
    assert assess(drives, RULES, now=NOW).headline == StatusMessage(StatusCode.PROTECTED_BY_ALL, drives=3)


@pytest.mark.parametrize(
    ("drive", "days", "freshness"),
    [
        (CABINET, 7.9, Freshness.FRESH),
        (CABINET, 8, Freshness.STALE),
        (DOMICILE, 14.9, Freshness.FRESH),
        (DOMICILE, 15, Freshness.STALE),
        (CABINET, 0, Freshness.FRESH),
        (CABINET, -0.01, Freshness.FRESH),
        (CABINET, -1 / 24, Freshness.FRESH),
        (CABINET, -0.05, Freshness.FUTURE),
    ],
)
def test_the_place_of_a_drive_decides_how_old_its_backup_may_be(
    drive: DriveFacts, days: float, freshness: Freshness
) -> None:
    (status,) = assess([replace(drive, last_backup=ago(days))], RULES, now=NOW).drives
    assert status.freshness is freshness


def test_without_any_backup_the_drive_at_the_practice_is_asked_for() -> None:
    never = replace(NEW, label="A", place="domicile")
    assert first(never, NEW) == StatusMessage(StatusCode.NO_BACKUP_YET, "NEW")
    assert first(never, replace(NEW, present=True)) == StatusMessage(StatusCode.NO_BACKUP_YET_PLUGGED_IN, "NEW")


def test_when_every_drive_is_stale_the_days_are_those_of_the_newest_backup() -> None:
    stale = (replace(CABINET, last_backup=ago(9.5)), replace(DOMICILE, last_backup=ago(20)))
    assert first(*stale) == StatusMessage(StatusCode.NO_BACKUP_FOR_DAYS, "CABINET", days=9)
    assert assess(stale, RULES, now=NOW).more == (StatusMessage(StatusCode.DRIVE_AWAY_TOO_LONG, "DOMICILE", days=20),)


def test_a_stale_drive_that_is_plugged_in_is_the_one_to_use() -> None:
    stale = (replace(CABINET, last_backup=ago(9)), replace(DOMICILE, last_backup=ago(20), present=True))
    assert first(*stale) == StatusMessage(StatusCode.NO_BACKUP_FOR_DAYS_PLUGGED_IN, "DOMICILE", days=9)


def test_one_stale_drive_is_named_with_what_to_do() -> None:
    assert first(replace(CABINET, last_backup=ago(9)), DOMICILE) == StatusMessage(
        StatusCode.DRIVE_STALE, "CABINET", days=9
    )
    assert first(CABINET, replace(DOMICILE, last_backup=ago(16))) == StatusMessage(
        StatusCode.DRIVE_AWAY_TOO_LONG, "DOMICILE", days=16
    )
    assert first(CABINET, replace(DOMICILE, last_backup=ago(16), present=True)) == StatusMessage(
        StatusCode.DRIVE_STALE_PLUGGED_IN, "DOMICILE", days=16
    )
    assert first(CABINET, DOMICILE, NEW) == StatusMessage(StatusCode.DRIVE_NEVER_USED, "NEW")
    assert first(CABINET, DOMICILE, replace(NEW, present=True)) == StatusMessage(
        StatusCode.DRIVE_NEVER_USED_PLUGGED_IN, "NEW"
    )


def test_a_fresh_drive_that_is_plugged_in_must_be_unplugged_first() -> None:
    assert first(replace(CABINET, present=True), DOMICILE) == StatusMessage(StatusCode.UNPLUG, "CABINET")
    assert first(CABINET, replace(DOMICILE, present=True)) == StatusMessage(StatusCode.UNPLUG_AND_TAKE_AWAY, "DOMICILE")


def test_a_failed_check_comes_before_everything_but_a_wrong_clock() -> None:
    broken = replace(CABINET, failed_check=True, last_backup=ago(9))
    assert first(broken, DOMICILE) == StatusMessage(StatusCode.CHECK_FAILED, "CABINET")
    future = replace(DOMICILE, last_restore_test=ago(-1))
    assert first(broken, future) == StatusMessage(StatusCode.CLOCK_WRONG, "DOMICILE")


def test_what_another_drive_may_have_asks_for_both() -> None:
    broken = replace(CABINET, failed_check=True, to_take=True)
    assert first(broken, DOMICILE) == StatusMessage(StatusCode.PLUG_IN_BOTH, "CABINET", other="DOMICILE")
    for other in (replace(DOMICILE, last_backup=None), replace(DOMICILE, simulated=True)):
        assert first(broken, other) == StatusMessage(StatusCode.CHECK_FAILED, "CABINET")


def test_a_check_that_is_due_is_advice_and_does_not_change_the_verdict() -> None:
    drives = [
        replace(CABINET, last_verify=None, last_restore_test=None),
        replace(DOMICILE, last_verify=ago(31), last_restore_test=ago(45)),
    ]
    assessment = assess(drives, RULES, now=NOW)
    assert assessment.protected
    assert assessment.more == (
        StatusMessage(StatusCode.RESTORE_TEST_NEVER, "CABINET"),
        StatusMessage(StatusCode.VERIFY_NEVER, "CABINET"),
        StatusMessage(StatusCode.RESTORE_TEST_DUE, "DOMICILE", days=45),
        StatusMessage(StatusCode.VERIFY_DUE, "DOMICILE", days=31),
    )


def test_a_simulated_drive_does_not_protect_a_practice_with_a_real_one() -> None:
    simulated = replace(DOMICILE, simulated=True)
    assert first(CABINET, simulated) == StatusMessage(StatusCode.NO_DRIVE_AWAY)


def test_a_simulated_drive_does_not_spoil_the_verdict_on_the_real_ones() -> None:
    simulated = replace(NEW, simulated=True)
    assert assess([CABINET, DOMICILE, simulated], RULES, now=NOW).headline == StatusMessage(
        StatusCode.PROTECTED_BY_BOTH
    )


def test_simulated_drives_alone_are_judged_by_the_same_rules_and_never_protect() -> None:
    drives = [replace(CABINET, simulated=True, present=True), replace(DOMICILE, simulated=True, present=True)]
    assessment = assess(drives, RULES, now=NOW)
    assert (assessment.protected, assessment.simulation) == (False, True)
    assert assessment.headline == StatusMessage(StatusCode.ONLY_SIMULATED)
    stale = [replace(drive, last_backup=ago(20)) for drive in drives]
    assert first(*stale) == StatusMessage(StatusCode.NO_BACKUP_FOR_DAYS_PLUGGED_IN, "CABINET", days=20)


DRIVES = st.lists(
    st.builds(
        DriveFacts,
        label=st.sampled_from("ABCDEFGH"),
        place=st.sampled_from(["cabinet", "domicile"]),
        simulated=st.booleans(),
        present=st.booleans(),
        last_backup=st.none() | st.integers(-2, 40).map(ago),
        last_verify=st.none() | st.integers(-2, 40).map(ago),
        last_restore_test=st.none() | st.integers(-2, 40).map(ago),
        failed_check=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda drive: drive.label,
)


@given(DRIVES)
def test_protected_is_said_only_where_every_condition_holds(drives: list[DriveFacts]) -> None:
    assessment = assess(drives, RULES, now=NOW)
    real = [drive for drive in drives if not drive.simulated]
    fresh = {status.label for status in assessment.drives if status.freshness is Freshness.FRESH}
    if assessment.protected:
        assert real
        assert all(drive.label in fresh and not drive.present and not drive.failed_check for drive in real)
        assert any(drive.place == "domicile" for drive in real)
    assert assessment.protected == assessment.headline.code.value.startswith("protected-by-")
    assert assessment.headline not in assessment.more
    assert len(assessment.drives) == len(drives)


@given(DRIVES, st.randoms(use_true_random=False))
def test_the_order_of_the_drives_does_not_matter(drives: list[DriveFacts], random: Random) -> None:
    shuffled = list(drives)
    random.shuffle(shuffled)
    assert assess(shuffled, RULES, now=NOW) == assess(drives, RULES, now=NOW)


@given(DRIVES)
def test_whatever_is_said_has_words_with_nothing_left_to_fill_in(drives: list[DriveFacts]) -> None:
    assessment = assess(drives, RULES, now=NOW)
    for sentence in (assessment.headline, *assessment.more):
        text = text_of(sentence)
        assert "{" not in text
        assert text[0].isupper()
        assert not text.endswith(".")
        assert sentence.drive in text


def test_every_sentence_has_words() -> None:
    texts = [text_of(StatusMessage(code, drive="CABINET", days=9, drives=3)) for code in StatusCode]
    assert len(set(texts)) == len(StatusCode)


def test_the_sentences_people_see_most() -> None:
    assert text_of(StatusMessage(StatusCode.NO_BACKUP_FOR_DAYS, "CABINET", days=9)) == (
        "No backup for 9 days: plug in the drive CABINET"
    )
    assert text_of(StatusMessage(StatusCode.NO_BACKUP_FOR_DAYS, "CABINET", days=1)) == (
        "No backup for 1 day: plug in the drive CABINET"
    )
    assert text_of(StatusMessage(StatusCode.PROTECTED_BY_BOTH)) == (
        "You are protected: both drives are up to date, and one is away from the practice"
    )


def test_a_label_with_braces_is_only_a_label() -> None:
    assert text_of(StatusMessage(StatusCode.UNPLUG, "{days}")) == "The drive {days} is up to date: unplug it"


def test_what_the_last_backup_lacks_is_said_and_changes_no_verdict() -> None:
    assessment = assess([replace(DOMICILE, files_lost=3)], RULES, now=NOW)
    assert assessment.protected
    assert assessment.more == (StatusMessage(StatusCode.BACKUP_INCOMPLETE, "DOMICILE", files=3),)


def test_a_drive_that_is_ageing_is_named_first_of_all_advice_and_the_practice_stays_protected() -> None:
    ageing = replace(CABINET, health="replace", files_lost=1)
    assessment = assess([DOMICILE, ageing], RULES, now=NOW)
    assert assessment.protected
    assert [each.code for each in assessment.more] == [StatusCode.DRIVE_AGES, StatusCode.BACKUP_INCOMPLETE]
    assert assessment.more[0].drive == "CABINET"


def test_nothing_is_said_of_a_drive_that_is_only_watched() -> None:
    assert assess([DOMICILE, replace(CABINET, health="watch")], RULES, now=NOW).more == ()
