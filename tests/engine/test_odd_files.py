"""Something else in the place of any one file of a drive, or an error at its every read: that file alone is damaged.

Owns: every file and folder of a small repository × every oddity × every command of the engine.
Does not know: wrong bytes in files (test_damage.py), drives that fail altogether (test_faults.py).
"""

import contextlib
import errno
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    Seen,
    back_up,
    below,
    edit_patients,
    enroll,
    in_memory,
    loaded,
    make_patients,
    pruned,
    restored,
    seen,
    verified,
)
from support.engine.faulting_store import FaultingStore, pulled_out

from kinebackup.engine.drive_errors import drive_errors
from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.engine.repository.store import FolderStore, Store
from kinebackup.errors import CheckFailed, Damaged, DriveFailed, NotFound

HEADERS = HEADER_COPIES


@dataclass(frozen=True)
class Scene:
    """A drive with two backups, a marker, and what people read at its top; what each backup restores to."""

    folder: Path
    source: Path
    drive: Drive
    held: dict[str, dict[str, Seen]]

    def victims(self, *, lock: bool) -> list[str]:
        """Every file of the drive, by its path; the lock only where no writer is meant."""
        paths = [str(path.relative_to(self.drive.root)) for path in self.drive.files("")]
        return [path for path in paths if lock or path != "lock"]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with in_memory(tmp_path_factory.mktemp("odd")) as folder:
        source = make_patients(folder / "patients")
        drive = enroll(folder / "drive")
        held = {str(back_up(drive, source).snapshot): seen(source)}
        edit_patients(source)
        held[str(back_up(drive, source).snapshot)] = seen(source)
        (drive.root / "README.txt").write_text("how to get the data back\n", encoding="utf-8")
        (drive.root / "damaged" / ("ab" * 32)).touch()
        yield Scene(folder, source, drive, held)


# -- what may stand in the place of a file -------------------------------------------------------------------------


def a_folder(place: Path) -> None:
    place.mkdir()


def a_folder_with_something_in_it(place: Path) -> None:
    place.mkdir()
    (place / "lost+found").write_text("of a file system check", encoding="utf-8")


def a_link_that_leads_nowhere(place: Path) -> None:
    place.symlink_to("nowhere")


def a_link_to_its_own_content(place: Path) -> None:
    place.symlink_to("../aside")


def a_link_to_itself(place: Path) -> None:
    place.symlink_to(place.name)


def a_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as bound, contextlib.chdir(place.parent):
        bound.bind("s")
        os.rename("s", place.name)


def a_pipe(place: Path) -> None:
    os.mkfifo(place)


def a_device(place: Path) -> None:
    os.mknod(place, 0o20600, os.makedev(1, 3))


def a_device_without_a_driver(place: Path) -> None:
    os.mknod(place, 0o20600, os.makedev(240, 77))


ODDITIES = [
    a_folder,
    a_folder_with_something_in_it,
    a_link_that_leads_nowhere,
    a_link_to_its_own_content,
    a_link_to_itself,
    a_socket,
    a_pipe,
    pytest.param(a_device, marks=pytest.mark.root),
    pytest.param(a_device_without_a_driver, marks=pytest.mark.root),
]
Oddity = Callable[[Path], None]

every_oddity = pytest.mark.parametrize("oddity", ODDITIES, ids=lambda each: each.__name__.replace("_", " "))

# What a file system, a bad sector, rights, a network or FUSE may answer to whoever opens, reads or lists one file.
CODES = [
    *(errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO, errno.ENODEV),
    *(errno.EISDIR, errno.EINVAL, errno.EREMOTEIO, errno.EILSEQ, errno.EOVERFLOW, errno.ETIMEDOUT, errno.ENODATA),
    *(errno.EOPNOTSUPP, errno.ENOTCONN, errno.ENAMETOOLONG, errno.ETXTBSY, errno.ENOKEY, errno.EPROTO, 9999),
]

READING = frozenset({"read", "read_into", "size", "drop_cache", "list_files", "subdirectories"})


class StoreWithABadPlace(FaultingStore):
    """Every read of what lies at one path fails with one error; all else is sound."""

    def __init__(self, inner: Store, place: str, code: int) -> None:
        super().__init__(inner, pulled_out())
        self._place, self._code = place, code

    def _pass(self, kind: str, path: str) -> None:
        with drive_errors(path, lambda: True):
            if kind in READING and path == self._place:
                raise OSError(self._code, os.strerror(self._code))


@contextlib.contextmanager
def with_a_bad_place(drive: Drive, place: str, code: int) -> Iterator[Store]:
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        yield StoreWithABadPlace(folder, place, code)


@contextlib.contextmanager
def odd_drive(scene: Scene, oddity: Oddity, victim: str) -> Iterator[Drive]:
    """A copy of the drive with something else in the place of that file."""
    drive = scene.drive.copied_to(scene.folder / "copy")
    (drive.root / victim).rename(drive.root / "aside")
    oddity(drive.root / victim)
    try:
        yield drive
    finally:
        shutil.rmtree(drive.root.parent)


# -- what must hold ------------------------------------------------------------------------------------------------


def lost_by_restoring(scene: Scene, drive: Drive, snapshot: str, store: Store | None) -> set[str]:
    """What does not come back; all else does, as it was, and each loss is named."""
    out = scene.folder / "out"
    try:
        report = restored(drive, out, snapshot, store=store)
        place = below(out, scene.source)
        got = {path: (found.type, found.sha256) for path, found in (seen(place) if place.exists() else {}).items()}
    finally:
        shutil.rmtree(out, ignore_errors=True)
    expected = {path: (found.type, found.sha256) for path, found in scene.held[snapshot].items()}
    assert got.items() <= expected.items()
    lost = expected.keys() - got.keys()
    named = [problem.path for problem in report.problems]
    for path in lost:
        full = f"{scene.source}/{path}".removesuffix("/.")
        assert any(full == each or f"{full}/".startswith(each.rstrip("/") + "/") for each in named), path
    assert lost or not named
    return lost


def assert_only_that_file_is_damaged(scene: Scene, drive: Drive, victim: str, store: Store | None = None) -> None:
    """Both backups come back but for what lay in that file, and a verification names it."""
    kind, name = victim.split("/")[0], victim.rpartition("/")[2]
    for snapshot in scene.held:
        if name == snapshot:
            with pytest.raises((Damaged, NotFound)):
                lost_by_restoring(scene, drive, snapshot, store)
        else:
            lost = lost_by_restoring(scene, drive, snapshot, store)
            assert not lost or kind == "packs"
    with loaded(drive, store) as repository:
        files = repository.snapshots()
        assert {named.id for named in files.readable} == scene.held.keys() - {name}
        assert [each.name for each in files.unreadable] == ([name] if kind == "snapshots" else [])
    report = verified(drive, store=store)
    if kind in ("packs", "index", "snapshots") or victim in HEADERS:
        assert report.result == "failed"
        assert victim in [problem.path for problem in report.problems]
    else:
        assert (report.result, report.problems) == ("ok", ())


def assert_commands_go_on(scene: Scene, drive: Drive, store: Store | None = None) -> None:
    """A preview of a prune says yes or no, and a backup brings everything that the source has to safety."""
    with contextlib.suppress(CheckFailed):
        pruned(drive, dry_run=True, store=store)
    back_up(drive, scene.source, dry_run=True, store=store)
    made = back_up(drive, scene.source, store=store)
    out = scene.folder / "out"
    try:
        assert restored(drive, out, str(made.snapshot), store=store).problems == ()
        assert seen(below(out, scene.source)) == seen(scene.source)
    finally:
        shutil.rmtree(out, ignore_errors=True)


@every_oddity
def test_something_else_in_the_place_of_a_file_is_damage_of_that_file_alone(scene: Scene, oddity: Oddity) -> None:
    for victim in scene.victims(lock=True):
        try:
            with odd_drive(scene, oddity, victim) as drive:
                assert_only_that_file_is_damaged(scene, drive, victim)
        except Exception as error:
            error.add_note(f"the victim was {victim}")
            raise


@every_oddity
def test_something_else_in_the_place_of_a_file_keeps_no_backup_from_being_made(scene: Scene, oddity: Oddity) -> None:
    for victim in scene.victims(lock=False):
        try:
            with odd_drive(scene, oddity, victim) as drive:
                assert_commands_go_on(scene, drive)
        except Exception as error:
            error.add_note(f"the victim was {victim}")
            raise


@pytest.mark.parametrize("code", CODES, ids=lambda code: errno.errorcode.get(code, "unknown"))
def test_any_error_of_reading_one_file_is_damage_of_that_file_alone(scene: Scene, code: int) -> None:
    for victim in scene.victims(lock=True):
        try:
            with with_a_bad_place(scene.drive.copied_to(scene.folder / "copy"), victim, code) as store:
                drive = Drive(
                    scene.folder / "copy" / "KINEBACKUP", scene.drive.master, scene.drive.ring, scene.drive.dice
                )
                drive.calendar = scene.drive.calendar
                assert_only_that_file_is_damaged(scene, drive, victim, store)
                if code in (errno.EIO, errno.EACCES, errno.ENXIO):  # all are one to whoever asks the store
                    assert_commands_go_on(scene, drive, store)
        except Exception as error:
            error.add_note(f"the victim was {victim}")
            raise
        finally:
            shutil.rmtree(scene.folder / "copy")


FOLDERS = ["packs", "index", "snapshots", "damaged", "removals", "tmp"]


@pytest.mark.parametrize("folder", FOLDERS)
@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES], ids=["EIO", "EACCES"])
def test_a_folder_that_cannot_be_listed_costs_what_only_its_list_knew(scene: Scene, folder: str, code: int) -> None:
    drive = scene.drive.copied_to(scene.folder / "copy")
    newest = list(scene.held)[-1]
    try:
        with with_a_bad_place(drive, folder, code) as store:
            if folder == "snapshots":
                with pytest.raises(Damaged, match="the folder snapshots cannot be listed"):
                    restored(drive, scene.folder / "out", store=store)
                restored(drive, scene.folder / "out", newest, store=store)
                assert seen(below(scene.folder / "out", scene.source)) == scene.held[newest]
                shutil.rmtree(scene.folder / "out")
            else:
                assert lost_by_restoring(scene, drive, newest, store) == set()
            report = verified(drive, store=store)
            expected = [] if folder == "tmp" else [folder]
            assert [problem.path for problem in report.problems] == expected
            made = back_up(drive, scene.source, store=store)
        out = scene.folder / "out"
        assert restored(drive, out, str(made.snapshot)).problems == ()
        assert seen(below(out, scene.source)) == seen(scene.source)
    finally:
        shutil.rmtree(drive.root.parent)
        shutil.rmtree(scene.folder / "out", ignore_errors=True)


@pytest.mark.parametrize("folder", ["index", "damaged", "removals", "tmp"])
@every_oddity
def test_something_else_in_the_place_of_a_folder_that_can_be_done_without_costs_no_reader_anything(
    scene: Scene, folder: str, oddity: Oddity
) -> None:
    if oddity in (a_folder, a_folder_with_something_in_it):
        return
    with odd_drive(scene, oddity, folder) as drive:
        for snapshot in scene.held:
            assert lost_by_restoring(scene, drive, snapshot, None) == set()
        report = verified(drive)
        assert [problem.path for problem in report.problems] == ([] if folder == "tmp" else [folder])
        if folder in ("damaged", "removals"):
            back_up(drive, scene.source)
        else:  # nothing can be written there: that is said, and what it is
            with pytest.raises(Damaged, match=f"{folder} is not a folder"):
                back_up(drive, scene.source)


# -- the drive itself has gone -------------------------------------------------------------------------------------


def test_a_drive_that_gives_nothing_any_more_has_failed_whatever_the_error_and_no_file_of_it_is_called_damaged(
    scene: Scene,
) -> None:
    for code in (errno.EIO, errno.ENODEV, errno.ENXIO, errno.ESHUTDOWN, errno.ENOTCONN, errno.EUCLEAN):
        drive = scene.drive.copied_to(scene.folder / "copy")
        try:
            with contextlib.closing(FolderStore(str(drive.root))) as folder:
                gone = pulled_out()
                gone.error = code
                with loaded(drive, FaultingStore(folder, gone)) as repository:
                    gone.at = 0
                    with pytest.raises(DriveFailed, match="the drive does not answer"):
                        repository.snapshots()
            assert [path.name for path in drive.files("damaged")] == ["ab" * 32]
        finally:
            shutil.rmtree(drive.root.parent)
