"""Copies of databases in use: whole, consistent, and leaving nothing behind.

Owns: real SQLite databases, well and unwell. Does not know: backups.
"""

import os
import sqlite3
from collections.abc import Iterator
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
