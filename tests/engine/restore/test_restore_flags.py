"""Files and folders that nobody may change, saved and brought back; and folders that are so at the destination.

Owns: the flags immutable and append-only, on a file system that has them. Does not know: other attributes.
"""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, loaded, restored, seen
from support.loop_disk import MIB, mounted_ext4

from kinebackup.engine.inode_flags import read_flags, set_flags
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.engine.restore.existing import Overwrite
from kinebackup.engine.restore.names import TEMPORARY_PREFIX
from kinebackup.model import RestoreReport

pytestmark = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="the flags are for root to set")]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4, which keeps the flags; gone with them afterwards."""
    with mounted_ext4(tmp_path, 32 * MIB) as place:
        yield place


@pytest.fixture
def docs(disk: Path) -> Path:
    docs = disk / "docs"
    (docs / "archive").mkdir(parents=True)
    for name in ("note.txt", "log.txt", "archive/bilan.txt", "plain.txt"):
        (docs / name).write_text(f"text of {name}", encoding="utf-8")
    os.link(docs / "note.txt", docs / "twin.txt")
    for name, flags in FLAGS.items():
        chattr(docs / name, *flags)
    return docs


FLAGS = {"note.txt": ["immutable"], "log.txt": ["append-only"], "archive": ["immutable", "append-only"]}


def chattr(path: Path, *flags: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        set_flags(fd, flags)
    finally:
        os.close(fd)


def flags_of(path: Path) -> list[str]:
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_flags(fd)
    finally:
        os.close(fd)


def all_flags(folder: Path) -> dict[str, list[str]]:
    found = {str(path.relative_to(folder)): flags_of(path) for path in [folder, *folder.rglob("*")]}
    return {name: flags for name, flags in found.items() if flags}


def kinds(report: RestoreReport) -> list[tuple[str, str]]:
    return sorted((problem.kind, os.path.basename(problem.path)) for problem in report.problems)


def leftovers(folder: Path) -> list[str]:
    return [path.name for path in folder.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]


def test_the_flags_are_those_of_chattr(docs: Path) -> None:
    listed = subprocess.run(["lsattr", "-d", str(docs / "log.txt")], check=True, capture_output=True, text=True).stdout
    assert listed.split()[0].strip("-e") == "a"
    assert flags_of(docs / "note.txt") == ["immutable"]
    assert flags_of(docs / "plain.txt") == []


def test_a_flag_of_another_version_is_left_out_and_other_flags_stay(docs: Path) -> None:
    subprocess.run(["chattr", "+d", str(docs / "plain.txt")], check=True)
    chattr(docs / "plain.txt", "append-only", "of-tomorrow")
    listed = subprocess.run(["lsattr", str(docs / "plain.txt")], check=True, capture_output=True, text=True).stdout
    assert listed.split()[0].strip("-e").replace("-", "") == "ad"


def test_protected_files_come_back_protected_with_all_their_names(drive: Drive, docs: Path, disk: Path) -> None:
    back_up(drive, docs)
    report = restored(drive, disk / "back")
    back = below(disk / "back", docs)
    assert (report.files_restored, report.problems) == (5, ())
    assert all_flags(back) == FLAGS | {"twin.txt": ["immutable"]}
    assert seen(back) == seen(docs)
    assert (back / "twin.txt").samefile(back / "note.txt")


def test_a_flag_that_comes_later_is_saved_with_the_next_backup(drive: Drive, docs: Path) -> None:
    back_up(drive, docs)
    chattr(docs / "plain.txt", "append-only")
    back_up(drive, docs)
    with loaded(drive) as repository:
        trees = TreeReader(BlobReader(repository), lambda problem: pytest.fail(problem.message))
        (*_way, found) = trees.find(repository.find_snapshot("latest").snapshot.root, str(docs / "plain.txt"))
        assert found.entry.flags == ["append-only"]


@pytest.mark.parametrize("overwrite", ["never", "if-changed"])
def test_a_second_run_finds_them_and_leaves_them_alone(
    drive: Drive, docs: Path, disk: Path, overwrite: Overwrite
) -> None:
    back_up(drive, docs)
    restored(drive, disk / "back")
    report = restored(drive, disk / "back", overwrite=overwrite)
    assert (report.files_restored, report.files_skipped, report.problems) == (0, 5, ())
    assert all_flags(below(disk / "back", docs)) == FLAGS | {"twin.txt": ["immutable"]}


def test_a_place_without_the_flags_has_the_files_and_a_problem_for_each(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    place = tmp_path / "ram"
    place.mkdir()
    subprocess.run(["mount", "-t", "ramfs", "none", str(place)], check=True)
    try:
        report = restored(drive, place) if back_up(drive, docs).snapshot else None
        assert report is not None
        assert report.files_restored == 5
        assert kinds(report) == [("metadata", name) for name in ("archive", "log.txt", "note.txt", "twin.txt")]
    finally:
        subprocess.run(["umount", str(place)], check=True)


@pytest.mark.parametrize("flag", ["append-only", "immutable"])
@pytest.mark.parametrize("overwrite", ["never", "if-changed", "always"])
def test_a_folder_in_which_nothing_can_be_renamed_gets_no_temporary_files(
    drive: Drive, docs: Path, disk: Path, overwrite: Overwrite, flag: str
) -> None:
    back_up(drive, docs)
    back = below(disk / "back", docs)
    back.mkdir(parents=True)
    chattr(back, flag)
    report = restored(drive, disk / "back", overwrite=overwrite)
    refused = [path for kind, path in kinds(report) if kind == "not-restored"]
    assert set(refused) >= {"log.txt", "note.txt", "plain.txt", "twin.txt"}
    assert leftovers(disk / "back") == []
    assert [path.name for path in back.iterdir() if path.is_file()] == []


def test_what_is_there_already_in_such_a_folder_is_no_problem(drive: Drive, docs: Path, disk: Path) -> None:
    back_up(drive, docs)
    restored(drive, disk / "back")
    back = below(disk / "back", docs)
    chattr(back, "append-only")
    report = restored(drive, disk / "back", overwrite="if-changed")
    assert (report.files_restored, report.files_skipped, report.problems) == (0, 5, ())


def test_an_ioctl_that_a_file_system_does_not_know_is_no_flag() -> None:
    with open("/proc/self/status", "rb") as file:
        assert read_flags(file.fileno()) == []
