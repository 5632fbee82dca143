"""Folders that change while they are saved: nothing half read passes for good, and nothing outside is reached.

Owns: changes made at exact moments, live databases. Does not know: folders at rest.
"""

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, loaded, noise, restored, writable
from support.engine.hooked_source import HookedSource
from support.ports import Dice

from kinebackup.engine.backup.content import read_small
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.pack_pipeline import OpenSegment, PackPipeline
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.model import BackupReport, CancelToken
from kinebackup.sources.folder import FolderSource
from kinebackup.sources.live_database import DatabaseCopier

MIB = 2**20


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "témoin.txt").write_text("still here", encoding="utf-8")
    return tmp_path / "docs"


def kinds(report: BackupReport) -> list[tuple[str, str]]:
    return [(problem.kind, os.path.basename(problem.path)) for problem in report.problems]


def saved(drive: Drive, docs: Path, tmp_path: Path) -> list[str]:
    """Paths that the latest snapshot restores below the folder."""
    into = tmp_path / f"back-{len(list(tmp_path.iterdir()))}"
    restored(drive, into)
    return sorted(str(path.relative_to(below(into, docs))) for path in below(into, docs).rglob("*"))


def content(drive: Drive, docs: Path, name: str, tmp_path: Path) -> bytes:
    into = tmp_path / f"back-{len(list(tmp_path.iterdir()))}"
    restored(drive, into)
    return (below(into, docs) / name).read_bytes()


class Meddling(CancelToken):
    """Acts each time that the engine asks whether to stop: while it reads a large file, once for each piece read."""

    def __init__(self, act: Callable[[], None]) -> None:
        super().__init__()
        self._act = act

    def check(self) -> None:
        self._act()
        super().check()


class MeddlingPacker(PackPipeline):
    """Acts between looking at a small file and reading it."""

    act: Callable[[], object]

    def reserve(self, kind: Kind, size: int) -> OpenSegment:
        segment = super().reserve(kind, size)
        self.act()
        return segment


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"+")


# -- files that change ---------------------------------------------------------------------------------------------


def test_a_large_file_that_changes_at_every_reading_is_saved_and_reported(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    log = docs / "journal.log"
    log.write_bytes(noise("log", MIB))
    report = back_up(drive, docs, cancel=Meddling(lambda: grow(log)))
    assert kinds(report) == [("uncertain", "journal.log")]
    assert report.snapshot
    data = content(drive, docs, "journal.log", tmp_path)
    assert data.startswith(noise("log", MIB))
    assert data.strip(b"+") == noise("log", MIB).strip(b"+")


def test_an_uncertain_file_is_read_again_and_then_trusted(drive: Drive, docs: Path) -> None:
    log = docs / "journal.log"
    log.write_bytes(noise("log", MIB))
    back_up(drive, docs, cancel=Meddling(lambda: grow(log)))
    calm = back_up(drive, docs)
    assert calm.problems == ()
    assert calm.bytes_read == log.stat().st_size
    assert back_up(drive, docs).bytes_read == 0


def test_a_file_that_changes_once_is_read_again_and_is_certain(drive: Drive, docs: Path, tmp_path: Path) -> None:
    film = docs / "film.avi"
    film.write_bytes(noise("film", MIB))
    left = [1]

    def once() -> None:
        if left and film.stat().st_size == MIB and threading.current_thread().name.startswith("lane"):
            left.pop()
            grow(film)

    report = back_up(drive, docs, cancel=Meddling(once))
    assert not left
    assert report.problems == ()
    assert content(drive, docs, "film.avi", tmp_path) == noise("film", MIB) + b"+"


@pytest.mark.parametrize(("times", "steady"), [(0, True), (1, True), (2, True), (3, False)])
def test_a_small_file_is_read_up_to_three_times(drive: Drive, tmp_path: Path, times: int, *, steady: bool) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"note")
    left = [None] * times

    def act() -> None:
        if left:
            left.pop()
            grow(path)

    with writable(drive) as repository, path.open("rb") as file:
        packer = MeddlingPacker(repository, Dice("small"), read_back=False, cancel=CancelToken())
        packer.act = act
        try:
            stat = os.fstat(file.fileno())
            found = read_small(file.fileno(), stat, keys=repository.keys, index=repository.index, packer=packer)
        finally:
            packer.stop()
    assert found is not None
    assert found.steady == steady
    if steady:
        assert found.size == 4 + times


def test_a_small_file_that_shrinks_or_grows_large_meanwhile_is_not_cut(drive: Drive, tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    acts: list[tuple[Callable[[], object], int | None]] = [
        (lambda: os.truncate(path, 1), 1),
        (lambda: path.write_bytes(bytes(MIB)), None),
    ]
    for act, expected in acts:
        path.write_bytes(b"note")
        with writable(drive) as repository, path.open("rb") as file:
            packer = MeddlingPacker(repository, Dice("small"), read_back=False, cancel=CancelToken())
            packer.act = act
            try:
                stat = os.fstat(file.fileno())
                found = read_small(file.fileno(), stat, keys=repository.keys, index=repository.index, packer=packer)
            finally:
                packer.stop()
        assert (found.size if found else None) == expected


def test_a_change_right_after_reading_is_seen_the_next_time(drive: Drive, docs: Path, tmp_path: Path) -> None:
    """Same size, same mtime, within one tick of the kernel's clock."""
    note = docs / "note.txt"
    for number in range(8):
        note.write_bytes(b"before%d" % number)
        before = note.stat()
        back_up(drive, docs, started_at=datetime.now(UTC))
        note.write_bytes(b"after-%d" % number)
        os.utime(note, ns=(before.st_atime_ns, before.st_mtime_ns))
        back_up(drive, docs, started_at=datetime.now(UTC))
        assert content(drive, docs, "note.txt", tmp_path) == b"after-%d" % number


def test_a_change_during_the_backup_after_its_file_was_read_is_seen_the_next_time(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    (docs / "a.txt").write_bytes(b"before")
    (docs / "z.txt").write_bytes(b"last")

    def act(name: str) -> None:
        if name == "z.txt":
            (docs / "a.txt").write_bytes(b"after!")

    back_up(drive, HookedSource(docs, act), started_at=datetime.now(UTC))
    back_up(drive, docs, started_at=datetime.now(UTC))
    assert content(drive, docs, "a.txt", tmp_path) == b"after!"


# -- names that vanish or turn into something else -----------------------------------------------------------------


@pytest.mark.parametrize("size", [10, 2 * MIB])
def test_a_file_that_vanishes_before_it_is_opened_was_never_there(
    drive: Drive, docs: Path, tmp_path: Path, size: int
) -> None:
    (docs / "brief.tmp").write_bytes(noise("brief", size))
    report = back_up(drive, HookedSource(docs, lambda name: (docs / "brief.tmp").unlink(missing_ok=True)))
    assert report.problems == ()
    assert saved(drive, docs, tmp_path) == ["témoin.txt"]


def test_a_link_that_vanishes_was_never_there(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "brief").symlink_to("nowhere")
    report = back_up(drive, HookedSource(docs, lambda name: (docs / "brief").unlink(missing_ok=True)))
    assert report.problems == ()
    assert saved(drive, docs, tmp_path) == ["témoin.txt"]


def swapped_for(docs: Path, name: str, make: Callable[[Path], object]) -> HookedSource:
    """A source in which that name becomes something else just before it is opened."""

    def act(opening: str) -> None:
        if opening == name and (docs / name).lstat().st_ino == inode:
            (docs / name).rename(docs.parent / f"was-{name}")
            make(docs / name)

    inode = (docs / name).lstat().st_ino
    return HookedSource(docs, act)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("not to be saved", encoding="utf-8")
    return tmp_path / "outside"


def test_a_folder_swapped_for_a_link_is_not_followed(drive: Drive, docs: Path, tmp_path: Path, outside: Path) -> None:
    (docs / "sub").mkdir()
    (docs / "sub" / "inside.txt").write_text("inside", encoding="utf-8")
    report = back_up(drive, swapped_for(docs, "sub", lambda path: path.symlink_to(outside)))
    assert kinds(report) == [("unreadable", "sub")]
    assert saved(drive, docs, tmp_path) == ["sub", "témoin.txt"]


def test_a_file_swapped_for_a_link_is_not_followed(drive: Drive, docs: Path, tmp_path: Path, outside: Path) -> None:
    (docs / "note.txt").write_text("note", encoding="utf-8")
    report = back_up(drive, swapped_for(docs, "note.txt", lambda path: path.symlink_to(outside / "secret.txt")))
    assert kinds(report) == [("unreadable", "note.txt")]
    assert saved(drive, docs, tmp_path) == ["témoin.txt"]


def test_a_file_swapped_for_a_fifo_does_not_hang(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "note.txt").write_text("note", encoding="utf-8")
    back_up(drive, swapped_for(docs, "note.txt", lambda path: os.mkfifo(path)))
    assert saved(drive, docs, tmp_path) == ["témoin.txt"]


def test_a_file_that_became_a_folder_and_back(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "thing").write_text("file", encoding="utf-8")
    back_up(drive, docs)
    (docs / "thing").unlink()
    (docs / "thing").mkdir()
    (docs / "thing" / "inside").write_text("inside", encoding="utf-8")
    back_up(drive, docs)
    assert saved(drive, docs, tmp_path) == ["thing", "thing/inside", "témoin.txt"]
    (docs / "thing" / "inside").unlink()
    (docs / "thing").rmdir()
    (docs / "thing").symlink_to("témoin.txt")
    back_up(drive, docs)
    assert saved(drive, docs, tmp_path) == ["thing", "témoin.txt"]


# -- databases in use ----------------------------------------------------------------------------------------------


@pytest.fixture
def database(docs: Path) -> Iterator[sqlite3.Connection]:
    """A database in write-ahead mode that stays open, so that its log lies beside it."""
    with closing(sqlite3.connect(docs / "agenda.sqlite", check_same_thread=False)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE rdv (id INTEGER PRIMARY KEY, note BLOB)")
        connection.executemany("INSERT INTO rdv VALUES (?, ?)", [(n, noise(str(n), 500)) for n in range(2000)])
        connection.commit()
        yield connection


@pytest.fixture
def source(docs: Path, tmp_path: Path) -> FolderSource:
    (tmp_path / "staging").mkdir(mode=0o700)
    return FolderSource(str(docs), copier=DatabaseCopier([str(tmp_path / "staging")]))


def rows(drive: Drive, docs: Path, tmp_path: Path) -> int:
    into = tmp_path / f"back-{len(list(tmp_path.iterdir()))}"
    restored(drive, into)
    back = below(into, docs)
    assert sorted(path.name for path in back.iterdir()) == ["agenda.sqlite", "témoin.txt"]
    with closing(sqlite3.connect(back / "agenda.sqlite")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        (count,) = copy.execute("SELECT count(*) FROM rdv").fetchone()
        return int(count)


def add_row(database: sqlite3.Connection) -> None:
    database.execute("INSERT INTO rdv (note) VALUES (?)", (noise("more", 500),))
    database.commit()


def test_a_database_in_use_is_copied_with_what_its_log_holds(
    drive: Drive, docs: Path, tmp_path: Path, database: sqlite3.Connection, source: FolderSource
) -> None:
    assert (docs / "agenda.sqlite-wal").stat().st_size > 0
    report = back_up(drive, source)
    assert (report.problems, report.files_new) == ((), 2)
    assert rows(drive, docs, tmp_path) == 2000
    assert list((tmp_path / "staging").iterdir()) == []


def test_a_copied_database_is_copied_again_only_when_it_changed(
    drive: Drive, docs: Path, tmp_path: Path, database: sqlite3.Connection, source: FolderSource
) -> None:
    back_up(drive, source)
    same = back_up(drive, source)
    assert (same.bytes_read, same.files_unmodified) == (0, 2)
    main = (docs / "agenda.sqlite").stat()
    add_row(database)
    assert (docs / "agenda.sqlite").stat().st_mtime_ns == main.st_mtime_ns  # only the log has it
    changed = back_up(drive, source)
    assert (changed.files_changed, changed.files_unmodified) == (1, 1)
    assert rows(drive, docs, tmp_path) == 2001


def test_a_database_written_to_all_the_time_gives_a_consistent_copy(
    drive: Drive, docs: Path, tmp_path: Path, database: sqlite3.Connection, source: FolderSource
) -> None:
    stop = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(docs / "agenda.sqlite", timeout=30)) as own:
            while not stop.is_set():
                add_row(own)
                own.execute("UPDATE rdv SET note = ? WHERE id % 7 = 0", (noise("updated", 500),))
                own.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        report = back_up(drive, source)
    finally:
        stop.set()
        writer.join()
    assert report.problems == ()
    assert rows(drive, docs, tmp_path) >= 2000


def test_a_row_added_right_after_the_copy_is_in_the_next_one(
    drive: Drive, docs: Path, tmp_path: Path, database: sqlite3.Connection, source: FolderSource
) -> None:
    """The log is written from its beginning again: its size says nothing, and its time may be of the same tick."""
    for number in range(6):
        database.execute("PRAGMA wal_checkpoint(RESTART)")
        add_row(database)
        back_up(drive, source, started_at=datetime.now(UTC))
        add_row(database)
        back_up(drive, source, started_at=datetime.now(UTC))
        assert rows(drive, docs, tmp_path) == 2000 + 2 * (number + 1)


def test_a_database_at_rest_is_read_as_it_is(drive: Drive, docs: Path, tmp_path: Path, source: FolderSource) -> None:
    with closing(sqlite3.connect(docs / "agenda.sqlite")) as connection:
        connection.execute("CREATE TABLE rdv (id INTEGER PRIMARY KEY)")
    back_up(drive, source)
    assert content(drive, docs, "agenda.sqlite", tmp_path) == (docs / "agenda.sqlite").read_bytes()


def test_without_room_for_a_copy_the_files_are_saved_as_they_are(
    drive: Drive, docs: Path, tmp_path: Path, database: sqlite3.Connection
) -> None:
    report = back_up(drive, FolderSource(str(docs), copier=DatabaseCopier([str(tmp_path / "gone")])))
    assert report.snapshot
    assert saved(drive, docs, tmp_path) == ["agenda.sqlite", "agenda.sqlite-shm", "agenda.sqlite-wal", "témoin.txt"]


def test_a_copy_has_no_log_beside_it_that_an_earlier_backup_saved_as_it_lay(
    drive: Drive, docs: Path, tmp_path: Path, database: sqlite3.Connection, source: FolderSource
) -> None:
    """SQLite would apply the log to the copy, whoever made them."""
    back_up(drive, FolderSource(str(docs), copier=DatabaseCopier([str(tmp_path / "gone")])))
    report = back_up(drive, source)
    assert report.problems == ()
    assert rows(drive, docs, tmp_path) == 2000
    with loaded(drive) as repository:
        counts = repository.find_snapshot("latest").snapshot.counts
    assert (counts.files, report.files_changed, report.files_unmodified) == (2, 1, 1)


@pytest.mark.parametrize(
    "exclude", [["*-wal"], ["*-wal", "*-shm", "*-journal"], ["agenda.sqlite-*"], ["/agenda.sqlite-wal"], ["*-*"]]
)
@pytest.mark.parametrize("room", [True, False])
def test_what_belongs_to_a_database_is_saved_with_it_whatever_is_excluded(
    drive: Drive, docs: Path, tmp_path: Path, database: sqlite3.Connection, exclude: list[str], room: bool
) -> None:
    (docs / "notes-wal").write_text("no database's")
    staging = tmp_path / "staging"
    if room:
        staging.mkdir(mode=0o700)
    assert (docs / "agenda.sqlite").stat().st_size < 10_000, "all rows are in the log"

    back_up(drive, FolderSource(str(docs), exclude=exclude, copier=DatabaseCopier([str(staging)])))

    assert restored(drive, tmp_path / "back").problems == ()
    back = below(tmp_path / "back", docs)
    with closing(sqlite3.connect(back / "agenda.sqlite")) as copy:
        assert copy.execute("SELECT count(*) FROM rdv").fetchone() == (2000,)
    assert (back / "notes-wal").exists() == (exclude in (["agenda.sqlite-*"], ["/agenda.sqlite-wal"]))


def test_what_belongs_to_a_database_is_excluded_with_it(
    drive: Drive, docs: Path, tmp_path: Path, database: sqlite3.Connection
) -> None:
    back_up(drive, FolderSource(str(docs), exclude=["*.sqlite"]))
    assert saved(drive, docs, tmp_path) == ["témoin.txt"]


def test_a_file_that_only_looks_like_a_database_is_saved_as_it_is(
    drive: Drive, docs: Path, tmp_path: Path, source: FolderSource
) -> None:
    (docs / "fake.sqlite").write_bytes(b"SQLite format 3\0" + noise("fake", 5000))
    (docs / "fake.sqlite-wal").write_bytes(b"not a log")
    back_up(drive, source)
    assert saved(drive, docs, tmp_path) == ["fake.sqlite", "fake.sqlite-wal", "témoin.txt"]
    assert content(drive, docs, "fake.sqlite", tmp_path) == (docs / "fake.sqlite").read_bytes()


def test_the_snapshot_says_that_a_database_was_copied(
    drive: Drive, docs: Path, database: sqlite3.Connection, source: FolderSource
) -> None:
    back_up(drive, source)
    with loaded(drive) as repository:
        found = repository.find_snapshot("latest").snapshot
        trees = TreeReader(BlobReader(repository), lambda _: None)
        entry = trees.find(found.root, str(docs / "agenda.sqlite"))[-1].entry
    assert entry.copied is not None
    assert entry.copied.by == "sqlite"
    assert entry.copied.wal_size == (docs / "agenda.sqlite-wal").stat().st_size
