"""What a partial verification reads first.

Owns: a drive with several packs, one of them marked. Does not know: how a pack is checked.
"""

from pathlib import Path

from small_practice import open_office

from kinebackup.archive.verify import Budget
from kinebackup.jobs.verify_job import VerifyWish, run_verify
from kinebackup.model import CancelToken, SilentMonitor, VerifyReport


def test_a_part_of_a_verification_begins_with_what_failed_before(tmp_path: Path) -> None:
    """A loose cable, or damage that a backup has mended: the next short verification tells, not the one in a year."""
    office = open_office(tmp_path)
    office.enroll("A")
    for day in range(4):
        (office.patients / "Dupont" / f"séance {day}.txt").write_text(f"Séance {day}\n" * 50, encoding="utf-8")
        office.back_up("A")
        office.clock.forward(days=1)

    def verify(budget: Budget) -> VerifyReport:
        wish = VerifyWish(budget)
        drive = office.drive("A")
        return run_verify(drive, office.practice, wish, office.world, cancel=CancelToken(), monitor=SilentMonitor())

    root = tmp_path / "drives" / "A" / "KINEBACKUP"
    packs = sorted(path.name for path in (root / "packs").glob("??/*"))
    assert len(packs) > 4
    verify(Budget())
    (root / "damaged").mkdir(exist_ok=True)
    (root / "damaged" / packs[-1]).touch()
    report = verify(Budget(size_bytes=1))
    assert not report.complete
    assert list((root / "damaged").iterdir()) == []
