"""The state database: drives, runs, and what has been checked.

Owns: the meaning of the tables. Does not know: keys, the names of files, or what time it is.

All of it can be lost without losing a backup: the drives hold everything needed to restore.
"""

# ruff: noqa: S608  the queries are put together from constants of this file and question marks only

import json
from collections.abc import Iterable
from dataclasses import asdict, fields
from datetime import datetime
from pathlib import Path
from sqlite3 import Connection
from types import TracebackType
from typing import Final, NamedTuple, Self

from kinebackup.errors import ConfigError, NotFound
from kinebackup.i18n import _
from kinebackup.model import FileName
from kinebackup.policy.job_kinds import JobKind
from kinebackup.state.database import Database, create_database
from kinebackup.state.database_errors import DiskTrouble
from kinebackup.state.fault_memory import FaultMemory
from kinebackup.state.records import (
    GOOD,
    Drive,
    PackCoverage,
    Run,
    RunCounts,
    RunId,
    RunResult,
    VerifiedSnapshot,
)
from kinebackup.state.rows import drive_of_row, row_of_drive, run_of_row, time_of_us, us_of_time
from kinebackup.state.snapshot_memory import SnapshotMemory

STATE_FILE: Final = "state.db"

_DRIVE: Final = (
    "label, place, simulated, repository, enrolled_us, header_generation, folder, fs_uuid, part_uuid, serial, model"
)
_RUN: Final = "id, repository, kind, started_us, ended_us, result, snapshot, counts"


def not_set_up() -> NotFound:
    """There is no state directory, or it holds nothing yet."""
    return NotFound(
        _("KineBackup is not set up on this computer"),
        _("run: kinebackup init; or, with a drive that already has backups: kinebackup init --join DRIVE"),
    )


def label_taken(label: str) -> ConfigError:
    """Two drives cannot have one label."""
    return ConfigError(
        _('a drive with the label "{label}" is enrolled already').format(label=label),
        _("choose another label with --label, or forget that drive: kinebackup drive forget {label}").format(
            label=label
        ),
    )


class _PackCheck(NamedTuple):
    """The last check of a pack. ``turn``: higher than those of all checks before it, whatever the clock said."""

    at_us: int
    ok: bool
    turn: int


class StateDb:
    """The database in ``directory``. It is opened at the first query, and created by ``create`` only.

    Every method raises ``NotFound`` where the computer is not set up, ``StateDamaged`` where the file is damaged and
    another ``KineError`` where it cannot be read. Times are aware; they come back in UTC.

    Where this computer's disk cannot be written to, what was seen and done is held in memory until ``close``, for a run
    must not fail for want of a note about it; what a person decides about a drive raises ``DiskTrouble``.
    """

    def __init__(self, directory: Path) -> None:
        self._database = Database(directory / STATE_FILE)
        self.snapshots = SnapshotMemory(self._database)
        self.faults = FaultMemory(self._database)
        self._told: DiskTrouble | None = None

    @classmethod
    def create(cls, directory: Path) -> Self:
        """Create an empty database, and its directory if need be. Raises ``KineError`` where there is one already."""
        create_database(directory / STATE_FILE)
        return cls(directory)

    @property
    def exists(self) -> bool:
        return self._database.exists()

    def untold_trouble(self) -> DiskTrouble | None:
        """Why what is written is held in memory only; None where it is not, or where that has been told already."""
        told, self._told = self._told, self._database.trouble
        return None if self._told is told else self._told

    def close(self) -> None:
        """Close the file. The next query opens it again."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # --- drives -----------------------------------------------------------------------------------------------------

    def drives(self) -> tuple[Drive, ...]:
        """All enrolled drives, in the order of their labels."""
        with self._database.reading() as connection:
            rows = connection.execute(f"SELECT {_DRIVE} FROM drives ORDER BY label").fetchall()
        return tuple(drive_of_row(row) for row in rows)

    def drive(self, label: str) -> Drive:
        """The drive of this label. Raises ``NotFound`` with the list of those that are known."""
        known = self.drives()
        for drive in known:
            if drive.label == label:
                return drive
        raise _unknown_drive(label, known)

    def drive_of(self, repository: str) -> Drive | None:
        """The drive that holds this repository, if it was enrolled on this computer."""
        return next((drive for drive in self.drives() if drive.repository == repository), None)

    def add_drive(self, drive: Drive) -> None:
        """Remember a newly enrolled drive. Raises ``ConfigError`` where its label or repository is known already."""

        def work(connection: Connection) -> None:
            query = "SELECT label FROM drives WHERE label = ? OR repository = ?"
            if found := connection.execute(query, (drive.label, drive.repository)).fetchone():
                if found[0] == drive.label:
                    raise label_taken(drive.label)
                raise ConfigError(
                    _('this drive is enrolled already, as "{label}"').format(label=found[0]),
                    _("use that label, or forget it first: kinebackup drive forget {label}").format(label=found[0]),
                )
            marks = ", ".join("?" * len(fields(Drive)))
            connection.execute(f"INSERT INTO drives ({_DRIVE}) VALUES ({marks})", row_of_drive(drive))

        self._database.write(work, lasting=True)

    def update_drive(self, drive: Drive, *, lasting: bool = True) -> None:
        """Replace what is known of the drive with this repository. Raises ``NotFound`` where it is not known.

        ``lasting`` False: it is no more than what was seen on the drive.
        """
        assignments = ", ".join(f"{column} = ?" for column in _DRIVE.split(", "))

        def work(connection: Connection) -> int:
            return connection.execute(
                f"UPDATE drives SET {assignments} WHERE repository = ?", (*row_of_drive(drive), drive.repository)
            ).rowcount

        if not self._database.write(work, lasting=lasting):
            raise _unknown_drive(drive.label, self.drives())

    def remove_drive(self, label: str) -> None:
        """Forget a drive, and what was checked or wrong on it; its history of runs stays. Raises ``NotFound``."""
        repository = self.drive(label).repository

        def work(connection: Connection) -> None:
            for table in ("drives", "pack_checks", "verified_snapshots", "snapshots", "missing_snapshots", "faults"):
                connection.execute(f"DELETE FROM {table} WHERE repository = ?", (repository,))

        self._database.write(work, lasting=True)

    # --- runs -------------------------------------------------------------------------------------------------------

    def begin_run(self, repository: str, kind: JobKind, started: datetime) -> RunId:
        def work(connection: Connection) -> int | None:
            return connection.execute(
                "INSERT INTO runs (repository, kind, started_us, counts) VALUES (?, ?, ?, '{}')",
                (repository, kind, us_of_time(started)),
            ).lastrowid

        return RunId(self._database.write(work) or 0)

    def finish_run(
        self,
        run: RunId,
        ended: datetime,
        result: RunResult,
        *,
        snapshot: FileName | None = None,
        counts: RunCounts | None = None,
    ) -> None:
        written = json.dumps(asdict(counts or RunCounts()))
        self._database.note(
            "UPDATE runs SET ended_us = ?, result = ?, snapshot = ?, counts = ? WHERE id = ?",
            (us_of_time(ended), result, snapshot, written, run),
        )

    def last_run(self, repository: str, kind: JobKind, *, results: tuple[RunResult, ...] = GOOD) -> Run | None:
        """The latest run of this kind with one of these results: by its row, for clocks can be wrong."""
        marks = ", ".join("?" * len(results))
        return self._one_run(
            f"WHERE repository = ? AND kind = ? AND result IN ({marks}) ORDER BY id DESC LIMIT 1",
            (repository, kind, *results),
        )

    def runs(self, *, limit: int, repository: str | None = None) -> tuple[Run, ...]:
        """The latest runs of one drive or of all, newest first, unfinished ones included."""
        where, values = ("", ()) if repository is None else ("WHERE repository = ?", (repository,))
        with self._database.reading() as connection:
            rows = connection.execute(
                f"SELECT {_RUN} FROM runs {where} ORDER BY id DESC LIMIT ?", (*values, limit)
            ).fetchall()
        return tuple(run_of_row(row) for row in rows)

    def forget_runs_before(self, time: datetime) -> int:
        """Drop old history (CNIL guide de la sécurité, fiche 16: logs are kept 6 to 12 months); says how many.

        The last good run of each kind on each drive stays: its date is a promise that is still shown.
        """

        def work(connection: Connection) -> int:
            return connection.execute(
                """DELETE FROM runs WHERE started_us < ? AND id NOT IN (
                    SELECT max(id) FROM runs
                    WHERE result IN ('ok', 'problems') GROUP BY repository, kind
                )""",
                (us_of_time(time),),
            ).rowcount

        return self._database.write(work)

    def _one_run(self, where: str, values: tuple[object, ...]) -> Run | None:
        with self._database.reading() as connection:
            row = connection.execute(f"SELECT {_RUN} FROM runs {where}", values).fetchone()
        return None if row is None else run_of_row(row)

    # --- what has been checked --------------------------------------------------------------------------------------

    def record_pack_checks(self, repository: str, packs: Iterable[FileName], at: datetime, *, ok: bool) -> None:
        """All these packs were read to the end and authenticated (or not) at this time. One transaction for all."""
        at_us = us_of_time(at)
        checked = [(repository, bytes.fromhex(pack), at_us, ok) for pack in packs]

        def work(connection: Connection) -> None:
            (turn,) = connection.execute(
                "SELECT coalesce(max(turn), 0) + 1 FROM pack_checks WHERE repository = ?", (repository,)
            ).fetchone()
            connection.executemany(
                "INSERT OR REPLACE INTO pack_checks (repository, pack, checked_us, ok, turn) VALUES (?, ?, ?, ?, ?)",
                ((*row, turn) for row in checked),
            )

        self._database.write(work)

    def oldest_checked_first(self, repository: str, packs: Iterable[FileName]) -> list[FileName]:
        """These packs in the order in which to check them: never checked ones, then the longest unchecked."""
        checks = self._checks(repository)
        return sorted(packs, key=lambda pack: (checks[pack].turn if pack in checks else -1, pack))

    def verified_between(self, repository: str, first: datetime, last: datetime) -> frozenset[FileName]:
        """The packs whose last check was good, and between these times."""
        from_us, to_us = us_of_time(first), us_of_time(last)
        checks = self._checks(repository)
        return frozenset(pack for pack, check in checks.items() if check.ok and from_us <= check.at_us <= to_us)

    def pack_coverage(self, repository: str, packs: Iterable[FileName]) -> PackCoverage:
        """How much of these packs has been checked; failures are those of each pack's last check."""
        checks = self._checks(repository)
        present = list(packs)
        checked = [checks[pack].at_us for pack in present if pack in checks]
        return PackCoverage(
            total=len(present),
            never_checked=len(present) - len(checked),
            failed=tuple(sorted(pack for pack in present if pack in checks and not checks[pack].ok)),
            oldest_check=time_of_us(min(checked)) if checked else None,
        )

    def forget_packs_except(self, repository: str, present: Iterable[FileName]) -> None:
        """Drop the checks of packs that are no longer on the drive."""
        gone = self._checks(repository).keys() - set(present)
        self._database.note_each(
            "DELETE FROM pack_checks WHERE repository = ? AND pack = ?",
            ((repository, bytes.fromhex(pack)) for pack in gone),
        )

    def _checks(self, repository: str) -> dict[FileName, _PackCheck]:
        # A terabyte is some 30,000 packs: reading all of them takes less time than a query for each.
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT pack, checked_us, ok, turn FROM pack_checks WHERE repository = ?", (repository,)
            ).fetchall()
        return {FileName(pack.hex()): _PackCheck(at_us, bool(ok), turn) for pack, at_us, ok, turn in rows}

    def record_snapshot_verified(self, repository: str, snapshot: FileName, at: datetime) -> None:
        self._database.note(
            "INSERT OR REPLACE INTO verified_snapshots (repository, snapshot, verified_us) VALUES (?, ?, ?)",
            (repository, snapshot, us_of_time(at)),
        )

    def verified_snapshots(self, repository: str) -> tuple[VerifiedSnapshot, ...]:
        """The snapshots that have been proven, latest proof first."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT snapshot, verified_us FROM verified_snapshots WHERE repository = ? ORDER BY verified_us DESC",
                (repository,),
            ).fetchall()
        return tuple(VerifiedSnapshot(FileName(snapshot), time_of_us(at_us)) for snapshot, at_us in rows)

    def forget_snapshots(self, repository: str, snapshots: Iterable[FileName]) -> None:
        """Drop what is known of snapshots that were removed from the drive, or that turned out not to be readable."""
        self._database.note_each(
            "DELETE FROM verified_snapshots WHERE repository = ? AND snapshot = ?",
            ((repository, snapshot) for snapshot in snapshots),
        )

    # --- what else must outlive a restart -----------------------------------------------------------------------------

    def stored_value(self, name: str) -> str | None:
        """The text stored under that name."""
        with self._database.reading() as connection:
            row = connection.execute("SELECT value FROM kept WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def store_value(self, name: str, value: str) -> None:
        """Store a text under that name, replacing the one before."""

        self._database.note("INSERT OR REPLACE INTO kept (name, value) VALUES (?, ?)", (name, value))

    def last_code_test(self) -> datetime | None:
        """When a drive was last proven to open with the printed recovery code."""
        value = self.stored_value(_CODE_TEST)
        return None if value is None else time_of_us(int(value))

    def record_code_test(self, at: datetime) -> None:
        self.store_value(_CODE_TEST, str(us_of_time(at)))


_CODE_TEST: Final = "last-code-test"


def _unknown_drive(label: str, known: tuple[Drive, ...]) -> NotFound:
    message = _('there is no drive with the label "{label}"').format(label=label)
    if not known:
        return NotFound(message, _("no drive is enrolled yet; run: kinebackup drive enroll"))
    return NotFound(message, _("known drives: {labels}").format(labels=", ".join(drive.label for drive in known)))
