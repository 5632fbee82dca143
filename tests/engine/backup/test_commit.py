"""A drive that gives back other bytes than it took: no backup is called saved whose snapshot or root does not open.

Owns: what becomes of the snapshot's file and of the root's pack between their writing and their proof. Does not know:
how a drive refuses or vanishes (tests/engine/test_faults.py), or damage of earlier backups (test_damage_met.py).
"""

import contextlib
import hashlib
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, edit_patients, enroll, make_patients, restored, seen, verified
from support.engine.faulting_store import FaultingStore, failed_write

from kinebackup.engine.format.layout import parity_path
from kinebackup.engine.format.parity import encode
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import DriveFailed
from kinebackup.model import BackupReport, FileName


@dataclass
class Scene:
    """A drive with one backup, and a source that has changed since."""

    folder: Path
    source: Path
    drive: Drive
    first: str

    def back_up(self, store: FaultingStore | None = None, *, read_back: bool = True) -> BackupReport:
        return back_up(self.drive, self.source, store=store, read_back=read_back)

    def snapshots(self) -> list[str]:
        return [path.name for path in self.drive.files("snapshots")]


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    source, drive = make_patients(tmp_path / "patients"), enroll(tmp_path / "drive")
    first = str(back_up(drive, source).snapshot)
    edit_patients(source)
    return Scene(tmp_path, source, drive, first)


def one_bit(path: Path, before: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def end_missing(path: Path, before: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def zeros(path: Path, before: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def nothing_in_it(path: Path, before: Path) -> None:
    path.write_bytes(b"")


def an_older_file(path: Path, before: Path) -> None:
    shutil.copyfile(before, path)


def gone(path: Path, before: Path) -> None:
    path.unlink()


def a_folder(path: Path, before: Path) -> None:
    path.unlink()
    path.mkdir()


Spoil = Callable[[Path, Path], None]
WAYS = [one_bit, end_missing, zeros, nothing_in_it, an_older_file, gone, a_folder]
each_way = pytest.mark.parametrize("spoil", WAYS, ids=lambda way: way.__name__)


@dataclass
class Spoiler:
    """Spoils, once, the file that is about to be met by this operation. ``heals``: its parity is there, else not."""

    scene: Scene
    spoil: Spoil
    operation: str
    folder: str
    heals: bool = False
    begun: bool = False
    done: bool = False

    def __call__(self, kind: str, path: str) -> None:
        """Before an operation on the drive. What is met before the index is written is of the backup before."""
        self.begun |= (kind, path) == ("sync_directories", "index")
        if self.begun and not self.done and kind == self.operation and path.startswith(f"{self.folder}/"):
            self.done = True
            self._give_or_take_parity(self.scene.drive.root / path)
            self.spoil(self.scene.drive.root / path, self.scene.drive.root / "snapshots" / self.scene.first)

    def _give_or_take_parity(self, victim: Path) -> None:
        """How far this run is with it depends on the order in which packs ended."""
        where = self.scene.drive.root / parity_path(FileName(victim.name))
        if self.heals:
            where.parent.mkdir(exist_ok=True)
            where.write_bytes(encode(victim.read_bytes(), is_copy=True))
        else:
            where.unlink(missing_ok=True)


@contextlib.contextmanager
def on_a_drive_that_lies(scene: Scene, lie: Spoiler) -> Iterator[FaultingStore]:
    with contextlib.closing(FolderStore(str(scene.drive.root))) as files:
        yield FaultingStore(files, failed_write(), lie)
    assert lie.done, "the moment never came"


def assert_the_next_backup_is_whole(scene: Scene) -> None:
    report = scene.back_up()
    assert report.snapshot is not None
    assert restored(scene.drive, scene.folder / "back", report.snapshot).problems == ()
    assert seen(below(scene.folder / "back", scene.source)) == seen(scene.source)
    assert restored(scene.drive, scene.folder / "first", scene.first).problems == ()


@each_way
@pytest.mark.parametrize("moment", ["drop_cache", "read_into", "size", "read"])
def test_a_snapshot_that_does_not_come_back_as_it_was_written_is_no_backup(
    scene: Scene, moment: str, spoil: Spoil
) -> None:
    lie = Spoiler(scene, spoil, moment, "snapshots")
    with on_a_drive_that_lies(scene, lie) as store, pytest.raises(DriveFailed) as failed:
        scene.back_up(store)
    assert failed.value.hint != ""
    assert scene.snapshots() == [scene.first]
    assert_the_next_backup_is_whole(scene)
    assert verified(scene.drive).result == "ok"


@each_way
@pytest.mark.parametrize("moment", ["size", "read"])
def test_it_is_none_either_where_nothing_is_asked_of_the_drive_itself(scene: Scene, moment: str, spoil: Spoil) -> None:
    lie = Spoiler(scene, spoil, moment, "snapshots")
    with on_a_drive_that_lies(scene, lie) as store, pytest.raises(DriveFailed, match="cannot be read again"):
        scene.back_up(store, read_back=False)
    assert scene.snapshots() == [scene.first]
    assert_the_next_backup_is_whole(scene)


# Without its last byte a pack lacks a part of its table, of which what the index lists has no need.
@pytest.mark.parametrize("spoil", [way for way in WAYS if way is not end_missing], ids=lambda way: way.__name__)
@pytest.mark.parametrize("read_back", [True, False])
def test_a_backup_whose_root_does_not_come_back_is_not_saved_and_the_next_one_is(
    scene: Scene, spoil: Spoil, read_back: bool
) -> None:
    lie = Spoiler(scene, spoil, "read", "packs")
    with on_a_drive_that_lies(scene, lie) as store, pytest.raises(DriveFailed, match="cannot be read again") as failed:
        scene.back_up(store, read_back=read_back)
    assert failed.value.hint == "run the backup again; if it fails again, use another drive"
    assert scene.snapshots() == [scene.first]
    assert len(scene.drive.files("damaged")) == 1
    assert_the_next_backup_is_whole(scene)


@pytest.mark.parametrize("spoil", [way for way in WAYS if way is not end_missing], ids=lambda way: way.__name__)
@pytest.mark.parametrize("read_back", [True, False])
def test_a_backup_whose_root_comes_back_by_its_parity_is_saved_and_whole_on_the_drive(
    scene: Scene, spoil: Spoil, read_back: bool
) -> None:
    lie = Spoiler(scene, spoil, "read", "packs", heals=True)
    with on_a_drive_that_lies(scene, lie) as store:
        report = scene.back_up(store, read_back=read_back)
    assert report.snapshot is not None
    assert report.problems == ()
    assert scene.drive.files("damaged") == []
    assert {hashlib.sha256(path.read_bytes()).hexdigest() for path in scene.drive.files("packs")} == {
        path.name for path in scene.drive.files("packs")
    }
    assert_the_next_backup_is_whole(scene)
