"""How long a pack is relied on unread: by when it was written, or verified, and by the configured number of days.

Owns: what a backup reads after so many days. Does not know: how a pack is read (tests/engine/backup).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import Office, open_office

from kinebackup.engine import Budget
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import CancelToken, SilentMonitor


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as office:
        office.keeps_parity = True  # else each pack is read, for its parity to be made
        office.enroll("A")
        office.back_up("A")
        as_of_now(office)
        yield office


def packs(office: Office) -> list[Path]:
    return [path for path in (office.place / "drives/A/KINEBACKUP/packs").glob("??/*") if path.is_file()]


def as_of_now(office: Office) -> None:
    """The clock of these tests is no computer's: what was written is given its time."""
    for pack in packs(office):
        os.utime(pack, (office.clock().timestamp(), office.clock().timestamp()))


def checked(office: Office) -> int:
    """How many packs this computer has read."""
    record = office.drive("A").record
    assert record is not None
    names = [path.name for path in packs(office)]
    state = office.computer.state
    return len(names) - state.pack_coverage(record.repository, names).never_checked  # type: ignore[arg-type]


def copy_a_file(office: Office, name: str) -> None:
    content = (office.patients / "Dupont" / "bilan.txt").read_bytes()
    (office.patients / "Dupont" / name).write_bytes(content)


@pytest.mark.parametrize(("days", "expected"), [(89, 0), (91, 1)])
def test_what_was_written_is_relied_on_for_ninety_days(office: Office, days: int, expected: int) -> None:
    office.clock.forward(days=days)
    copy_a_file(office, "copie.txt")
    office.back_up("A")
    assert checked(office) == expected


def test_what_was_verified_is_relied_on_for_as_long_again_and_what_a_backup_read_is_verified(office: Office) -> None:
    office.clock.forward(days=80)
    request = VerifyJobRequest(Budget())
    drive = office.drive("A")
    run_verify(drive, office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor())
    before = checked(office)
    office.clock.forward(days=80)
    for victim in packs(office):
        victim.write_bytes(victim.read_bytes()[:-1] + b"x")
        os.utime(victim, (0, 0))
    copy_a_file(office, "copie.txt")
    assert office.back_up("A").problems == ()  # verified 80 days ago
    assert checked(office) == before
    office.clock.forward(days=20)
    copy_a_file(office, "copie 2.txt")
    office.lose_parity()
    assert {problem.kind for problem in office.back_up("A").problems} == {"damaged"}


def test_a_pack_of_the_future_is_read_first(office: Office) -> None:
    office.clock.forward(days=-400)
    copy_a_file(office, "copie.txt")
    office.back_up("A")
    assert checked(office) == 1
