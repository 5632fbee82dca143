"""What is known of a drive that need not be plugged in.

Owns: records of drives. Does not know: a state directory.
"""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kinebackup.errors import ConfigError, KineError, NotFound
from kinebackup.practice.known_drives import is_for_daemon, only_label
from kinebackup.state.records import Drive

REAL = Drive(
    label="CABINET",
    place="cabinet",
    simulated=False,
    repository="ab" * 16,
    enrolled_at=datetime(2040, 1, 1, tzinfo=UTC),
    header_generation=1,
)
SIMULATED = replace(REAL, label="DEMO", simulated=True)


@pytest.mark.parametrize(
    ("name", "records", "expected"),
    [
        ("CABINET", [REAL, SIMULATED], True),
        ("DEMO", [REAL, SIMULATED], False),
        ("CABINTE", [REAL, SIMULATED], False),
        (None, [REAL, SIMULATED], True),
        (None, [SIMULATED], False),
        (None, [], False),
    ],
)
def test_the_daemon_works_on_real_drives_only(name: str | None, records: list[Drive], expected: bool) -> None:
    assert is_for_daemon(name, records) is expected


def test_the_only_drive_that_is_plugged_in_need_not_be_named() -> None:
    assert only_label(["CABINET"], ["CABINET", "DOMICILE"]) == "CABINET"


@pytest.mark.parametrize(
    ("plugged_in", "known", "error", "message", "hint"),
    [
        (
            ["CABINET", "DOMICILE"],
            ["CABINET", "DOMICILE"],
            ConfigError,
            "several drives are plugged in: CABINET, DOMICILE",
            "say which one: --drive LABEL",
        ),
        ([], ["CABINET", "DOMICILE"], NotFound, "no drive is plugged in", "plug in one of: CABINET, DOMICILE"),
        ([], [], NotFound, "no drive has been enrolled yet", "prepare one with: kinebackup drive enroll"),
    ],
)
def test_where_the_choice_is_the_persons_it_is_said_what_there_is(
    plugged_in: list[str], known: list[str], error: type[KineError], message: str, hint: str
) -> None:
    with pytest.raises(error) as raised:
        only_label(plugged_in, known)
    assert (raised.value.message, raised.value.hint) == (message, hint)
