"""Prune: what a remaining snapshot needs stays bit-exact, the rest goes, and in doubt nothing is touched.

Owns: whole prunes over real repositories. Does not know: crashes (test_crash.py), which snapshots to remove.
"""

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from support.engine.drives import (
    Drive,
    back_up,
    below,
    edit_patients,
    enroll,
    make_patients,
    noise,
    pruned,
    restored,
    seen,
    verified,
)

from kinebackup.errors import Cancelled, CheckFailed
from kinebackup.model import CancelToken

MIB = 2**20


def snapshot(drive: Drive, docs: Path) -> str:
    report = back_up(drive, docs)
    assert report.snapshot
    return report.snapshot


def on_drive(drive: Drive) -> int:
    return sum(path.stat().st_size for path in drive.files(".") if path.suffix != ".xor")


def same_after_restore(drive: Drive, docs: Path, tmp_path: Path, name: str) -> bool:
    into = tmp_path / f"back-{len(list(tmp_path.iterdir()))}"
    assert restored(drive, into, name).problems == ()
    return seen(below(into, docs)) == seen(docs)


def flip(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_pruning_nothing_changes_nothing(drive: Drive, tmp_path: Path) -> None:
    patients = make_patients(tmp_path / "Patients")
    name = snapshot(drive, patients)
    before = {path: path.read_bytes() for path in drive.files(".")}
    report = pruned(drive)
    assert (report.snapshots_kept, report.snapshots_removed, report.packs_removed) == (1, (), 0)
    assert {path: path.read_bytes() for path in drive.files(".")} == before
    assert same_after_restore(drive, patients, tmp_path, name)


def test_an_empty_repository_can_be_pruned(drive: Drive) -> None:
    assert pruned(drive).snapshots_kept == 0


def test_what_only_a_removed_snapshot_needed_goes(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "old.bin").write_bytes(noise("old", 3 * MIB))
    (docs / "both.bin").write_bytes(noise("both", MIB))
    first = snapshot(drive, docs)
    (docs / "old.bin").unlink()
    (docs / "new.bin").write_bytes(noise("new", MIB))
    second = snapshot(drive, docs)
    before = on_drive(drive)
    report = pruned(drive, first)
    assert report.snapshots_removed == (first,)
    assert report.snapshots_kept == 1
    assert 3 * MIB - 50_000 < report.bytes_freed <= 3 * MIB + 50_000
    assert abs(before - on_drive(drive) - report.bytes_freed) < 20_000
    assert same_after_restore(drive, docs, tmp_path, second)
    assert verified(drive).problems == ()


def test_a_dry_run_says_what_would_go_and_deletes_nothing(drive: Drive, docs: Path) -> None:
    (docs / "old.bin").write_bytes(noise("old", MIB))
    first = snapshot(drive, docs)
    (docs / "old.bin").write_bytes(noise("new", MIB))
    snapshot(drive, docs)
    before = {path: path.read_bytes() for path in drive.files(".")}
    report = pruned(drive, first, dry_run=True)
    assert report.snapshots_removed == (first,)
    assert report.bytes_freed > MIB - 50_000
    assert {path: path.read_bytes() for path in drive.files(".")} == before


def test_the_last_snapshot_removed_leaves_an_empty_repository_that_works(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    (docs / "a.bin").write_bytes(noise("a", MIB))
    pruned(drive, snapshot(drive, docs), accept_share=True)
    assert drive.files("packs") == drive.files("snapshots") == drive.files("index") == []
    assert same_after_restore(drive, docs, tmp_path, snapshot(drive, docs))


def test_a_thin_pack_is_rewritten_and_a_full_one_left(drive: Drive, docs: Path, tmp_path: Path) -> None:
    for number in range(10):
        (docs / f"{number}.bin").write_bytes(noise(str(number), MIB))
    first = snapshot(drive, docs)
    largest = max(drive.files("packs"), key=lambda path: path.stat().st_size)  # each lane writes its own
    (docs / "témoin").write_bytes(b"unrelated")
    second = snapshot(drive, docs)
    pruned(drive, first)
    assert largest.exists()
    for number in range(1, 10):
        (docs / f"{number}.bin").unlink()
    third = snapshot(drive, docs)
    report = pruned(drive, second)
    assert report.packs_repacked >= 1
    assert report.bytes_freed > 8 * MIB
    assert not largest.exists()
    assert on_drive(drive) < MIB + 50_000
    assert same_after_restore(drive, docs, tmp_path, third)
    assert verified(drive).problems == ()


def test_temporary_files_of_a_run_that_died_go(drive: Drive, docs: Path) -> None:
    (docs / "a").write_bytes(b"a")
    snapshot(drive, docs)
    (drive.root / "tmp" / "1-1-dead").write_bytes(bytes(1000))
    pruned(drive)
    assert drive.files("tmp") == []


def test_packs_of_an_interrupted_run_go_when_nothing_needs_them(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "a.bin").write_bytes(noise("a", MIB))
    first = snapshot(drive, docs)
    listed = drive.files("index")
    (docs / "b.bin").write_bytes(noise("b", MIB))
    second = snapshot(drive, docs)
    (drive.root / "snapshots" / second).unlink()
    for path in drive.files("index"):
        if path not in listed:
            path.unlink()  # as if it had not been written yet: these packs are known by their tables
    report = pruned(drive)
    assert report.packs_removed == 2
    assert restored(drive, tmp_path / "back", first).problems == ()
    assert (below(tmp_path / "back", docs) / "a.bin").read_bytes() == noise("a", MIB)
    assert verified(drive).problems == ()
    assert on_drive(drive) < MIB + 50_000


def test_a_cancelled_prune_loses_nothing(drive: Drive, docs: Path, tmp_path: Path) -> None:
    for number in range(10):
        (docs / f"{number}.bin").write_bytes(noise(str(number), 100_000))
    first = snapshot(drive, docs)
    for number in range(8):
        (docs / f"{number}.bin").unlink()
    second = snapshot(drive, docs)
    cancel = CancelToken()
    cancel.cancel()
    with pytest.raises(Cancelled):
        pruned(drive, first, cancel=cancel)
    assert same_after_restore(drive, docs, tmp_path, second)
    pruned(drive, first)
    assert same_after_restore(drive, docs, tmp_path, second)
    assert verified(drive).problems == ()


# -- in doubt ------------------------------------------------------------------------------------------------------


def two_days(drive: Drive, tmp_path: Path) -> tuple[Path, str, str]:
    patients = make_patients(tmp_path / "Patients")
    first = snapshot(drive, patients)
    edit_patients(patients)
    return patients, first, snapshot(drive, patients)


def test_a_snapshot_that_cannot_be_read_stops_a_prune(drive: Drive, tmp_path: Path) -> None:
    _, first, second = two_days(drive, tmp_path)
    flip(drive.root / "snapshots" / second, 100)
    before = {path: path.read_bytes() for path in drive.files(".")}
    with pytest.raises(CheckFailed, match="cannot be read"):
        pruned(drive, first)
    assert {path: path.read_bytes() for path in drive.files(".")} == before


def test_a_folder_that_cannot_be_read_stops_a_prune(drive: Drive, tmp_path: Path) -> None:
    _, first, _ = two_days(drive, tmp_path)
    for path in drive.files("packs"):
        if path.stat().st_size < 20_000:  # those of the folders
            flip(path, 60)
    before = {path: path.read_bytes() for path in drive.files(".")}
    with pytest.raises(CheckFailed, match="nothing is deleted"):
        pruned(drive, first)
    assert {path: path.read_bytes() for path in drive.files(".")} == before


def test_damaged_content_stays_as_long_as_it_is_needed(drive: Drive, docs: Path, tmp_path: Path) -> None:
    """What can still be read of a damaged pack comes back after a prune as before it."""
    for number in range(6):
        (docs / f"{number}.bin").write_bytes(noise(str(number), MIB))
    first = snapshot(drive, docs)
    (docs / "0.bin").unlink()
    second = snapshot(drive, docs)
    largest = max(drive.files("packs"), key=lambda path: path.stat().st_size)
    flip(largest, largest.stat().st_size // 2)
    assert verified(drive).result == "failed"
    restored(drive, tmp_path / "before", second)
    pruned(drive, first)
    restored(drive, tmp_path / "after", second)
    before, after = (seen(below(tmp_path / name, docs)) for name in ("before", "after"))
    assert before == after
    assert len(after) >= 4


# -- any history ---------------------------------------------------------------------------------------------------

NAMES = ("a", "b", "c", "d")
SIZES = (0, 10, 5000, 300_000, 1_200_000)

steps = some.lists(
    some.one_of(
        some.tuples(some.just("write"), some.sampled_from(NAMES), some.sampled_from(SIZES), some.integers(0, 2)),
        some.tuples(some.just("remove"), some.sampled_from(NAMES)),
        some.tuples(some.just("backup")),
        some.tuples(some.just("prune"), some.integers(0, 5), some.integers(0, 5)),
    ),
    min_size=4,
    max_size=12,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps)
def test_any_history_keeps_what_it_should(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[object, ...]]
) -> None:
    folder = tmp_path_factory.mktemp("history")
    drive, docs = enroll(folder / "drive"), folder / "docs"
    docs.mkdir()
    kept: dict[str, dict[str, bytes]] = {}
    for step in [*history, ("backup",)]:
        match step:
            case ("write", str(name), int(size), int(version)):
                (docs / name).write_bytes(noise(f"{version}", size))
            case ("remove", str(name)):
                (docs / name).unlink(missing_ok=True)
            case ("backup",):
                report = back_up(drive, docs, accept_shrink=True, read_back=False)
                assert report.snapshot
                kept[report.snapshot] = {path.name: path.read_bytes() for path in docs.iterdir()}
            case ("prune", int(first), int(second)):
                doomed = {name for at, name in enumerate(kept) if at in (first, second)}
                pruned(drive, *doomed, accept_share=True)
                for name in doomed:
                    del kept[name]
    assert {path.name for path in drive.files("snapshots")} == kept.keys()
    assert verified(drive).problems == ()
    for number, (name, expected) in enumerate(kept.items()):
        assert restored(drive, folder / f"{number}", name).problems == ()
        back = below(folder / f"{number}", docs)
        assert {path.name: path.read_bytes() for path in back.iterdir()} == expected
    pruned(drive)
    needed = sum({data: len(data) for files in kept.values() for data in files.values()}.values())
    assert on_drive(drive) < needed / 0.7 + 100_000
    assert os.listdir(drive.root / "tmp") == []
