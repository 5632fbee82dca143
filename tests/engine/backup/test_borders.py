"""Other file systems inside a source: what is entered, what is told, what is missed.

Owns: real mounts, subvolumes and snapshots; and files of the kernel that say that they are empty. Does not know: the
other ways in which a source can refuse (test_one_error_one_entry.py).
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.engine.backups_with_journal import TrackedPractice, listening
from support.engine.drives import Drive, back_up, below, opened, restored
from support.ports import Stopwatch

from kinebackup.change_journal.cursors import JournalCursors
from kinebackup.engine.environment import Environment
from kinebackup.model import BackupReport
from kinebackup.sources.folder import FolderSource, SystemNames

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as closing:
        yield closing


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs" / "radios").mkdir(parents=True)
    (tmp_path / "docs" / "lettre.txt").write_text("Bilan", encoding="utf-8")
    return tmp_path / "docs"


def run(*command: str | Path) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def mounted(stack: ExitStack, place: Path, *options: str) -> Path:
    done = subprocess.run(["mount", *options, place], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine cannot mount that: {done.stderr}")
    stack.callback(run, "umount", place)
    return place


def told(report: BackupReport, docs: Path) -> list[tuple[str, str, str]]:
    return [(p.kind, os.path.relpath(p.path, docs), p.message) for p in report.problems]


@pytest.mark.root
@needs_root
def test_a_disk_inside_a_source_is_told_each_time_until_it_is_excluded(
    drive: Drive, docs: Path, stack: ExitStack
) -> None:
    disk = mounted(stack, docs / "radios", "-t", "tmpfs", "tmpfs")
    (disk / "image.jpg").write_bytes(b"image")
    expected = (
        "left-out",
        "radios",
        "another file system begins here and is not saved: set one_file_system = false, or exclude it",
    )
    for _ in range(2):
        report = back_up(drive, docs)
        assert told(report, docs) == [expected]
        assert (report.files_lost, report.suspicious) == (1, False)
    report = back_up(drive, FolderSource(str(docs), exclude=["radios"]))
    assert (report.problems, report.files_lost) == ((), 0)
    report = back_up(drive, FolderSource(str(docs), one_file_system=False))
    assert (report.problems, report.files_new) == ((), 1)


@pytest.mark.root
@needs_root
def test_a_disk_where_files_were_saved_makes_the_backup_suspicious(
    drive: Drive, docs: Path, stack: ExitStack, tmp_path: Path
) -> None:
    for name in ("a.jpg", "b.jpg"):
        (docs / "radios" / name).write_bytes(b"image")
    good = back_up(drive, docs)
    mounted(stack, docs / "radios", "-t", "tmpfs", "tmpfs")
    for _ in range(2):
        report = back_up(drive, docs)
        assert (report.files_lost, report.suspicious) == (2, True)
        assert told(report, docs)[0][2].endswith("; 2 files that were saved here are missing")
    with opened(drive) as repository:
        assert repository.find_snapshot("latest").id == good.snapshot
    assert not back_up(drive, docs, accept_shrink=True).suspicious


@pytest.fixture
def btrfs(tmp_path: Path, stack: ExitStack) -> Path:
    """A file system with a subvolume, one in it, and a read-only snapshot of the first."""
    if shutil.which("mkfs.btrfs") is None:
        pytest.skip("this machine cannot mount that: it has no btrfs")
    image, top = tmp_path / "image", tmp_path / "btrfs"
    with image.open("wb") as file:
        file.truncate(128 * 2**20)
    run("mkfs.btrfs", "-q", image)
    top.mkdir()
    mounted(stack, top, "-o", "loop", str(image))
    run("btrfs", "-q", "subvolume", "create", top / "sub")
    run("btrfs", "-q", "subvolume", "create", top / "sub" / "inner")
    (top / "lettre.txt").write_text("top", encoding="utf-8")
    (top / "sub" / "a.txt").write_text("in the subvolume", encoding="utf-8")
    (top / "sub" / "inner" / "b.txt").write_text("in the inner one", encoding="utf-8")
    run("btrfs", "-q", "subvolume", "snapshot", "-r", top / "sub", top / "snap")
    return top


def names_of(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


@pytest.mark.root
@needs_root
def test_subvolumes_are_entered_and_read_only_snapshots_are_a_note(drive: Drive, btrfs: Path, tmp_path: Path) -> None:
    for expected in (3, 0):
        report = back_up(drive, btrfs)
        assert told(report, btrfs) == [
            ("skipped", "snap", "a read-only snapshot of the file system begins here; it is not saved")
        ]
        assert (report.files_new, report.files_lost, report.suspicious) == (expected, 0, False)
    restored(drive, tmp_path / "back")
    assert names_of(below(tmp_path / "back", btrfs)) == ["lettre.txt", "sub/a.txt", "sub/inner/b.txt"]


@pytest.mark.root
@needs_root
def test_a_subvolume_that_is_mounted_inside_the_source_is_entered(
    drive: Drive, btrfs: Path, tmp_path: Path, stack: ExitStack
) -> None:
    (btrfs / "mnt").mkdir()
    device = subprocess.run(["findmnt", "-no", "SOURCE", btrfs], capture_output=True, text=True, check=True).stdout
    mounted(stack, btrfs / "mnt", "-o", "subvol=sub", device.strip().partition("[")[0])
    assert back_up(drive, FolderSource(str(btrfs), exclude=["snap", "sub"])).files_new == 3


@pytest.mark.root
@needs_root
def test_another_btrfs_is_another_file_system(drive: Drive, btrfs: Path, tmp_path: Path, stack: ExitStack) -> None:
    other, place = tmp_path / "other", btrfs / "other"
    with other.open("wb") as file:
        file.truncate(128 * 2**20)
    run("mkfs.btrfs", "-q", other)
    place.mkdir()
    mounted(stack, place, "-o", "loop", str(other))
    report = back_up(drive, FolderSource(str(btrfs), exclude=["snap"]))
    assert [(kind, path) for kind, path, _message in told(report, btrfs)] == [("left-out", "other")]


@pytest.mark.root
@needs_root
def test_a_change_in_a_subvolume_is_found_though_the_journal_does_not_watch_it(
    drive: Drive, btrfs: Path, tmp_path: Path
) -> None:
    deep = btrfs / "a" / "b"
    deep.mkdir(parents=True)
    run("btrfs", "-q", "subvolume", "create", deep / "sub")
    (deep / "sub" / "c").mkdir()
    (deep / "sub" / "c" / "note.txt").write_text("before", encoding="utf-8")
    source = FolderSource(str(btrfs), exclude=["snap"])
    with listening(source) as journal:
        office = TrackedPractice(drive, [source], JournalCursors(journal), late=timedelta(minutes=1))
        office.back_up()
        (deep / "sub" / "c" / "note.txt").write_text("changed", encoding="utf-8")
        (deep / "sub" / "c" / "new.txt").write_text("new", encoding="utf-8")
        found = office.back_up()
        assert (found.followed, found.missed) == (True, [])
        assert (found.taken.report.files_new, found.taken.report.files_changed) == (1, 1)
        (deep / "sub" / "c" / "new.txt").write_text("newer", encoding="utf-8")
        looked = replace(office, late=timedelta(days=30)).back_up()
        assert (looked.followed, looked.missed) == (False, [])


# -- files that claim to be empty --------------------------------------------------------------------------------------


def test_a_file_that_claims_to_be_empty_is_read_to_its_end(drive: Drive, tmp_path: Path) -> None:
    for number, name in enumerate(("/proc/version", "/proc/kallsyms")):
        assert os.stat(name).st_size == 0
        for _ in range(2):
            report = back_up(drive, Path(name))
            assert (report.problems, report.suspicious) == ((), False)
        restored(drive, tmp_path / f"back-{number}")
        assert (tmp_path / f"back-{number}" / name.strip("/")).read_bytes() == Path(name).read_bytes()


class HurriedDrive(Drive):
    """In whose world a minute passes between two looks at the clock."""

    def world(self) -> Environment:
        stopwatch = Stopwatch()
        return Environment(self.dice, lambda: 60 * stopwatch(), SystemNames())


def test_a_file_that_claims_to_be_empty_is_not_read_for_ever(drive: Drive, docs: Path) -> None:
    hurried = HurriedDrive(drive.root, drive.master, drive.ring, drive.dice)
    report = back_up(hurried, docs, Path("/proc/kallsyms"))
    assert [p.kind for p in report.problems] == ["unreadable", "source-empty"]
    assert report.problems[0].message == "this file cannot be read (Timer expired)"
    assert (report.files_lost, report.files_new) == (1, 1)
