"""A verification while another process writes to the drive: what is new is not called damaged, and damage still is.

Owns: a backup, a prune or both at every moment of a verification. Does not know: what damage is (tests/engine/check).
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.small_practice import Office, open_office

from kinebackup.config import RetentionConfig
from kinebackup.engine import Budget
from kinebackup.errors import Locked
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import CancelToken, SilentMonitor, VerifyReport
from kinebackup.practice.access import open_to_read

FEW = RetentionConfig(keep_last=1, daily=0, weekly=0, monthly=0, yearly=0)


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """Three days, of which every file but one has changed since the first."""
    with open_office(tmp_path) as office:
        office.enroll("A")
        for day in range(3):
            _work(office, f"jour {day}")
            office.back_up("A")
            office.clock.forward(days=1)
        yield office


def _work(office: Office, text: str) -> None:
    for name in ("Dupont", "Durand"):
        (office.patients / name / "bilan.txt").write_text(f"{name}, {text}\n" * 50, encoding="utf-8")


def _verify(office: Office, at: int, act: Callable[[], object], *, again: bool = False) -> tuple[VerifyReport, bool]:
    """The verification looks at the clock before its first read and before each pack: at look number ``at`` (and with
    ``again`` at each) the other process acts. The report, and whether it acted.
    """
    looks = iter(range(10**6))
    acted = False

    def elapsed_s() -> float:
        nonlocal acted
        number = next(looks)
        if number == at or (again and number > at):
            acted = True
            act()
        return float(number)

    world = replace(office.world, elapsed_s=elapsed_s)
    request = VerifyJobRequest(Budget())
    drive = office.drive("A")
    report = run_verify(drive, office.computer, request, world, cancel=CancelToken(), monitor=SilentMonitor())
    return report, acted


def _moments(tmp_path: Path, act: Callable[[Office], object]) -> Iterator[tuple[Office, VerifyReport]]:
    """A verification of a fresh practice for each moment at which somebody may act."""
    at, acted = 0, True
    while acted:
        place = tmp_path / str(at)
        place.mkdir()
        with open_office(place) as office:
            office.enroll("A")
            for day in range(3):
                _work(office, f"jour {day}")
                office.back_up("A")
                office.clock.forward(days=1)
            report, acted = _verify(office, at, lambda: act(office))
            yield office, report
        at += 1
    assert at > 5


def _save(office: Office) -> None:
    _work(office, "pendant la vérification")
    office.back_up("A")


def _thin_out(office: Office) -> None:
    office.prune("A", FEW)


def _save_and_thin_out(office: Office) -> None:
    _save(office)
    _thin_out(office)


@pytest.mark.parametrize("act", [_save, _thin_out, _save_and_thin_out], ids=["backup", "prune", "backup and prune"])
def test_a_drive_that_another_run_changes_at_any_moment_is_sound_if_what_is_there_at_the_end_is(
    tmp_path: Path, act: Callable[[Office], object]
) -> None:
    for office, report in _moments(tmp_path, act):
        assert (report.result, report.problems) == ("ok", ())
        assert report.packs_checked <= report.packs_total
        root = office.place / "drives/A/KINEBACKUP"
        assert list((root / "damaged").iterdir()) == []


def test_a_backup_that_another_run_makes_meanwhile_is_proven_only_where_its_packs_were_read(tmp_path: Path) -> None:
    proven = 0
    for office, _report in _moments(tmp_path, _save):
        with open_to_read(office.drive("A"), office.computer, None) as opened:
            repository, state = opened.repository, office.computer.state
            newest = repository.snapshots().readable[-1].id
            unread = state.pack_coverage(repository.id, repository.packs).never_checked
        if newest in {found.snapshot for found in state.verified_snapshots(repository.id)}:
            proven += 1
            assert unread == 0
    assert proven > 0


def test_damage_is_told_although_the_drive_changed_meanwhile(office: Office) -> None:
    newest = max((office.place / "drives/A/KINEBACKUP/packs").glob("??/*"), key=lambda path: path.stat().st_mtime_ns)
    data = bytearray(newest.read_bytes())
    data[60] ^= 1
    newest.write_bytes(data)
    report, acted = _verify(office, 1, lambda: _save(office))
    assert acted
    assert report.result == "failed"
    assert newest.name in {problem.path.rpartition("/")[2] for problem in report.problems}
    assert [path.name for path in (office.place / "drives/A/KINEBACKUP/damaged").iterdir()] == [newest.name]


def test_a_drive_that_goes_on_changing_is_to_be_verified_again(office: Office) -> None:
    count = iter(range(1000))

    def act() -> None:
        _work(office, f"encore {next(count)}")
        office.back_up("A")
        office.clock.forward(days=1)
        _thin_out(office)

    with pytest.raises(Locked, match="changed the drive during the verification"):
        _verify(office, 0, act, again=True)
    assert list((office.place / "drives/A/KINEBACKUP/damaged").iterdir()) == []
