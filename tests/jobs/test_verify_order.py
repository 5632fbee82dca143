"""What a partial verification reads first.

Owns: a drive with several packs, one of them marked. Does not know: how a pack is checked.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.jobs.small_practice import Office, open_office

from kinebackup.engine.check.verify import Budget
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import CancelToken, FileName, SilentMonitor, VerifyReport


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Four days, each with a session and a backup."""
    with open_office(tmp_path) as office:
        office.enroll("A")
        for day in range(4):
            (office.patients / "Dupont" / f"séance {day}.txt").write_text(f"Séance {day}\n" * 50, encoding="utf-8")
            office.back_up("A")
            office.clock.forward(days=1)
        yield office


def test_a_part_of_a_verification_begins_with_what_failed_before(office: Office, tmp_path: Path) -> None:
    """A loose cable, or damage that a backup has mended: the next short verification tells, not the one in a year."""

    def verify(budget: Budget) -> VerifyReport:
        request = VerifyJobRequest(budget)
        drive = office.drive("A")
        return run_verify(drive, office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor())

    root = tmp_path / "drives" / "A" / "KINEBACKUP"
    packs = sorted(path.name for path in (root / "packs").glob("??/*"))
    assert len(packs) > 4
    verify(Budget())
    (root / "damaged").mkdir(exist_ok=True)
    (root / "damaged" / packs[-1]).touch()
    report = verify(Budget(size_bytes=1))
    assert not report.complete
    assert list((root / "damaged").iterdir()) == []


def _verify(office: Office, request: VerifyJobRequest) -> VerifyReport:
    drive = office.drive("A")
    return run_verify(drive, office.computer, request, office.world, cancel=CancelToken(), monitor=SilentMonitor())


def test_reading_back_reads_what_no_run_has_read_and_nothing_else(office: Office, tmp_path: Path) -> None:
    first = _verify(office, VerifyJobRequest(new_only=True))
    assert (first.result, first.complete, first.packs_checked) == ("ok", True, first.packs_total)
    (office.patients / "Durand" / "nouveau.txt").write_text("Nouveau\n" * 50, encoding="utf-8")
    before = {path.name for path in (tmp_path / "drives" / "A" / "KINEBACKUP" / "packs").glob("??/*")}
    office.back_up("A")
    after = {path.name for path in (tmp_path / "drives" / "A" / "KINEBACKUP" / "packs").glob("??/*")}
    second = _verify(office, VerifyJobRequest(new_only=True))
    assert (second.result, second.packs_checked) == ("ok", len(after - before))
    assert not second.complete
    assert _verify(office, VerifyJobRequest(new_only=True)).packs_checked == 0


def test_reading_back_finds_that_the_drive_kept_other_bytes(office: Office, tmp_path: Path) -> None:
    pack = max((tmp_path / "drives" / "A" / "KINEBACKUP" / "packs").glob("??/*"), key=lambda path: path.stat().st_size)
    pack.chmod(0o600)
    pack.write_bytes(pack.read_bytes()[:-40] + bytes(40))
    assert _verify(office, VerifyJobRequest(new_only=True)).result == "failed"


def test_eight_sessions_of_one_part_in_eight_read_the_whole_drive(office: Office, tmp_path: Path) -> None:
    _verify(office, VerifyJobRequest(new_only=True))
    before = office.clock()
    for _session in range(8):
        office.clock.forward(days=4)
        assert not _verify(office, VerifyJobRequest(one_in=8)).complete
    record = office.computer.state.drive("A")
    root = tmp_path / "drives" / "A" / "KINEBACKUP"
    packs = [FileName(path.name) for path in (root / "packs").glob("??/*")]
    oldest = office.computer.state.pack_coverage(record.repository, packs).oldest_check
    assert oldest is not None
    assert oldest > before
