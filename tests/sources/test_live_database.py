"""Copies of databases in use: whole, consistent, and leaving nothing behind.

Owns: real SQLite databases, well and unwell. Does not know: backups.
"""

import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from kinebackup.engine.source import LiveCopy
from kinebackup.sources.live_database import DatabaseCopier


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    (tmp_path / "staging").mkdir(mode=0o700)
    return tmp_path / "staging"


@contextmanager
def in_use(path: Path, mode: str = "WAL") -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE rdv (note TEXT)")
        connection.execute("INSERT INTO rdv VALUES ('committed')")
        connection.commit()
        yield connection


def copied(folder: Path, name: str, *staging: Path) -> LiveCopy | None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        return DatabaseCopier([str(place) for place in staging]).copy(fd, name)
    finally:
        os.close(fd)


def rows(live: LiveCopy | None, tmp_path: Path) -> list[str]:
    assert live is not None
    with open(live.fd, "rb") as file:
        (tmp_path / "taken.sqlite").write_bytes(file.read())
    with closing(sqlite3.connect(tmp_path / "taken.sqlite")) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return [note for (note,) in copy.execute("SELECT note FROM rdv")]


@pytest.mark.parametrize("name", ["a.sqlite", "a b?c#d%e.sqlite", "été\n.db", "%41", "file:x", "-", "n" * 200])
def test_a_database_of_any_name_is_copied(tmp_path: Path, staging: Path, name: str) -> None:
    with in_use(tmp_path / name):
        assert rows(copied(tmp_path, name, staging), tmp_path) == ["committed"]
    assert list(staging.iterdir()) == []


def test_a_database_whose_name_is_not_utf_8_is_copied_or_left_to_be_read(tmp_path: Path, staging: Path) -> None:
    with in_use(tmp_path / "a.sqlite"):
        name = "lettre-\udce9.sqlite"
        os.link(tmp_path / "a.sqlite", tmp_path / name)
        live = copied(tmp_path, name, staging)
        if live is not None:
            os.close(live.fd)
    assert list(staging.iterdir()) == []


def test_only_what_was_committed_is_copied(tmp_path: Path, staging: Path) -> None:
    with in_use(tmp_path / "a.sqlite") as connection:
        connection.execute("INSERT INTO rdv VALUES ('not yet')")
        assert rows(copied(tmp_path, "a.sqlite", staging), tmp_path) == ["committed"]
        connection.rollback()


def test_the_live_files_are_remembered(tmp_path: Path, staging: Path) -> None:
    with in_use(tmp_path / "a.sqlite"):
        live = copied(tmp_path, "a.sqlite", staging)
        assert live is not None
        os.close(live.fd)
        wal = (tmp_path / "a.sqlite-wal").stat()
        assert (live.copied.by, live.copied.size) == ("sqlite", (tmp_path / "a.sqlite").stat().st_size)
        assert (live.copied.wal_size, live.copied.wal_mtime) == (wal.st_size, wal.st_mtime_ns)


def test_copying_changes_nothing_beside_the_database(tmp_path: Path, staging: Path) -> None:
    with in_use(tmp_path / "a.sqlite"):
        before = {
            path.name: path.read_bytes()
            for path in tmp_path.iterdir()
            if path.suffix != ".sqlite-shm" and path.is_file()
        }
        assert rows(copied(tmp_path, "a.sqlite", staging), staging) == ["committed"]
        for name, data in before.items():
            assert (tmp_path / name).read_bytes() == data


def test_a_hot_journal_is_no_obstacle(tmp_path: Path, staging: Path) -> None:
    with in_use(tmp_path / "a.sqlite", "PERSIST"):
        assert (tmp_path / "a.sqlite-journal").exists()
        assert rows(copied(tmp_path, "a.sqlite", staging), tmp_path) == ["committed"]


@pytest.mark.parametrize("data", [b"not a database" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_what_is_no_sound_database_is_left_to_be_read_as_it_is(tmp_path: Path, staging: Path, data: bytes) -> None:
    (tmp_path / "fake.sqlite").write_bytes(data)
    assert copied(tmp_path, "fake.sqlite", staging) is None
    assert list(staging.iterdir()) == []


def test_a_place_without_room_or_that_is_gone_is_passed_over(tmp_path: Path, staging: Path) -> None:
    with in_use(tmp_path / "a.sqlite"):
        assert rows(copied(tmp_path, "a.sqlite", tmp_path / "gone", staging), tmp_path) == ["committed"]
        assert copied(tmp_path, "a.sqlite", tmp_path / "gone") is None
        assert copied(tmp_path, "a.sqlite") is None


def test_a_database_that_vanished_raises_as_the_system_does(tmp_path: Path, staging: Path) -> None:
    with pytest.raises(FileNotFoundError):
        copied(tmp_path, "gone.sqlite", staging)


def test_a_link_is_not_followed_to_a_database_elsewhere(tmp_path: Path, staging: Path) -> None:
    (tmp_path / "docs").mkdir()
    with in_use(tmp_path / "a.sqlite"):
        (tmp_path / "docs" / "link.sqlite").symlink_to(tmp_path / "a.sqlite")
        assert copied(tmp_path / "docs", "link.sqlite", staging) is None
    assert list(staging.iterdir()) == []


@pytest.mark.parametrize("mode", ["WAL", "DELETE"])
def test_a_database_that_its_program_keeps_for_itself_is_left_to_be_read(
    tmp_path: Path, staging: Path, mode: str
) -> None:
    with in_use(tmp_path / "a.sqlite", mode) as connection:
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("INSERT INTO rdv VALUES ('not yet')")
        fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            assert DatabaseCopier([str(staging)], timeout_s=0.05).copy(fd, "a.sqlite") is None
        finally:
            os.close(fd)
    assert list(staging.iterdir()) == []


def test_a_place_that_may_not_be_written_in_is_passed_over(tmp_path: Path, staging: Path) -> None:
    not_a_folder = tmp_path / "file"
    not_a_folder.write_bytes(b"")
    with in_use(tmp_path / "a.sqlite"):
        assert rows(copied(tmp_path, "a.sqlite", not_a_folder, staging), tmp_path) == ["committed"]


# -- what somebody puts in its place -------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["-wal", "-shm", "-journal"])
def test_a_link_in_the_place_of_a_companion_is_not_followed(tmp_path: Path, staging: Path, suffix: str) -> None:
    """SQLite would open it to write, and make what it leads to."""
    with in_use(tmp_path / "used.sqlite"):
        os.link(tmp_path / "used.sqlite", tmp_path / "a.sqlite")
        (tmp_path / f"a.sqlite{suffix}").symlink_to(tmp_path / "elsewhere")
        assert copied(tmp_path, "a.sqlite", staging) is None
    assert not (tmp_path / "elsewhere").exists()


@contextmanager
def taking_turns(path: Path, *, instead: Callable[[Path], None]) -> Iterator[None]:
    """As long as this lasts, the file and something else lie there in turns, as fast as can be."""
    original, done = path.with_suffix(".original"), threading.Event()
    os.link(path, original)

    def swap() -> None:
        while not done.is_set():
            for make in (instead, lambda new: os.link(original, new)):
                make(path.with_suffix(".new"))
                os.replace(path.with_suffix(".new"), path)

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        yield
    finally:
        done.set()
        swapper.join()


_TAKEN_IN_TURNS = """
import os, sqlite3, sys
from kinebackup.sources.live_database import DatabaseCopier
folder, staging = sys.argv[1:]
fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
copier = DatabaseCopier([staging], timeout_s=0.02)
for _attempt in range(2000):
    live = copier.copy(fd, "a.sqlite")
    if live is not None:
        with open(live.fd, "rb") as file, open(f"{staging}/taken", "wb") as taken:
            taken.write(file.read())
        with sqlite3.connect(f"{staging}/taken") as copy:
            print(copy.execute("SELECT note FROM rdv").fetchall())
print("done")
"""


def outcomes_in_turns(folder: Path, staging: Path, instead: Callable[[Path], None]) -> set[str]:
    """What two thousand copies gave, taken by another process while somebody takes the file away and puts it back."""
    with taking_turns(folder / "a.sqlite", instead=instead):
        done = subprocess.run(
            [sys.executable, "-c", _TAKEN_IN_TURNS, str(folder), str(staging)],
            capture_output=True,
            text=True,
            timeout=100,
            check=True,
        )
    return set(done.stdout.splitlines())


def make_at_rest(path: Path, note: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE rdv (note TEXT)")
        connection.execute("INSERT INTO rdv VALUES (?)", (note,))
        connection.commit()


def test_a_pipe_put_in_the_place_of_a_database_holds_up_nothing(tmp_path: Path, staging: Path) -> None:
    make_at_rest(tmp_path / "a.sqlite", "mine")
    assert outcomes_in_turns(tmp_path, staging, os.mkfifo) <= {"[('mine',)]", "done"}


def test_a_link_put_in_the_place_of_a_database_leads_to_no_other_one(tmp_path: Path, staging: Path) -> None:
    (tmp_path / "docs").mkdir()
    make_at_rest(tmp_path / "docs" / "a.sqlite", "mine")
    make_at_rest(tmp_path / "other.sqlite", "another's")
    found = outcomes_in_turns(tmp_path / "docs", staging, lambda new: new.symlink_to(tmp_path / "other.sqlite"))
    assert found <= {"[('mine',)]", "done"}


# -- what stays of a copy ------------------------------------------------------------------------------------------

_COPY = """
import os, sys
from kinebackup.sources.live_database import DatabaseCopier
folder, staging = sys.argv[1:]
fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
while True:
    os.close(DatabaseCopier([staging]).copy(fd, "a.sqlite").fd)
"""


def copied_so_far(process: int, staging: Path) -> int:
    """How many bytes the process has written to a copy that it has open."""
    sizes = [0]
    for link in Path(f"/proc/{process}/fd").iterdir():
        try:
            if os.readlink(link).startswith(f"{staging}/"):
                sizes.append(link.stat().st_size)
        except OSError:
            continue
    return max(sizes)


def test_a_killed_run_leaves_nothing_of_a_copy_behind(tmp_path: Path, staging: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as connection:
        connection.execute("CREATE TABLE rdv AS SELECT zeroblob(60000000) AS note")
        connection.commit()
    with subprocess.Popen([sys.executable, "-c", _COPY, str(tmp_path), str(staging)]) as process:
        while not 1_000_000 < copied_so_far(process.pid, staging) < 59_000_000:
            assert process.poll() is None
        process.kill()
    assert [path for path in staging.rglob("*") if path.is_file() and path.stat().st_size] == []


def test_what_a_killed_process_left_is_removed_and_what_a_running_one_has_stays(tmp_path: Path, staging: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as ended:
        pass
    for process in (ended.pid, os.getpid()):
        (staging / f"kinebackup-copy-{process}-abc").mkdir(mode=0o700)
        (staging / f"kinebackup-copy-{process}-abc" / "copy").write_bytes(b"plaintext")
    with in_use(tmp_path / "a.sqlite"):
        assert rows(copied(tmp_path, "a.sqlite", staging), tmp_path) == ["committed"]
    assert [path.name for path in staging.iterdir()] == [f"kinebackup-copy-{os.getpid()}-abc"]


# -- room ----------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.ismount("/dev/shm"), reason="this machine cannot mount that: no folder in memory")
@pytest.mark.parametrize(("kilobytes", "in_memory"), [(16, False), (1_000_000, True)])
def test_a_copy_goes_into_memory_only_where_memory_is_free(
    tmp_path: Path, disk_path: Path, kilobytes: int, in_memory: bool
) -> None:
    info, disk = tmp_path / "meminfo", disk_path / "staging"
    disk.mkdir(mode=0o700)
    info.write_text(f"MemTotal:  8000000 kB\nMemFree:  8 kB\nMemAvailable:  {kilobytes} kB\nBuffers:  9 kB\n")
    make_at_rest(tmp_path / "a.sqlite", "x" * 20_000)
    fd = os.open(tmp_path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with tempfile.TemporaryDirectory(dir="/dev/shm") as memory:
            live = DatabaseCopier([memory, str(disk)], memory_info=str(info)).copy(fd, "a.sqlite")
            assert live is not None
            assert (os.fstat(live.fd).st_dev == os.stat(memory).st_dev) == in_memory
            os.close(live.fd)
    finally:
        os.close(fd)
