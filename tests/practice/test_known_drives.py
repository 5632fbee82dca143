"""What is known of a drive that need not be plugged in.

Owns: records of drives. Does not know: a state directory.
"""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from kinebackup.practice.known_drives import is_for_daemon
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
