"""The SQLite file of the state database.

Owns: creating it atomically, its permissions and schema versions, and going on in memory where this computer's disk
does not. Does not know: what the tables mean (state_db.py does), or the words for an error (database_errors.py).

A missing or damaged file is never replaced silently: an empty database would look like a computer without drives, and
would not know in which state each drive was left.
"""

import contextlib
import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, TypeVar

from kinebackup.errors import KineError, NotFound
from kinebackup.i18n import _
from kinebackup.state.database_errors import DiskTrouble, damaged, translating_errors
from kinebackup.state.memory_copy import copy_in_memory

Result = TypeVar("Result")
Access = Literal["ro", "rw", "memory"]

APPLICATION_ID: Final = 0x4B494E45  # "KINE", in the file's header: tells our file from another program's
BUSY_TIMEOUT_S: Final = 10.0

# One migration for each schema version; a released one never changes. Times are microseconds since 1970, UTC.
SCHEMA_STEPS: Final[tuple[tuple[str, ...], ...]] = (
    (
        """CREATE TABLE drives (
            repository TEXT PRIMARY KEY,
            label TEXT NOT NULL UNIQUE,
            place TEXT NOT NULL,
            simulated INTEGER NOT NULL,
            enrolled_us INTEGER NOT NULL,
            header_generation INTEGER NOT NULL,
            folder TEXT NOT NULL,
            fs_uuid TEXT NOT NULL,
            part_uuid TEXT NOT NULL,
            serial TEXT NOT NULL,
            model TEXT NOT NULL
        ) STRICT""",
        # No foreign key: the runs of a drive are kept when it is removed.
        """CREATE TABLE runs (
            id INTEGER PRIMARY KEY,
            repository TEXT NOT NULL,
            kind TEXT NOT NULL,
            started_us INTEGER NOT NULL,
            ended_us INTEGER,
            result TEXT,
            snapshot TEXT,
            counts TEXT NOT NULL
        ) STRICT""",
        "CREATE INDEX runs_by_drive ON runs (repository, kind, started_us)",
        """CREATE TABLE pack_checks (
            repository TEXT NOT NULL,
            pack BLOB NOT NULL,
            checked_us INTEGER NOT NULL,
            ok INTEGER NOT NULL,
            PRIMARY KEY (repository, pack)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE verified_snapshots (
            repository TEXT NOT NULL,
            snapshot TEXT NOT NULL,
            verified_us INTEGER NOT NULL,
            PRIMARY KEY (repository, snapshot)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE seen (
            repository TEXT PRIMARY KEY,
            newest_us INTEGER NOT NULL,
            snapshots INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
    ),
    (
        """CREATE TABLE kept (
            name TEXT PRIMARY KEY,
            value TEXT NOT NULL
        ) STRICT, WITHOUT ROWID""",
    ),
    (  # newest is an order, and not a time: of snapshots their sequence, of runs their row
        "ALTER TABLE seen ADD COLUMN highest_sequence INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE seen DROP COLUMN newest_us",
        "DROP INDEX runs_by_drive",
        "CREATE INDEX runs_by_drive ON runs (repository, kind, id)",
    ),
    # Which check was longest ago is an order as well: a time of 2061 would keep a pack from being read until then.
    ("ALTER TABLE pack_checks ADD COLUMN turn INTEGER NOT NULL DEFAULT 0",),
    (
        """CREATE TABLE snapshots (
            repository TEXT NOT NULL,
            snapshot TEXT NOT NULL,
            sequence INTEGER NOT NULL,
            removed INTEGER NOT NULL,
            PRIMARY KEY (repository, snapshot)
        ) STRICT, WITHOUT ROWID""",
        """CREATE TABLE missing_snapshots (
            repository TEXT PRIMARY KEY,
            missing INTEGER NOT NULL
        ) STRICT, WITHOUT ROWID""",
    ),
    ("DROP TABLE seen",),  # which number is the highest, the snapshots say
    (
        """CREATE TABLE faults (
            id INTEGER PRIMARY KEY,
            repository TEXT NOT NULL,
            file TEXT NOT NULL,
            found_us INTEGER NOT NULL,
            kind TEXT NOT NULL,
            mended INTEGER NOT NULL
        ) STRICT""",
        "CREATE INDEX faults_by_file ON faults (repository, file)",
    ),
)


class Database:
    """A connection that is opened at first use. Thread-safe: a lock serialises all access.

    It is opened to be read only, until something is to be written. Where the disk of this computer is full, read-only
    or fails, a copy in memory takes its place until ``close``, and ``trouble`` says why.
    """

    def __init__(self, file: Path, *, busy_timeout_s: float = BUSY_TIMEOUT_S) -> None:
        self.file = file
        self.trouble: DiskTrouble | None = None
        self._busy_timeout_s = busy_timeout_s
        self._lock = threading.RLock()
        self._connection: sqlite3.Connection | None = None
        self._access: Access = "ro"

    def exists(self) -> bool:
        with translating_errors(self.file):
            return self.file.exists()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """For a single query: SQLite answers it from one state of the file."""
        with self._lock:
            try:
                with translating_errors(self.file):
                    connection = self._connection or self._open("ro")
            except DiskTrouble as trouble:
                connection = self._open_in_memory(trouble)
            with translating_errors(self.file):
                yield connection

    def write(self, work: Callable[[sqlite3.Connection], Result], *, lasting: bool = False) -> Result:
        """Do this in one transaction. ``lasting``: raise ``DiskTrouble`` rather than hold it in memory.

        ``work`` is called again, on the copy in memory, where the file could not be written.
        """
        with self._lock:
            if self._access != "memory":
                try:
                    with self.writing() as connection:
                        return work(connection)
                except DiskTrouble as trouble:
                    if lasting:
                        raise
                    self._open_in_memory(trouble)
            elif lasting and self.trouble is not None:
                raise self.trouble
            with self.writing() as connection:
                return work(connection)

    def note(self, query: str, values: Sequence[object]) -> None:
        """Write one row, in memory where this computer's disk fails."""

        def work(connection: sqlite3.Connection) -> None:
            connection.execute(query, values)

        self.write(work)

    def note_each(self, query: str, rows: Iterable[Sequence[object]]) -> None:
        """Write many rows in one transaction, likewise."""
        kept = list(rows)

        def work(connection: sqlite3.Connection) -> None:
            connection.executemany(query, kept)

        self.write(work)

    @contextlib.contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: committed durably at the end, rolled back on an exception."""
        with self._lock, translating_errors(self.file):
            if self._access == "ro":
                self.close()
            connection = self._connection or self._open("rw")
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:  # SQLite ends it by itself when the disk is full
                    connection.execute("ROLLBACK")
                raise

    def close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self._access = "ro"

    def _open(self, access: Literal["ro", "rw"]) -> sqlite3.Connection:
        connection = _open(self.file, self._busy_timeout_s, access)
        if connection is None:  # of an older version: it has to be changed before it can be read
            access = "rw"
            connection = _open(self.file, self._busy_timeout_s, access)
        assert connection is not None
        self._connection, self._access = connection, access
        return connection

    def _open_in_memory(self, trouble: DiskTrouble) -> sqlite3.Connection:
        """Raises the trouble where not even a copy can be made."""
        self.close()
        try:
            with translating_errors(self.file):
                connection = copy_in_memory(self.file)
                _prepare(connection, self.file)
        except DiskTrouble:
            raise trouble from None
        self._connection, self._access, self.trouble = connection, "memory", trouble
        return connection


def create_database(file: Path) -> None:
    """Create the file, readable by its owner only. A crash leaves either no file or a complete one.

    Raises ``KineError`` where there is one already, or where it cannot be written.
    """
    with translating_errors(file):
        file.parent.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileExistsError):
            file.parent.mkdir(mode=0o700)
        unfinished = file.with_name(f"{file.name}.{os.getpid()}.new")
        os.close(os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600))
        try:
            _fill(unfinished)
            os.link(unfinished, file)  # unlike rename, it never replaces
        except FileExistsError:
            raise KineError(
                _("this computer is already set up: {file} exists").format(file=file),
                _("nothing was changed; see the drives with: kinebackup drive list"),
            ) from None
        finally:
            unfinished.unlink()
        _sync_directory(file.parent)


def _fill(file: Path) -> None:
    with contextlib.closing(_connect(file, BUSY_TIMEOUT_S, "rw")) as connection:
        # Readers never wait for the writer. Set here, for ever: the change itself would need the file alone.
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute("BEGIN IMMEDIATE")
        _apply_steps(connection, have=0)
        connection.execute("COMMIT")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _connect(file: Path, busy_timeout_s: float, access: Literal["ro", "rw"]) -> sqlite3.Connection:
    # Not "rwc": SQLite must not make an empty file where there is none. Our own lock serialises the threads.
    return sqlite3.connect(
        f"{file.absolute().as_uri()}?mode={access}",
        uri=True,
        timeout=busy_timeout_s,
        isolation_level=None,
        check_same_thread=False,
    )


def _open(file: Path, busy_timeout_s: float, access: Literal["ro", "rw"]) -> sqlite3.Connection | None:
    """None where it is of an older version, and was to be read only."""
    if not file.exists():
        raise NotFound(
            _("this computer is not set up yet: there is no {file}").format(file=file),
            _("run: kinebackup init (or, for a practice that has drives already: kinebackup init --join DRIVE)"),
        )
    connection = _connect(file, busy_timeout_s, access)
    try:
        if _prepare(connection, file, may_write=access == "rw"):
            return connection
    except BaseException:
        connection.close()
        raise
    connection.close()
    return None


def _prepare(connection: sqlite3.Connection, file: Path, *, may_write: bool = True) -> bool:
    """Whether it can be used: it is ours, and of this version, or could be made so."""
    if _pragma(connection, "application_id") != APPLICATION_ID:  # also an empty file, which SQLite takes for a new one
        raise damaged(file)
    connection.execute("PRAGMA synchronous = FULL")  # what was committed is on the disk
    version = _pragma(connection, "user_version")
    if version > len(SCHEMA_STEPS):
        raise KineError(
            _("{file} was written by a newer KineBackup").format(file=file), _("install the newer version again")
        )
    if version < len(SCHEMA_STEPS):
        if not may_write:
            return False
        connection.execute("BEGIN IMMEDIATE")
        # Asked again: another process may have done it while this one waited.
        _apply_steps(connection, have=_pragma(connection, "user_version"))
        connection.execute("COMMIT")
    return True


def _apply_steps(connection: sqlite3.Connection, *, have: int) -> None:
    for step in SCHEMA_STEPS[have:]:
        for statement in step:
            connection.execute(statement)
    connection.execute(f"PRAGMA user_version = {len(SCHEMA_STEPS)}")


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    value: int = connection.execute(f"PRAGMA {name}").fetchone()[0]
    return value
