"""Damage that a backup met is remembered by this computer until a verification says that all is well.

Owns: what the status knows after a backup that came across damage. Does not know: what is damaged
(tests/engine/backup/test_damage_met.py).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import Office, open_office

from kinebackup.jobs.status import drive_history


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    with open_office(tmp_path) as office:
        yield office


def damage_known(office: Office) -> bool:
    record = office.drive("A").record
    assert record is not None
    return drive_history(record, office.computer.state).failed_check


def test_the_status_is_not_calm_after_a_backup_that_met_damage_until_a_verification_is(office: Office) -> None:
    office.enroll("A")
    office.back_up("A")
    written = office.clock().timestamp()
    packs = [path for path in (office.place / "drives/A/KINEBACKUP/packs").rglob("*") if path.is_file()]
    for pack in packs:
        data = bytearray(pack.read_bytes())
        data[60] ^= 1
        pack.write_bytes(data)
        os.utime(pack, (written, written))  # else this backup would read it before relying on it
    office.clock.forward(days=1)
    assert not damage_known(office)

    report = office.back_up("A")
    assert {problem.kind for problem in report.problems} == {"damaged"}
    assert damage_known(office)
    assert office.verify("A").result == "failed"
    office.clock.forward(days=1)
    assert office.back_up("A").problems == ()
    assert damage_known(office)  # mended for the newest backup; older ones may be affected

    assert office.verify("A").result == "ok"  # all of it was saved again
    assert not damage_known(office)
