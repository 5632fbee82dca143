"""Bringing files back: whole, in part, over what is there, interrupted, into a place that is full or hostile.

Owns: real destinations. Does not know: damage on the drive (test_damage.py).
"""

import errno
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, loaded, noise, restored, seen
from support.engine.forged_snapshot import an_entry, forge
from support.loop_disk import MIB, mounted_ext4
from support.project import ROOT, TESTS

from kinebackup.engine.restore.existing import Overwrite
from kinebackup.engine.restore.names import TEMPORARY_PREFIX, temporary_name
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.errors import Cancelled, KineError, NotFound
from kinebackup.model import CancelToken, RestoreReport, SilentMonitor

AS_ROOT = os.geteuid() == 0


def kinds(report: RestoreReport) -> list[tuple[str, str]]:
    return sorted((problem.kind, os.path.basename(problem.path)) for problem in report.problems)


def leftovers(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.startswith(TEMPORARY_PREFIX)]


class StopAfter(SilentMonitor):
    """Asks to stop once so many files are done."""

    def __init__(self, files: int, cancel: CancelToken) -> None:
        self._left = files
        self._cancel = cancel

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        self._left -= files
        if self._left <= 0:
            self._cancel.cancel()


# -- whole and in part ---------------------------------------------------------------------------------------------


def test_a_restore_recreates_the_full_path_below_the_destination(drive: Drive, patients: Path, tmp_path: Path) -> None:
    back_up(drive, patients)
    report = restored(drive, tmp_path / "new" / "place")
    assert (report.files_restored, report.files_skipped, report.problems) == (9, 0, ())
    assert report.bytes_restored > 700_000
    assert seen(tmp_path / "new" / "place" / str(patients)[1:]) == seen(patients)
    assert leftovers(tmp_path / "new") == []


def test_the_folders_on_the_way_get_their_modes_too(drive: Drive, patients: Path, tmp_path: Path) -> None:
    os.chmod(tmp_path / "home", 0o711)
    back_up(drive, patients)
    restored(drive, tmp_path / "back")
    assert below(tmp_path / "back", tmp_path / "home").stat().st_mode & 0o7777 == 0o711


def test_one_file_one_folder_and_a_link_come_back_alone(drive: Drive, patients: Path, tmp_path: Path) -> None:
    back_up(drive, patients)
    chosen = [patients / "Dupont" / "radios" / "film.bin", patients / "Durand", patients / "dernier"]
    report = restored(drive, tmp_path / "back", paths=[str(path) for path in chosen])
    assert report.files_restored == 6
    back = below(tmp_path / "back", patients)
    assert sorted(os.listdir(back)) == ["Dupont", "Durand", "dernier"]
    assert os.listdir(back / "Dupont") == ["radios"]
    assert os.listdir(back / "Dupont" / "radios") == ["film.bin"]
    assert (back / "Dupont" / "radios" / "film.bin").read_bytes() == noise("film", 700_000)
    assert seen(back / "Durand").keys() == seen(patients / "Durand").keys()


def test_a_path_is_not_the_beginning_of_a_name(drive: Drive, docs: Path, tmp_path: Path) -> None:
    for name in ("a", "ab", "a.txt"):
        (docs / name).mkdir()
        (docs / name / "f").write_text(name, encoding="utf-8")
    back_up(drive, docs)
    restored(drive, tmp_path / "back", paths=[str(docs / "a")])
    assert os.listdir(below(tmp_path / "back", docs)) == ["a"]


@pytest.mark.parametrize("path", ["/nowhere", "/", "", "Patients"])
def test_a_path_that_the_snapshot_lacks_restores_nothing(
    drive: Drive, patients: Path, tmp_path: Path, path: str
) -> None:
    back_up(drive, patients)
    with pytest.raises(NotFound):
        restored(drive, tmp_path / "back", paths=[str(patients / "Dupont"), path])
    assert not (tmp_path / "back").exists()


def test_a_missing_path_is_answered_with_what_is_there(drive: Drive, patients: Path, tmp_path: Path) -> None:
    back_up(drive, patients)
    with pytest.raises(NotFound) as caught:
        restored(drive, tmp_path / "back", paths=[str(patients / "Dupond")])
    assert "Dupont" in caught.value.hint


@pytest.mark.parametrize(
    ("overwrite", "restored_files", "skipped"), [("never", 0, 2), ("if-changed", 1, 1), ("always", 2, 0)]
)
def test_a_dry_run_counts_what_would_stay(
    overwrite: Overwrite, restored_files: int, skipped: int, drive: Drive, docs: Path, tmp_path: Path
) -> None:
    (docs / "a.txt").write_bytes(b"a")
    (docs / "b.txt").write_bytes(b"b")
    back_up(drive, docs)
    restored(drive, tmp_path / "back")
    (below(tmp_path / "back", docs) / "b.txt").write_bytes(b"somebody's own")

    with loaded(drive) as repository:
        latest = repository.find_snapshot("latest")
        request = RestoreRequest(latest, (), str(tmp_path / "back"), overwrite=overwrite, dry_run=True)
        report = restore_snapshot(repository, request, lambda: 0.0, cancel=CancelToken(), monitor=SilentMonitor())

    assert (report.files_restored, report.files_skipped) == (restored_files, skipped)
    assert kinds(report) == ([("exists", "b.txt")] if overwrite == "never" else [])
    assert (below(tmp_path / "back", docs) / "b.txt").read_bytes() == b"somebody's own"


def test_a_dry_run_counts_and_makes_nothing(drive: Drive, patients: Path, tmp_path: Path) -> None:
    back_up(drive, patients)
    with loaded(drive) as repository:
        request = RestoreRequest(repository.find_snapshot("latest"), (), str(tmp_path / "back"), dry_run=True)
        report = restore_snapshot(repository, request, lambda: 0.0, cancel=CancelToken(), monitor=SilentMonitor())
    assert (report.files_restored, report.problems) == (9, ())
    assert not (tmp_path / "back").exists()


def test_an_empty_snapshot_restores_its_folders(drive: Drive, docs: Path, tmp_path: Path) -> None:
    back_up(drive, docs, accept_shrink=True)
    report = restored(drive, tmp_path / "back")
    assert (report.files_restored, report.problems) == (0, ())
    assert below(tmp_path / "back", docs).is_dir()


# -- over what is there --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("overwrite", "left", "skipped"),
    [
        ("never", {"same": b"saved", "changed": b"edited since", "touched": b"saved", "gone": b"saved"}, 3),
        ("if-changed", {"same": b"saved", "changed": b"saved", "touched": b"saved", "gone": b"saved"}, 1),
        ("always", {"same": b"saved", "changed": b"saved", "touched": b"saved", "gone": b"saved"}, 0),
    ],
)
def test_existing_files_stay_or_go_as_asked(
    drive: Drive, docs: Path, tmp_path: Path, overwrite: Overwrite, left: dict[str, bytes], skipped: int
) -> None:
    for name in left:
        (docs / name).write_bytes(b"saved")
    back_up(drive, docs)
    restored(drive, tmp_path / "back")
    back = below(tmp_path / "back", docs)
    (back / "changed").write_bytes(b"edited since")
    (back / "gone").unlink()
    os.utime(back / "touched")
    (back / "of-my-own").write_bytes(b"mine")
    report = restored(drive, tmp_path / "back", overwrite=overwrite)
    assert (report.files_skipped, report.files_restored) == (skipped, 4 - skipped)
    assert kinds(report) == ([("exists", "changed"), ("exists", "touched")] if overwrite == "never" else [])
    assert {path.name: path.read_bytes() for path in back.iterdir()} == left | {"of-my-own": b"mine"}


@pytest.mark.parametrize("overwrite", ["if-changed", "always"])
def test_a_restore_over_the_source_brings_it_back(drive: Drive, patients: Path, overwrite: Overwrite) -> None:
    expected = seen(patients)
    back_up(drive, patients)
    (patients / "Dupont" / "bilan.txt").write_text("encrypted by somebody", encoding="utf-8")
    (patients / "creux.img").unlink()
    os.chmod(patients / "vide", 0o700)
    report = restored(drive, Path("/"), overwrite=overwrite, paths=[str(patients)])
    assert report.problems == ()
    found = seen(patients)
    assert found.pop("vide").mode == 0o700, "a folder that is there keeps its rights"
    assert found.pop(".").mtime_ns != expected.pop(".").mtime_ns, "and its time, which its owner's work has moved"
    del expected["vide"]
    assert found == expected


@pytest.mark.parametrize("overwrite", ["never", "if-changed", "always"])
def test_one_file_that_is_restored_changes_nothing_of_the_folders_on_its_way(
    drive: Drive, patients: Path, tmp_path: Path, overwrite: Overwrite
) -> None:
    os.chmod(tmp_path / "home", 0o755)
    back_up(drive, patients)
    (patients / "Dupont" / "bilan.txt").unlink()
    os.chmod(tmp_path / "home", 0o700)
    os.chmod(patients / "Dupont", 0o711)
    for folder in (tmp_path / "home", patients):
        os.utime(folder, ns=(5, 5))
    report = restored(drive, Path("/"), overwrite=overwrite, paths=[str(patients / "Dupont" / "bilan.txt")])
    assert (report.files_restored, report.problems) == (1, ())
    assert (tmp_path / "home").stat().st_mode & 0o7777 == 0o700
    assert (patients / "Dupont").stat().st_mode & 0o7777 == 0o711
    assert [(tmp_path / "home").stat().st_mtime_ns, patients.stat().st_mtime_ns] == [5, 5]


def test_a_name_kept_with_other_content_is_no_hard_link_for_the_others(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    """The kept file is somebody's own: another name of the saved one must not become it."""
    (docs / "a.txt").write_bytes(b"saved")
    os.link(docs / "a.txt", docs / "b.txt")
    back_up(drive, docs)
    back = below(tmp_path / "back", docs)
    back.mkdir(parents=True)
    (back / "a.txt").write_bytes(b"my own text")
    restored(drive, tmp_path / "back", overwrite="never")
    assert (back / "a.txt").read_bytes() == b"my own text"
    assert (back / "b.txt").read_bytes() == b"saved"


def test_a_hard_link_is_made_to_a_name_that_an_earlier_run_restored(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "a.txt").write_bytes(b"saved")
    os.link(docs / "a.txt", docs / "b.txt")
    back_up(drive, docs)
    restored(drive, tmp_path / "back")
    back = below(tmp_path / "back", docs)
    (back / "b.txt").unlink()
    restored(drive, tmp_path / "back")
    assert (back / "a.txt").stat().st_ino == (back / "b.txt").stat().st_ino


def test_a_file_that_only_looks_like_the_saved_one_gets_no_further_name(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    """Of the same size and time: another name of it would be a file with the wrong content."""
    (docs / "a.txt").write_bytes(b"saved")
    os.link(docs / "a.txt", docs / "b.txt")
    os.link(docs / "a.txt", docs / "c.txt")
    back_up(drive, docs)
    back = below(tmp_path / "back", docs)
    back.mkdir(parents=True)
    (back / "a.txt").write_bytes(b"SAVED")
    time_ns = (docs / "a.txt").stat().st_mtime_ns
    os.utime(back / "a.txt", ns=(time_ns, time_ns))
    report = restored(drive, tmp_path / "back", overwrite="if-changed")
    assert (report.files_restored, report.files_skipped, report.problems) == (2, 1, ())
    assert [(back / name).read_bytes() for name in ("a.txt", "b.txt", "c.txt")] == [b"SAVED", b"saved", b"saved"]
    assert (back / "b.txt").stat().st_ino == (back / "c.txt").stat().st_ino


def test_two_files_that_were_given_one_number_do_not_become_one(drive: Drive, docs: Path, tmp_path: Path) -> None:
    """An inode's number is used again once its file is deleted, also while a backup runs."""
    old = an_entry("a.txt", [b"Dupont"], drive, link="803:1234")
    new = an_entry("b.txt", [b"Martin"], drive, link="803:1234")
    twin = an_entry("c.txt", [b"Martin"], drive, link="803:1234")
    forge(drive, docs, [old, new, twin], [b"Dupont", b"Martin"])
    report = restored(drive, tmp_path / "back")
    back = below(tmp_path / "back", docs)
    assert [(back / name).read_bytes() for name in ("a.txt", "b.txt", "c.txt")] == [b"Dupont", b"Martin", b"Martin"]
    assert (back / "b.txt").stat().st_ino == (back / "c.txt").stat().st_ino
    assert (report.files_restored, report.problems) == (3, ())


def test_a_hard_link_that_cannot_be_restored_leaves_what_was_there(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "a.txt").write_bytes(noise("saved", 700_000))
    os.link(docs / "a.txt", docs / "b.txt")
    back_up(drive, docs)
    for path in drive.files("packs"):
        data = bytearray(path.read_bytes())
        if len(data) > 700_000:
            data[1000] ^= 1
            path.write_bytes(data)
    back = below(tmp_path / "back", docs)
    back.mkdir(parents=True)
    (back / "b.txt").write_bytes(b"my only copy")
    report = restored(drive, tmp_path / "back", overwrite="always")
    assert kinds(report) == [("damaged", "a.txt"), ("damaged", "b.txt")]
    assert (back / "b.txt").read_bytes() == b"my only copy"


def test_a_hard_link_over_a_name_of_the_same_file_leaves_nothing_else(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "a.txt").write_bytes(b"saved")
    os.link(docs / "a.txt", docs / "b.txt")
    back_up(drive, docs)
    restored(drive, tmp_path / "back")
    restored(drive, tmp_path / "back", overwrite="always")
    assert sorted(path.name for path in below(tmp_path / "back", docs).iterdir()) == ["a.txt", "b.txt"]


def test_a_restore_can_be_stopped_while_it_makes_hard_links(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "0").write_bytes(b"saved")
    for number in range(1, 20):
        os.link(docs / "0", docs / f"{number:02}")
    back_up(drive, docs)
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        restored(drive, tmp_path / "back", cancel=cancel, monitor=StopAfter(4, cancel))
    assert len(list(below(tmp_path / "back", docs).iterdir())) == 4


def test_a_folder_in_the_place_of_a_file_stays(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "thing").write_bytes(b"file")
    back_up(drive, docs)
    (below(tmp_path / "back", docs) / "thing" / "inside").mkdir(parents=True)
    report = restored(drive, tmp_path / "back", overwrite="always")
    assert kinds(report) == [("exists", "thing")]
    assert (below(tmp_path / "back", docs) / "thing" / "inside").is_dir()


def test_a_file_in_the_place_of_a_folder_stays_and_the_rest_comes(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "folder").mkdir()
    (docs / "folder" / "inside").write_bytes(b"inside")
    (docs / "other").write_bytes(b"other")
    back_up(drive, docs)
    back = below(tmp_path / "back", docs)
    back.mkdir(parents=True)
    (back / "folder").write_bytes(b"in the way")
    report = restored(drive, tmp_path / "back", overwrite="always")
    assert kinds(report) == [("exists", "folder")]
    assert (back / "folder").read_bytes() == b"in the way"
    assert (back / "other").read_bytes() == b"other"


# -- hostile destinations ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", ["never", "if-changed", "always"])
def test_links_planted_in_the_destination_lead_nowhere(
    drive: Drive, patients: Path, tmp_path: Path, overwrite: Overwrite
) -> None:
    back_up(drive, patients)
    outside = tmp_path / "outside"
    (outside / "radios").mkdir(parents=True)
    (outside / "target.txt").write_bytes(b"untouched")
    before = seen(outside)
    back = below(tmp_path / "back", patients)
    (back / "Dupont").mkdir(parents=True)
    (back / "Durand").symlink_to(outside)
    (back / "Dupont" / "radios").symlink_to(outside / "radios")
    (back / "Dupont" / "bilan.txt").symlink_to(outside / "target.txt")
    (back / "creux.img").symlink_to(outside / "new.img")
    report = restored(drive, tmp_path / "back", overwrite=overwrite)
    assert seen(outside) == before
    assert {("exists", "Durand"), ("exists", "radios")} <= set(kinds(report))
    if overwrite == "always":
        assert not (back / "creux.img").is_symlink()
        assert (back / "Dupont" / "bilan.txt").read_bytes() == (patients / "Dupont" / "bilan.txt").read_bytes()


def test_a_link_in_the_place_of_the_temporary_file_is_replaced(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "note.txt").write_bytes(b"note")
    (tmp_path / "target").write_bytes(b"untouched")
    back_up(drive, docs)
    back = below(tmp_path / "back", docs)
    back.mkdir(parents=True)
    planted = temporary_name(os.getpid())
    (back / planted).symlink_to(tmp_path / "target")
    assert restored(drive, tmp_path / "back").problems == ()
    assert (back / "note.txt").read_bytes() == b"note"
    assert (tmp_path / "target").read_bytes() == b"untouched"
    assert leftovers(tmp_path / "back") == []


def test_a_destination_that_is_a_file_is_refused(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "note.txt").write_bytes(b"note")
    back_up(drive, docs)
    (tmp_path / "file").write_bytes(b"file")
    with pytest.raises((OSError, KineError)):
        restored(drive, tmp_path / "file")
    assert (tmp_path / "file").read_bytes() == b"file"


# -- interrupted ---------------------------------------------------------------------------------------------------


def many(docs: Path) -> None:
    for number in range(40):
        folder = docs / f"{number % 5}"
        folder.mkdir(exist_ok=True)
        (folder / f"{number}.bin").write_bytes(noise(str(number), 20_000 + 20_000 * number))
        os.chmod(folder / f"{number}.bin", 0o400)
    os.link(docs / "0" / "0.bin", docs / "1" / "link.bin")
    for number in range(5):
        os.chmod(docs / f"{number}", 0o500)


@pytest.mark.parametrize("files", [0, 1, 7, 25])
def test_an_interrupted_restore_goes_on_where_it_stopped(drive: Drive, docs: Path, tmp_path: Path, files: int) -> None:
    many(docs)
    back_up(drive, docs)
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        restored(drive, tmp_path / "back", cancel=cancel, monitor=StopAfter(files, cancel))
    back = below(tmp_path / "back", docs)
    whole = {path.relative_to(docs): path.read_bytes() for path in docs.rglob("*.bin")}
    there = {path.relative_to(back): path.read_bytes() for path in back.rglob("*") if path.is_file()}
    assert there.items() <= whole.items()  # never half a file under its name
    assert leftovers(tmp_path / "back") == []
    report = restored(drive, tmp_path / "back")
    assert (report.files_skipped, report.files_restored) == (len(there), 41 - len(there))
    assert report.problems == ()
    assert seen(back) == seen(docs)


_AS_ANOTHER_USER = """
import os, sys, _strptime  # all that is needed, while it may still be read
from pathlib import Path
from support.engine.drives import back_up, below, enroll, restored, seen
from test_restore import StopAfter, many
from kinebackup.errors import Cancelled
from kinebackup.model import CancelToken
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
folder, files = Path(sys.argv[1]), int(sys.argv[2])
(folder / "docs").mkdir()
many(folder / "docs")
drive = enroll(folder / "drive")
back_up(drive, folder / "docs")
cancel = CancelToken()
try:
    restored(drive, folder / "back", cancel=cancel, monitor=StopAfter(files, cancel))
except Cancelled:
    print("stopped")
print(restored(drive, folder / "back").problems)
print(seen(below(folder / "back", folder / "docs")) == seen(folder / "docs"))
"""


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="becoming another user needs root")
@pytest.mark.parametrize("files", [3, 1000])
def test_folders_that_their_owner_may_not_write_in_do_not_stop_a_second_run(files: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, 65_534, 65_534)
        paths = os.pathsep.join([str(TESTS), str(Path(__file__).parent), str(ROOT)])
        done = subprocess.run(
            [sys.executable, "-c", _AS_ANOTHER_USER, name, str(files)],
            env={"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.stderr == ""
    assert done.stdout == ("stopped\n" if files < 100 else "") + "()\nTrue\n"


# -- full ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of about ten megabytes, mostly taken by ``ballast``."""
    with mounted_ext4(tmp_path, 12 * MIB, "-O", "^has_journal") as place:
        yield place


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="mounting needs root")
def test_a_full_destination_says_what_is_missing_and_can_go_on(
    drive: Drive, docs: Path, tmp_path: Path, small_disk: Path
) -> None:
    for number in range(16):
        (docs / f"{number:02}.bin").write_bytes(noise(str(number), 300_000))
    os.link(docs / "00.bin", docs / "link.bin")
    back_up(drive, docs)
    (small_disk / "ballast").write_bytes(bytes(8 * MIB))
    with pytest.raises(KineError) as caught:
        restored(drive, small_disk / "back")
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC
    back = below(small_disk / "back", docs)
    there = {path.name for path in back.iterdir()}
    assert f"about {17 - len(there)} files are still missing" in caught.value.message
    assert "run the same command again" in caught.value.hint
    for name in there:
        assert (back / name).read_bytes() == (docs / name).read_bytes()
    assert leftovers(small_disk) == []
    (small_disk / "ballast").unlink()
    report = restored(drive, small_disk / "back")
    assert (report.files_skipped, report.problems) == (len(there), ())
    assert seen(back) == seen(docs)
