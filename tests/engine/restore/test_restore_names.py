"""Names that the destination takes for one another, or cannot hold: nothing that was written is written over.

Owns: an exFAT, and a folder that behaves like one. Does not know: contents.
"""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some
from support.engine.drives import Drive, back_up, below, loaded, restored, seen

from kinebackup.engine.restore.destination import Destination, Folder
from kinebackup.engine.restore.existing import Overwrite
from kinebackup.engine.restore.names import TEMPORARY_PREFIX, is_substitute, substitute_name, temporary_name
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.model import CancelToken, RestoreReport, SilentMonitor

AS_ROOT = os.geteuid() == 0
MIB = 2**20


class LikeExfat(Destination):
    """Capitals and small letters are the same, a colon cannot be in a name, and there are no hard links."""

    def make(self, parent: Folder, name: str, is_restored: Callable[[os.stat_result], bool]) -> Folder:
        with_directory = self.open(parent.at)
        try:
            self._judge(with_directory, name, exactly=parent.had(name))
        finally:
            os.close(with_directory)
        return super().make(parent, name, is_restored)

    def name(self, directory: int, temporary: str, name: str) -> None:
        self._judge(directory, name, exactly=False)
        super().name(directory, temporary, name)

    def link(self, source: str, first: str, directory: int, temporary: str) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), temporary)

    def _judge(self, directory: int, name: str, *, exactly: bool) -> None:
        if ":" in name:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)
        there = {known.casefold() for known in os.listdir(directory) if not known.startswith(TEMPORARY_PREFIX)}
        if name.casefold() in there and not exactly:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """Pairs of names that differ in case only, and names with a colon; of files and of folders."""
    docs = tmp_path / "docs"
    for folder in ("DUPONT", "Dupont", "Bilan 3:1"):
        (docs / folder).mkdir(parents=True)
        (docs / folder / "bilan.odt").write_text(f"bilan in {folder}", encoding="utf-8")
    for name in ("MARTIN.odt", "Martin.odt", "martin.odt", "acte 12:30.txt", "seul.txt"):
        (docs / name).write_text(f"text of {name}", encoding="utf-8")
    os.link(docs / "seul.txt", docs / "twin.txt")
    return docs


RENAMED = ["DUPONT|Dupont", "MARTIN.odt|Martin.odt|martin.odt", "Bilan 3:1", "acte 12:30.txt"]


def restore_into(
    drive: Drive, into: Path, destination: Callable[[str], Destination], overwrite: Overwrite = "never"
) -> RestoreReport:
    with loaded(drive) as repository:
        request = RestoreRequest(repository.find_snapshot("latest"), (), str(into), overwrite)
        return restore_snapshot(
            repository, request, lambda: 0.0, cancel=CancelToken(), monitor=SilentMonitor(), destination=destination
        )


def texts(folder: Path) -> list[str]:
    return sorted(path.read_text("utf-8") for path in folder.rglob("*") if path.is_file())


def renamed(report: RestoreReport) -> list[str]:
    return sorted(os.path.basename(problem.path) for problem in report.problems if problem.kind == "renamed")


def assert_all_is_there_under_some_name(report: RestoreReport, back: Path, docs: Path) -> None:
    assert texts(back) == texts(docs)
    assert len(texts(back)) == 9
    told = renamed(report)
    assert {"Bilan 3:1", "acte 12:30.txt"} <= set(told)
    assert len(told) == 5, "one of the two folders, two of the three files, and the two with a colon"
    assert all(problem.kind == "renamed" for problem in report.problems if problem.kind != "metadata")


@pytest.mark.parametrize("overwrite", ["never", "if-changed", "always"])
def test_names_that_are_one_name_here_come_back_under_two(
    drive: Drive, docs: Path, tmp_path: Path, overwrite: Overwrite
) -> None:
    back_up(drive, docs)
    back = below(tmp_path / "back", docs)
    report = restore_into(drive, tmp_path / "back", LikeExfat, overwrite)
    assert (report.files_restored, report.files_skipped) == (9, 0)
    assert_all_is_there_under_some_name(report, back, docs)

    again = restore_into(drive, tmp_path / "back", LikeExfat, overwrite)
    assert again.files_restored + again.files_skipped == 9
    assert again.files_restored == (9 if overwrite == "always" else 0)
    assert_all_is_there_under_some_name(again, back, docs)


def test_the_problem_names_what_was_saved_and_what_it_is_called_now(drive: Drive, docs: Path, tmp_path: Path) -> None:
    back_up(drive, docs)
    report = restore_into(drive, tmp_path / "back", LikeExfat)
    (problem,) = (p for p in report.problems if p.path.endswith("acte 12:30.txt"))
    assert problem.path == f"{docs}/acte 12:30.txt"
    assert problem.message == "this place cannot hold the name; it was restored as acte 12_30 (08e82e06).txt"
    assert (below(tmp_path / "back", docs) / "acte 12_30 (08e82e06).txt").read_text("utf-8") == "text of acte 12:30.txt"


def test_somebody_s_file_whose_name_only_looks_the_same_is_not_replaced(drive: Drive, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "Bilan.odt").write_bytes(b"saved")
    back_up(drive, docs)
    back = below(tmp_path / "back", docs)
    back.mkdir(parents=True)
    (back / "BILAN.odt").write_bytes(b"mine")
    report = restore_into(drive, tmp_path / "back", LikeExfat, "always")
    assert (report.files_restored, renamed(report)) == (1, ["Bilan.odt"])
    assert (back / "BILAN.odt").read_bytes() == b"mine"
    assert texts(back) == ["mine", "saved"]


def test_a_file_that_appears_while_the_restore_runs_stays(drive: Drive, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "note.txt").write_bytes(b"saved")
    back_up(drive, docs)

    class Meanwhile(Destination):
        def name(self, directory: int, temporary: str, name: str) -> None:
            if name == "note.txt":
                os.close(os.open(name, os.O_CREAT | os.O_EXCL, dir_fd=directory))
            super().name(directory, temporary, name)

    report = restore_into(drive, tmp_path / "back", Meanwhile, "always")
    assert renamed(report) == ["note.txt"]
    assert texts(below(tmp_path / "back", docs)) == ["", "saved"]


@pytest.mark.parametrize("has_hard_links", [True, False])
def test_a_file_system_without_renaming_that_replaces_nothing_is_written_to_all_the_same(
    tmp_path: Path, has_hard_links: bool
) -> None:
    """Such as NFS: by a hard link, or by looking first."""

    class Old(Destination):
        def rename_without_replacing(self, directory: int, temporary: str, name: str) -> None:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), name)

        def link_beside(self, directory: int, temporary: str, name: str) -> None:
            if not has_hard_links:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), name)
            super().link_beside(directory, temporary, name)

    destination = Old(str(tmp_path))
    for name in ("first", "second"):
        (tmp_path / name).write_bytes(name.encode())
    directory = destination.open("")
    try:
        destination.name(directory, "first", "note.txt")
        with pytest.raises(FileExistsError):
            destination.name(directory, "second", "note.txt")
    finally:
        os.close(directory)
        destination.close()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"note.txt": b"first", "second": b"second"}


# -- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("Dupont.odt", "Dupont (3d416ebd).odt"),
        ("12:30.txt", "12_30 (2f8b7344).txt"),
        ("fin.", "fin (cd5375d9)"),
        ("lettre-\udce9.doc", "lettre-_ (e829954b).doc"),
        ("é" * 127, "é" * 60 + " (2e3eba0a)"),
    ],
)
def test_the_other_name_is_readable_and_always_the_same(name: str, other: str) -> None:
    assert substitute_name(name) == other
    assert is_substitute(other)


@given(some.text(some.characters(exclude_characters="/\0", exclude_categories=()), min_size=1, max_size=80))
def test_every_other_name_can_be_held_by_every_file_system(name: str) -> None:
    try:
        os.fsencode(name)
    except UnicodeEncodeError:
        return
    other = substitute_name(name)
    assert is_substitute(other)
    assert len(other.encode("utf-8")) <= 143
    assert not set(other) & set('<>:"/\\|?*\0\n')
    assert not other.endswith((".", " "))


# -- what a killed run left ------------------------------------------------------------------------------------------


def test_what_a_killed_run_left_is_gone_after_the_next_one(drive: Drive, docs: Path, tmp_path: Path) -> None:
    back_up(drive, docs)
    back = below(tmp_path / "back", docs)
    (back / "DUPONT").mkdir(parents=True)
    ended = subprocess.run(["sh", "-c", "echo $$"], capture_output=True, text=True, check=True).stdout
    for folder in (back, back / "DUPONT"):
        (folder / temporary_name(int(ended))).write_bytes(b"half")
    at_work = temporary_name(1)
    (back / at_work).write_bytes(b"of a run that is at work")
    restored(drive, tmp_path / "back")
    left = [path.name for path in back.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]
    assert left == [at_work]


def test_a_folder_that_a_killed_run_made_gets_its_mode_and_time(drive: Drive, docs: Path, tmp_path: Path) -> None:
    os.chmod(docs / "DUPONT", 0o750)
    back_up(drive, docs)
    back = below(tmp_path / "back", docs)
    back.mkdir(parents=True)
    for folder in (back, back / "DUPONT"):
        folder.mkdir(exist_ok=True)
        os.chmod(folder, 0o1700)
    assert restored(drive, tmp_path / "back").problems == ()
    assert seen(back) == seen(docs)


# -- a real exFAT ----------------------------------------------------------------------------------------------------


@pytest.fixture
def exfat(tmp_path: Path) -> Iterator[Path]:
    image, mount = tmp_path / "exfat.img", tmp_path / "exfat"
    mount.mkdir()
    with image.open("wb") as file:
        file.truncate(16 * MIB)
    loop = ""
    try:
        subprocess.run(["mkfs.exfat", str(image)], check=True, capture_output=True)
        attach = ["losetup", "--find", "--show", str(image)]
        loop = subprocess.run(attach, check=True, capture_output=True, text=True).stdout.strip()
        subprocess.run(["mount.exfat-fuse", loop, str(mount)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        _detach(loop)
        pytest.skip("no FUSE here, or no exFAT for it")
    try:
        yield mount
    finally:
        subprocess.run(["umount", str(mount)], check=True)
        _detach(loop)


def _detach(loop: str) -> None:
    if loop:
        subprocess.run(["losetup", "--detach", loop], check=True)


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="mounting needs root")
@pytest.mark.parametrize("overwrite", ["never", "if-changed", "always"])
def test_an_exfat_holds_every_file_of_the_backup(drive: Drive, docs: Path, exfat: Path, overwrite: Overwrite) -> None:
    back_up(drive, docs)
    back = below(exfat / "back", docs)
    for _run in range(2):
        report = restore_into(drive, exfat / "back", Destination, overwrite)
        assert report.files_restored + report.files_skipped == 9
        assert_all_is_there_under_some_name(report, back, docs)
