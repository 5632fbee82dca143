"""Is a restored tree the same as its source?

Owns: the comparison. Does not know: who restored it. Contents, types, modes, owners, times and link targets are
compared; a SQLite base that a tool copied through SQLite's own backup may differ in its header's counters, then its
rows are compared instead.
"""

import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

_BLOCK = 1 << 20
_SQLITE_MAGIC = b"SQLite format 3\0"


def differences(source: Path, restored: Path, at_most: int = 20) -> list[str]:
    """What differs, one sentence each; empty when the trees are equal."""
    found: list[str] = []
    for difference in _compare(os.fspath(source), os.fspath(restored), "."):
        found.append(difference)
        if len(found) >= at_most:
            break
    return found


def _compare(source: str, restored: str, path: str) -> Iterator[str]:
    try:
        ours, theirs = os.lstat(source), os.lstat(restored)
    except FileNotFoundError:
        yield f"{path}: not restored"
        return
    if stat.S_IFMT(ours.st_mode) != stat.S_IFMT(theirs.st_mode):
        yield f"{path}: is another type of file"
        return
    if ours.st_mode != theirs.st_mode:
        yield f"{path}: mode {stat.S_IMODE(theirs.st_mode):o} instead of {stat.S_IMODE(ours.st_mode):o}"
    if (ours.st_uid, ours.st_gid) != (theirs.st_uid, theirs.st_gid):
        yield f"{path}: another owner"
    if ours.st_mtime_ns != theirs.st_mtime_ns:
        yield f"{path}: mtime {theirs.st_mtime_ns} instead of {ours.st_mtime_ns}"
    if stat.S_ISDIR(ours.st_mode):
        yield from _compare_directories(source, restored, path)
    elif stat.S_ISLNK(ours.st_mode):
        if os.readlink(source) != os.readlink(restored):
            yield f"{path}: points elsewhere"
    elif stat.S_ISREG(ours.st_mode) and not _same_content(source, restored):
        if not _is_sqlite(source) or not _is_sqlite(restored):
            yield f"{path}: content differs"
        elif not _same_rows(source, restored):
            yield f"{path}: rows of the database differ"


def _compare_directories(source: str, restored: str, path: str) -> Iterator[str]:
    ours, theirs = sorted(os.listdir(source)), set(os.listdir(restored))
    for extra in sorted(theirs.difference(ours)):
        yield f"{path}/{extra}: is not in the source"
    for name in ours:
        yield from _compare(f"{source}/{name}", f"{restored}/{name}", f"{path}/{name}")


def _same_content(source: str, restored: str) -> bool:
    with open(source, "rb", buffering=0) as ours, open(restored, "rb", buffering=0) as theirs:
        while True:
            block = ours.read(_BLOCK)
            if block != theirs.read(_BLOCK):
                return False
            if not block:
                return True


def _is_sqlite(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(len(_SQLITE_MAGIC)) == _SQLITE_MAGIC


def _same_rows(source: str, restored: str) -> bool:
    try:
        with closing(_open(source)) as ours, closing(_open(restored)) as theirs:
            if theirs.execute("PRAGMA integrity_check").fetchone() != ("ok",):
                return False
            schema = "SELECT type, name, sql FROM sqlite_schema ORDER BY type, name"
            tables = ours.execute(schema).fetchall()
            if tables != theirs.execute(schema).fetchall():
                return False
            return all(_same_table(ours, theirs, name) for kind, name, _ in tables if kind == "table")
    except sqlite3.DatabaseError:
        return False


def _open(path: str) -> sqlite3.Connection:
    return sqlite3.connect(f"{Path(path).absolute().as_uri()}?immutable=1", uri=True)


def _same_table(ours: sqlite3.Connection, theirs: sqlite3.Connection, name: str) -> bool:
    query = 'SELECT * FROM "{}" ORDER BY rowid'.format(name.replace('"', '""'))
    left, right = ours.execute(query), theirs.execute(query)
    while True:
        rows = left.fetchmany(10_000)
        if rows != right.fetchmany(10_000):
            return False
        if not rows:
            return True
