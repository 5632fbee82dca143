"""Verification: nothing sound is accused, nothing damaged passes, and a budget goes on where it stopped.

Owns: orders, budgets, markers, what is said of damage. Does not know: every kind of damage (test_damage.py).
"""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    back_up,
    edit_patients,
    enroll,
    loaded,
    make_patients,
    noise,
    restored,
    verified,
)
from support.ports import Stopwatch

from kinebackup.engine.check.verify import Budget, Verification
from kinebackup.errors import Cancelled
from kinebackup.model import CancelToken, FileName, SilentMonitor, VerifyReport

MIB = 2**20


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> tuple[Drive, Path]:
    """Seven backups of a folder, and so at least seven packs; made once."""
    folder = tmp_path_factory.mktemp("verify")
    made, docs = enroll(folder / "drive"), folder / "docs"
    docs.mkdir()
    for number in range(7):
        (docs / f"{number}.bin").write_bytes(noise(str(number), 100_000))
        back_up(made, docs)
    return made, docs


@pytest.fixture
def drive(saved: tuple[Drive, Path], tmp_path: Path) -> Drive:
    """A copy of it, for one test to damage."""
    return saved[0].copied_to(tmp_path)


@pytest.fixture
def docs(saved: tuple[Drive, Path]) -> Path:
    return saved[1]


def check(
    drive: Drive,
    order: Sequence[str],
    budget: Budget = Budget(),  # noqa: B008 - frozen
    cancel: CancelToken | None = None,
) -> tuple[VerifyReport, list[tuple[str, bool]]]:
    """A verification in that order; the report and what was remembered of each pack."""
    heard: list[tuple[str, bool]] = []
    with loaded(drive) as repository:
        run = Verification(
            repository,
            [FileName(name) for name in order],
            budget,
            lambda name, ok: heard.append((name, ok)),
            cancel=cancel or CancelToken(),
            monitor=SilentMonitor(),
        )
        return run.run(Stopwatch()), heard


def packs(drive: Drive) -> list[str]:
    return [path.name for path in drive.files("packs")]


def content_pack(drive: Drive) -> Path:
    return max(drive.files("packs"), key=lambda path: path.stat().st_size)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def markers(drive: Drive) -> list[str]:
    return [path.name for path in drive.files("damaged")]


def test_a_sound_drive_passes_and_nothing_on_it_changes(drive: Drive) -> None:
    before = {path: path.read_bytes() for path in drive.files(".")}
    report, heard = check(drive, packs(drive))
    assert (report.result, report.complete, report.problems) == ("ok", True, ())
    assert report.packs_checked == report.packs_total == len(packs(drive))
    assert report.bytes_read == sum(path.stat().st_size for path in drive.files("packs"))
    assert sorted(heard) == [(name, True) for name in packs(drive)]
    assert {path: path.read_bytes() for path in drive.files(".")} == before


def test_an_empty_repository_passes(tmp_path: Path) -> None:
    report, heard = check(enroll(tmp_path / "empty"), [])
    assert (report.result, report.complete, report.packs_total, heard) == ("ok", True, 0, [])


# -- budgets -------------------------------------------------------------------------------------------------------


def test_a_budget_of_bytes_stops_early_and_takes_the_most_urgent_first(drive: Drive) -> None:
    sizes = {path.name: path.stat().st_size for path in drive.files("packs")}
    order = sorted((name for name in sizes if sizes[name] > 100_000), key=lambda name: name[::-1])
    assert len({sizes[name] for name in order}) == 1
    report, heard = check(drive, order, Budget(size_bytes=4 * sizes[order[0]]))
    assert (report.result, report.complete) == ("ok", False)
    # Two workers: one more may have begun when the budget was spent.
    assert 4 <= report.packs_checked <= 5
    assert {name for name, _ in heard} <= set(order[:5])


@pytest.mark.parametrize("budget", [Budget(size_bytes=0), Budget(duration_s=0), Budget(size_bytes=1, duration_s=1)])
def test_the_smallest_budget_still_gets_something_done(drive: Drive, budget: Budget) -> None:
    report, _ = check(drive, packs(drive), budget)
    assert 1 <= report.packs_checked <= 2
    assert not report.complete


def test_a_budget_of_time_stops_early(drive: Drive) -> None:
    report, _ = check(drive, packs(drive), Budget(duration_s=4))  # each look at the stopwatch takes a second
    assert not report.complete


def test_budgets_in_turn_come_round_to_every_pack(drive: Drive) -> None:
    """The caller keeps when each pack was last checked and gives the oldest first, as the state database does."""
    last: dict[str, int] = dict.fromkeys(packs(drive), 0)
    for turn in range(1, len(last) + 1):
        report, heard = check(drive, sorted(last, key=lambda name: (last[name], name)), Budget(size_bytes=1))
        assert report.result == "ok"
        last |= {name: turn for name, _ in heard}
    assert 0 not in last.values()


def test_a_cancelled_verification_remembers_what_it_read(drive: Drive) -> None:
    cancel = CancelToken()
    heard: list[str] = []

    class StopAtOnce(SilentMonitor):
        def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
            cancel.cancel()

    with loaded(drive) as repository:
        run = Verification(
            repository,
            [FileName(name) for name in packs(drive)],
            Budget(),
            lambda name, ok: heard.append(name),
            cancel=cancel,
            monitor=StopAtOnce(),
        )
        with pytest.raises(Cancelled):
            run.run(Stopwatch())
    assert 1 <= len(heard) <= 3


# -- damage --------------------------------------------------------------------------------------------------------


def test_damage_is_named_with_its_files_and_snapshots_and_marked(drive: Drive, docs: Path) -> None:
    bad = content_pack(drive)
    flip(bad, bad.stat().st_size // 2)
    report, heard = check(drive, packs(drive))
    assert report.result == "failed"
    assert dict(heard)[bad.name] is False
    assert sum(not ok for _, ok in heard) == 1
    assert markers(drive) == [bad.name]
    named = {problem.path for problem in report.problems}
    assert f"packs/{bad.name[:2]}/{bad.name}" in named
    assert len([path for path in named if path.startswith(f"{docs}/")]) == 1
    assert all(problem.snapshots for problem in report.problems)


def test_a_mark_goes_when_the_pack_is_sound_again(drive: Drive) -> None:
    bad = content_pack(drive)
    flip(bad, 1000)
    check(drive, packs(drive))
    assert markers(drive) == [bad.name]
    flip(bad, 1000)
    report, _ = check(drive, packs(drive))
    assert (report.result, markers(drive)) == ("ok", [])


def test_a_marked_pack_that_was_not_read_keeps_its_mark(drive: Drive) -> None:
    bad = content_pack(drive)
    flip(bad, 1000)
    check(drive, packs(drive))
    flip(bad, 1000)
    check(drive, [name for name in packs(drive) if name != bad.name])
    assert markers(drive) == [bad.name]


def test_the_next_backup_heals_what_the_source_still_has(drive: Drive, docs: Path, tmp_path: Path) -> None:
    bad = content_pack(drive)
    flip(bad, bad.stat().st_size // 2)
    assert verified(drive).result == "failed"
    report = back_up(drive, docs)
    assert report.bytes_written > 100_000
    assert restored(drive, tmp_path / "back").problems == ()


def test_two_packs_swapped_are_both_found_with_what_they_held(drive: Drive, docs: Path) -> None:
    """Each is sound in itself: only its name, and the index, tell that it is in another's place."""
    first, second = sorted(drive.files("packs"), key=lambda path: -path.stat().st_size)[:2]
    assert first.stat().st_size == second.stat().st_size
    held = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(held)
    report, heard = check(drive, packs(drive))
    assert {name for name, ok in heard if not ok} == {first.name, second.name}
    files = {problem.path for problem in report.problems if problem.path.startswith(f"{docs}/")}
    assert len(files) == 2


@pytest.mark.parametrize("at", [0, 7, 8, 12, 16, 47, 48, 100, -1, -8, -9, -30])
def test_a_bit_anywhere_in_a_pack_is_found(drive: Drive, at: int) -> None:
    bad = content_pack(drive)
    flip(bad, at)
    report, heard = check(drive, [bad.name])
    assert (report.result, heard) == ("failed", [(bad.name, False)])


@pytest.mark.parametrize("size", [0, 1, 47, 48, 71, 72, 50_000])
def test_a_cut_pack_is_found(drive: Drive, size: int) -> None:
    bad = content_pack(drive)
    os.truncate(bad, size)
    report, heard = check(drive, [bad.name])
    assert (report.result, heard) == ("failed", [(bad.name, False)])


def test_a_pack_that_is_gone_is_missed_whatever_is_read(drive: Drive) -> None:
    content_pack(drive).unlink()
    assert check(drive, [])[0].result == "failed"
    assert "missing" in {problem.kind for problem in verified(drive).problems}


def test_a_header_copy_that_is_damaged_older_or_gone_is_named(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "one")
    back_up(drive, make_patients(tmp_path / "Patients"))
    other = enroll(tmp_path / "other", seed="other")
    flip(drive.root / "header.1", 200)
    shutil.copy(other.root / "header", drive.root / "header.2")
    report, _ = check(drive, packs(drive))
    assert report.result == "failed"
    assert {problem.path for problem in report.problems} == {"header.1", "header.2"}
    (drive.root / "header.1").unlink()
    assert "header.1" in {problem.path for problem in check(drive, packs(drive))[0].problems}


def test_every_backup_of_a_practice_passes(tmp_path: Path) -> None:
    drive = enroll(tmp_path / "one")
    patients = make_patients(tmp_path / "Patients")
    for _ in range(2):
        back_up(drive, patients)
        edit_patients(patients) if not (patients / "Martin").exists() else None
        assert verified(drive).problems == ()
