"""Restoring as a job: what a person names is found once.

Owns: the paths and what is told of the way to them. Does not know: how files are written, or the command line.
"""

from collections.abc import Callable
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, enroll, loaded, noise, pruned
from support.engine.forged_snapshot import an_entry, forge
from support.jobs.small_practice import make_world
from support.ports import Clock

from kinebackup.errors import Locked
from kinebackup.jobs.restore import RestoreJobRequest, restore_files
from kinebackup.model import CancelToken, SilentMonitor


@pytest.mark.parametrize("paths", [["note.txt"], ["note.txt", "/home/marie/note.txt", "marie/note.txt"]])
def test_a_damaged_directory_on_the_way_is_told_once(tmp_path: Path, paths: list[str]) -> None:
    drive = enroll(tmp_path / "drive")
    twice = an_entry("twice.txt", [b"twice"], drive)
    name = forge(
        drive,
        Path("/home/marie"),
        [an_entry("note.txt", [b"note"], drive), twice, twice],
        [b"note", b"twice"],
    )
    request = RestoreJobRequest("latest", paths, str(tmp_path / "back"))
    with loaded(drive) as repository:
        done = restore_files(
            repository, request, make_world(tmp_path, Clock()), cancel=CancelToken(), monitor=SilentMonitor()
        )
    assert [(problem.kind, problem.path, problem.snapshots) for problem in done.report.problems] == [
        ("damaged", "/home/marie", (name,))
    ]
    assert done.report.files_restored == 1
    assert (tmp_path / "back" / "home" / "marie" / "note.txt").read_bytes() == b"note"
    assert not (tmp_path / "back" / "home" / "marie" / "twice.txt").exists()


class AtTheFirstFile(SilentMonitor):
    """Another process does something as soon as the restore begins to bring files back."""

    def __init__(self, act: Callable[[], object]) -> None:
        self._act = act

    def phase(self, name: str, *, files: int = 0, size_bytes: int = 0) -> None:
        self._act()
        self._act = lambda: None


def test_a_backup_that_another_run_removes_while_it_is_restored_is_said_to_be_removed_and_not_damaged(
    tmp_path: Path,
) -> None:
    patients = tmp_path / "Patients"
    (patients / "Dupont").mkdir(parents=True)
    drive = enroll(tmp_path / "drive")
    for day in range(2):
        (patients / "Dupont" / "bilan").write_bytes(noise(f"bilan {day}", 50_000))
        back_up(drive, patients)
    first = _ids(drive)[0]
    world, monitor = make_world(tmp_path, Clock()), AtTheFirstFile(lambda: pruned(drive, first))
    request = RestoreJobRequest(first, [], str(tmp_path / "back"))
    with loaded(drive) as repository, pytest.raises(Locked, match="removed this backup while it was being restored"):
        restore_files(repository, request, world, cancel=CancelToken(), monitor=monitor)


def _ids(drive: Drive) -> list[str]:
    with loaded(drive) as repository:
        return [named.id for named in repository.snapshots().readable]
