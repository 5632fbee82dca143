"""Damage that a backup meets: the pack is out of use at once and marked, the person is told, and all is saved again.

Owns: every part of the drive that a backup reads of its parent, with a wrong byte. Does not know: what a verification
makes of it (tests/engine/check), or damage that a backup has no reason to read.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, enroll, in_memory, loaded, noise, restored, seen, verified
from support.engine.faulting_store import FaultingStore, pulled_out

from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.layout import pack_path
from kinebackup.engine.format.pack import Segment
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import DriveFailed
from kinebackup.model import Problem


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    with in_memory(tmp_path) as folder:
        yield folder


def make(place: Path, shape: str, days: int) -> tuple[Drive, Path]:
    """Fifty files, in one folder or in one each, and one that changes every day."""
    source = place / "patients"
    source.mkdir()
    for number in range(50):
        folder = source / f"patient {number}" if shape == "deep" else source
        folder.mkdir(exist_ok=True)
        (folder / f"bilan {number}.txt").write_text(f"Bilan {number}\n" * 30, encoding="utf-8")
    drive = enroll(place / "drive")
    for day in range(days):
        (source / "agenda").write_bytes(noise(f"agenda {day}", 3000))
        back_up(drive, source)
    return drive, source


def parts(drive: Drive, kinds: set[Kind]) -> list[tuple[str, Segment]]:
    with loaded(drive) as repository:
        return [
            (name, segment)
            for table in repository.index.tables
            for name, segments in table.segments_of([listed.name for listed in table.packs]).items()
            for segment in segments
            if segment.kind in kinds
        ]


def assert_restores(drive: Drive, source: Path, place: Path, snapshot: str | None) -> None:
    assert restored(drive, place / "out", str(snapshot)).problems == ()
    assert seen(below(place / "out", source)) == seen(source)
    shutil.rmtree(place / "out")


@pytest.mark.parametrize("days", [1, 3])
@pytest.mark.parametrize("shape", ["flat", "deep"])
def test_one_wrong_byte_in_any_folder_of_the_parent_is_told_marked_and_mended_by_the_same_backup(
    place: Path, shape: str, days: int
) -> None:
    original, source = make(place, shape, days)
    met = 0
    for name, segment in parts(original, {Kind.TREE}):
        drive = original.copied_to(place / "copy")
        pack = drive.root / pack_path(name)
        data = bytearray(pack.read_bytes())
        data[segment.offset + segment.sealed_size // 2] ^= 1
        pack.write_bytes(data)

        looked = back_up(drive, source, dry_run=True)
        assert drive.files("damaged") == []
        report = back_up(drive, source)
        assert_restores(drive, source, place, report.snapshot)
        if looked.problems:  # else the newest backup does not need it, and it is found when its parity is to be made
            met += 1
            assert looked.problems == report.problems
        assert [(problem.kind, problem.path) for problem in report.problems] == [("damaged", pack_path(name))]
        assert [path.name for path in drive.files("damaged")] == [name]
        again = back_up(drive, source)
        assert (again.problems, again.files_unmodified, again.bytes_read) == ((), 51, 0)
        assert_restores(drive, source, place, again.snapshot)
        shutil.rmtree(drive.root.parent)
    assert met >= 1


def test_a_snapshot_that_does_not_open_is_told_once_and_marked(place: Path) -> None:
    drive, source = make(place, "flat", 2)
    victim = drive.files("snapshots")[0]
    victim.write_bytes(b"x" + victim.read_bytes()[1:])
    report = back_up(drive, source)
    text = "its bytes are not those that its name stands for"
    assert report.problems == (Problem("damaged", f"snapshots/{victim.name}", text, (victim.name,)),)
    assert [path.name for path in drive.files("damaged")] == [victim.name]
    assert back_up(drive, source).problems == ()
    assert verified(drive).result == "failed"


def test_a_drive_that_is_pulled_out_while_the_parent_is_read_marks_nothing(place: Path) -> None:
    original, source = make(place, "deep", 1)
    for at in range(0, 60, 7):
        drive = original.copied_to(place / "copy")
        with contextlib.closing(FolderStore(str(drive.root))) as folder, contextlib.suppress(DriveFailed):
            back_up(drive, source, store=FaultingStore(folder, pulled_out(at)))
        assert drive.files("damaged") == []
        shutil.rmtree(drive.root.parent)
