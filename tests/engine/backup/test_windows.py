"""A huge folder is gone through in windows: nothing comes of it but that the memory is bounded.

Owns: the comparison of a backup in windows of a few names with one that sees each folder whole, and the memory of one
folder of very many names. Does not know: what else a backup must do.
"""

import errno
import os
import random
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from support.engine.drives import Drive, back_up, enroll, in_memory, loaded, noise, opened, request_for
from support.engine.failing_source import Call, FailingSource
from support.project import TESTS

from kinebackup.engine.backup.backup import preview_backup
from kinebackup.engine.backup.parent.directory import ParentDirectory, ParentNames, WindowSize
from kinebackup.engine.backup.windows import Windows
from kinebackup.engine.format.snapshot import Snapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.engine.source import Listing
from kinebackup.model import BackupReport, CancelToken, SilentMonitor
from kinebackup.sources.folder import FolderSource
from kinebackup.sources.live_database import DatabaseCopier

NAMES = some.lists(some.text("abé-\udce9\U0001f489", min_size=1, max_size=4), max_size=24, unique=True)
FEW = WindowSize(names=2, tree_blobs=0)


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Path]:
    """A place where a sync costs nothing."""
    with in_memory(tmp_path) as folder:
        yield folder


# -- the windows themselves ----------------------------------------------------------------------------------------


def in_order(names: list[str]) -> list[str]:
    return sorted(names, key=os.fsencode)


def parent_of(names: list[str], each: int) -> ParentNames:
    """A directory of the parent, whose tree blobs have so many names each; a blob's id is the place of the first."""

    def read(ids: object) -> list[Entry]:
        return [
            Entry(name=name, type="file", mode=0, mtime=0, ctime=0)
            for at in map(int, ids)  # type: ignore[call-overload] # ids as a tree has them: text
            for name in names[at : at + each]
        ]

    def build(entries: list[Entry]) -> ParentDirectory:
        return ParentDirectory({entry.name: entry for entry in entries})

    return ParentNames([str(at) for at in range(0, len(names), each)], read, build, at_once=0)


@settings(max_examples=300)
@given(NAMES, NAMES, some.integers(1, 5))
def test_each_name_of_source_and_parent_comes_once_and_in_the_same_window(
    source: list[str], parent: list[str], each: int
) -> None:
    source, parent = in_order(source), in_order(parent)
    through = Windows(Listing(list(source)), parent_of(parent, each), FEW)
    seen: list[str] = []
    known: list[str] = []
    while not through.is_done:
        window = through.take()
        stretch = {*window.names, *window.old.entries}
        assert stretch or window.is_last
        assert all(os.fsencode(name) > os.fsencode(before) for name in stretch for before in (*seen, *known))
        beside = through.beside(set(window.names))
        assert all((name in beside) == (name in source) for name in {*source, *parent} - set(seen))
        seen += window.names
        known += window.old.entries
        assert window.is_last == through.is_done
        assert len(window.names) <= 2 or window.is_last
    assert (seen, known) == (source, parent)


def test_names_of_the_parent_that_do_not_come_in_their_order_are_left_out_and_told() -> None:
    told: list[str] = []
    blobs = {"one": ["b", "d"], "two": ["a", "d", "e"]}

    def read(ids: object) -> list[Entry]:
        return [
            Entry(name=name, type="file", mode=0, mtime=0, ctime=0)
            for text in ids  # type: ignore[attr-defined] # ids as a tree has them: text
            for name in blobs[text]
        ]

    parent = ParentNames(
        ["one", "two", "two", "two", "two"],
        read,
        lambda entries: ParentDirectory({entry.name: entry for entry in entries}),
        lambda: told.append("out of order"),
    )
    assert list(parent.rest().entries) == ["b", "d", "e"]
    assert len(told) == 2 + 3 * 3


# -- a backup in windows -------------------------------------------------------------------------------------------


def snapshot_of(drive: Drive, report: BackupReport) -> Snapshot:
    assert report.snapshot is not None
    with opened(drive) as repository:
        return repository.find_snapshot(report.snapshot).snapshot


def tree_of(drive: Drive, report: BackupReport, folder: Path) -> list[str]:
    """The ids of the folder's tree blobs: the folders above it are others' too, and may change at any time."""
    with loaded(drive) as repository:
        trees = TreeReader(BlobReader(repository), lambda problem: None)
        return trees.find(snapshot_of(drive, report).root, str(folder))[-1].entry.tree


def told(report: BackupReport) -> dict[str, object]:
    """All that a report says of the sources."""
    plain = replace(report, snapshot=None, duration_s=0, bytes_written=0)
    return {name: getattr(plain, name) for name in report.__dataclass_fields__ if name != "problems"} | {
        "problems": sorted((p.kind, p.path, p.message) for p in report.problems)
    }


def make_mixed(folder: Path) -> None:
    """One of everything whose neighbours matter, and many small files between."""
    folder.mkdir()
    for number in range(14):
        (folder / f"lettre-{number:02}.txt").write_text(f"lettre {number}")
    for name in ("base", "m", "x", "x y"):
        (folder / name).mkdir()
        for number in range(5):
            (folder / name / f"{number}").write_text(f"{name} {number}")
    (folder / "film.bin").write_bytes(noise("film", 700_000))
    (folder / "lien").symlink_to("film.bin")
    os.link(folder / "lettre-03.txt", folder / "zz-lettre.txt")
    (folder / os.fsdecode(b"lettre-\xe9")).write_text("a name in Latin-1")


def edit_at_random(folder: Path, dice: random.Random, day: int) -> None:
    names = sorted(os.listdir(folder))
    for name in dice.sample(names, 4):
        path = folder / name
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            shutil.rmtree(path)
    for _ in range(5):
        path = folder / f"{dice.choice('abmxz')}-{dice.randrange(50)}"
        if path.is_dir():
            (path / f"{day}").write_text(f"{day}")
        elif dice.random() < 0.3:
            path.unlink(missing_ok=True)
            path.mkdir()
            (path / "a").write_text(f"{day}")
        else:
            path.write_bytes(noise(f"{day}", dice.choice((10, 600_000))))


def test_a_backup_in_windows_gives_the_same_trees_and_says_the_same(shelf: Path) -> None:
    docs = shelf / "docs"
    make_mixed(docs)
    drive = enroll(shelf / "drive")
    dice = random.Random(8)
    sick: set[Call] = set()

    def met(call: Call) -> None:
        if call in sick:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    for day in range(30):
        names = sorted(os.listdir(docs))
        sick.clear()
        if day % 3 == 1:  # names that cannot be seen or opened
            sick |= {Call(dice.choice(("lstat", "open")), name) for name in dice.sample(names, 3)}
        if day % 5 == 4:
            sick.add(Call("list on", ""))
        other = drive.copied_to(shelf / f"{day}")
        at = drive.calendar.next_day()
        in_windows = back_up(other, FailingSource(docs, met), started_at=at, accept_shrink=True, window=FEW)
        whole = back_up(drive, FailingSource(docs, met), started_at=at, accept_shrink=True)
        assert told(in_windows) == told(whole), day
        assert tree_of(other, in_windows, docs) == tree_of(drive, whole, docs), day
        shutil.rmtree(other.root)
        edit_at_random(docs, dice, day)


def test_a_database_and_what_belongs_to_it_keep_their_unity_across_windows(shelf: Path) -> None:
    """The log of a database is in a later window: it is copied all the same, and the log is not saved beside it."""
    docs = shelf / "docs"
    docs.mkdir()
    for number in range(9):  # all of them between the database and its log
        (docs / f"cabinet.sqlite {number}").write_text("x")
    drive = enroll(shelf / "drive")
    source = FolderSource(str(docs), copier=DatabaseCopier([str(shelf)]))
    with closing(sqlite3.connect(docs / "cabinet.sqlite")) as base:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("CREATE TABLE seance (note TEXT)")
        base.commit()
        for _ in range(2):
            base.execute("INSERT INTO seance VALUES ('bilan')")
            base.commit()
            report = back_up(drive, source, window=FEW)
            assert report.problems == ()
            with loaded(drive) as repository:
                walked = TreeReader(BlobReader(repository), lambda problem: None).walk(snapshot_of(drive, report).root)
                names = {v.entry.name: v.entry for v in walked if v.entry.type == "file"}
            assert {name for name in names if name.endswith(("-wal", "-shm"))} == set()
            assert names["cabinet.sqlite"].copied is not None


def test_a_preview_in_windows_counts_the_same(shelf: Path) -> None:
    docs = shelf / "docs"
    make_mixed(docs)
    drive = enroll(shelf / "drive")
    with loaded(drive) as repository:
        request = replace(request_for(drive, docs), window=FEW)
        report = preview_backup(repository, request, drive.world(), cancel=CancelToken(), monitor=SilentMonitor())
    assert report.files_new == back_up(drive, docs).files_new == 14 + 4 * 5 + 3


# -- memory --------------------------------------------------------------------------------------------------------

MEASURED = """
import resource, sys
from pathlib import Path
from support.engine.drives import back_up, enroll
place = Path(sys.argv[1])
drive = enroll(place / "drive")
for _ in range(2):
    report = back_up(drive, place / "docs")
    print(report.files_new, report.files_unmodified, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peaks_kib(shelf: Path, files: int) -> list[int]:
    """What a first and a second backup of one folder of so many names need at most, in a process of its own."""
    place = shelf / f"{files}"
    (place / "docs").mkdir(parents=True)
    for number in range(files):
        (place / "docs" / f"séance du {number:06}.txt").write_bytes(b"x")
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, str(place)],
        env={**os.environ, "PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=True,
    )
    first, second = (list(map(int, line.split())) for line in done.stdout.splitlines())
    assert (first[:2], second[:2]) == ([files, 0], [0, files])
    shutil.rmtree(place)
    return [first[2], second[2]]


@pytest.mark.slow
def test_the_memory_of_one_folder_grows_by_little_more_than_its_names(shelf: Path) -> None:
    """All files have one content, so that the index of their contents, which grows with them, is not measured.

    250 MB for a million names leave 200 bytes a name.
    """
    small, large = peaks_kib(shelf, 50_000), peaks_kib(shelf, 200_000)
    grown = [(after - before) * 1024 / 150_000 for before, after in zip(small, large, strict=True)]
    assert max(grown) < 200, grown
