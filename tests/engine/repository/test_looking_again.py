"""A reader beside a prune: what was moved is found where it is now.

Owns: a restore, a look into folders and a search that began before a prune. Does not know: what a prune moves.
"""

import contextlib
import os
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, enroll, loaded, noise, pruned, seen
from support.ports import Stopwatch

from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.errors import Damaged
from kinebackup.model import BlobId, CancelToken, Problem, SilentMonitor


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    folder = tmp_path / "Patients"
    for name in ("Dupont", "Durand"):
        (folder / name).mkdir(parents=True)
        for number in range(5):
            (folder / name / f"radio {number}.jpg").write_bytes(noise(f"{name} {number}", 30_000))
    return folder


@pytest.fixture
def drive(tmp_path: Path, patients: Path) -> Drive:
    """Of the first backup little is left in the second, so that a prune packs that anew."""
    made = enroll(tmp_path / "drive")
    back_up(made, patients)
    for name in ("Dupont", "Durand"):
        for number in range(4):
            (patients / name / f"radio {number}.jpg").write_bytes(noise(f"{name} {number} bis", 30_000))
    back_up(made, patients)
    return made


def test_a_restore_that_began_before_a_prune_finds_what_the_prune_moved(
    drive: Drive, patients: Path, tmp_path: Path
) -> None:
    with loaded(drive) as repository:
        first, second = repository.snapshots().readable
        before = {path.name for path in drive.files("packs")}
        report = pruned(drive, first.id)
        assert report.packs_repacked > 0
        assert not before <= {path.name for path in drive.files("packs")}
        request = RestoreRequest(
            snapshot=second,
            wanted=[],
            destination=str(tmp_path / "out"),
            overwrite="never",
            as_root=os.geteuid() == 0,
        )
        restored = restore_snapshot(repository, request, Stopwatch(), cancel=CancelToken(), monitor=SilentMonitor())
    assert restored.problems == ()
    assert seen(below(tmp_path / "out", patients)) == seen(patients)


def test_folders_that_were_moved_are_found_too(drive: Drive) -> None:
    with loaded(drive) as repository:
        first, second = repository.snapshots().readable
        pruned(drive, first.id)
        problems: list[Problem] = []
        names = [
            visited.path for visited in TreeReader(BlobReader(repository), problems.append).walk(second.snapshot.root)
        ]
    assert problems == []
    assert sum(name.endswith(".jpg") for name in names) == 10


def test_what_is_nowhere_is_looked_for_in_vain_without_reading_the_index_each_time(drive: Drive) -> None:
    with loaded(drive) as repository:
        reader, tables = BlobReader(repository), len(repository.index.tables)
        for _ in range(3):
            with contextlib.suppress(Damaged):
                reader.read(1, BlobId(bytes(16)))  # type: ignore[arg-type]
        assert len(repository.index.tables) == tables
