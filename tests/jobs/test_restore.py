"""Restoring as a job: what a person names is found once.

Owns: the paths and what is told of the way to them. Does not know: how files are written, or the command line.
"""

from pathlib import Path

import pytest
from support.engine.drives import enroll, loaded
from support.engine.forged_snapshot import an_entry, forge
from support.jobs.small_practice import make_world
from support.ports import Clock

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
