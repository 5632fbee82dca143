"""A pack that turns out to be unreadable while a backup runs: nothing that is met afterwards relies on it.

Owns: the moment of the doubt. Does not know: how a read fails (tests/engine/repository/test_condition.py).
"""

from collections.abc import Callable
from pathlib import Path

from support.engine.drives import MACHINE, back_up, below, enroll, noise, request_for, restored, seen, writable

from kinebackup.engine.backup.backup import back_up as engine_back_up
from kinebackup.engine.backup.parent.changes import Changes, ChangesSince
from kinebackup.engine.backup.run import BackupRequest
from kinebackup.model import CancelToken, SilentMonitor
from kinebackup.sources.folder import FolderSource


class AfterTheFirstFolder(SilentMonitor):
    """Does something as soon as the files of one folder have been compared."""

    def __init__(self, act: Callable[[], None]) -> None:
        self._act = act
        self._done = False

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        if not self._done:
            self._done = True
            self._act()


def test_unchanged_files_are_read_again_once_a_pack_that_may_hold_them_failed_a_read(tmp_path: Path) -> None:
    drive, patients = enroll(tmp_path / "drive"), tmp_path / "Patients"
    for name in ("a", "b"):
        (patients / name).mkdir(parents=True)
        (patients / name / "dossier.bin").write_bytes(noise(name, 200_000))
    back_up(drive, patients)
    request = request_for(drive, patients)
    with writable(drive) as repository:

        def lose_confidence() -> None:
            for pack in list(repository.packs):
                repository.conditions.lower(pack)

        monitor = AfterTheFirstFolder(lose_confidence)
        report = engine_back_up(repository, request, drive.world(), cancel=CancelToken(), monitor=monitor).report
    assert (report.files_unmodified, report.files_new, report.files_changed) == (2, 0, 0)
    assert report.bytes_read == 200_000  # b, and not a, which was met before
    assert report.bytes_written > 200_000
    restored(drive, tmp_path / "back")
    assert seen(below(tmp_path / "back", patients)) == seen(patients)


def test_folders_that_were_taken_over_unseen_are_looked_at_once_a_pack_failed_a_read(tmp_path: Path) -> None:
    drive, patients = enroll(tmp_path / "drive"), tmp_path / "Patients"
    for name in ("a", "b"):
        (patients / name).mkdir(parents=True)
        (patients / name / "dossier.bin").write_bytes(noise(name, 200_000))
    parent = back_up(drive, patients).snapshot
    assert parent is not None
    changes = Changes([str(patients)])
    changes.touch(str(patients / "a"))
    request = BackupRequest(
        sources=[FolderSource(str(patients))],
        host="cabinet-pc",
        machine=MACHINE,
        drive="A",
        program="kinebackup tests",
        started_at=drive.calendar.next_day(),
        since=ChangesSince(parent, changes),
    )
    with writable(drive) as repository:

        def lose_confidence() -> None:
            for pack in list(repository.packs):
                repository.conditions.lower(pack)

        monitor = AfterTheFirstFolder(lose_confidence)
        outcome = engine_back_up(repository, request, drive.world(), cancel=CancelToken(), monitor=monitor)
    assert not outcome.tracking.followed
    assert (outcome.report.files_unmodified, outcome.report.bytes_read) == (2, 400_000)
    restored(drive, tmp_path / "back")
    assert seen(below(tmp_path / "back", patients)) == seen(patients)
