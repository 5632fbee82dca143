"""What was found wrong on each drive, and when: by any run, for as long as it says something of the drive.

Owns: this table. Does not know: what follows from it (policy/ageing.py), or how damage is found.

A file that is met again before it was mended is the same fault; one that is damaged anew after that is another one.
"""

from collections.abc import Iterable
from datetime import datetime
from sqlite3 import Connection

from kinebackup.policy.ageing import REMEMBERED, Fault, FaultKind
from kinebackup.state.database import Database
from kinebackup.state.rows import time_of_us, us_of_time


class FaultMemory:
    """A part of the state database; it raises what ``StateDb`` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, repository: str) -> tuple[Fault, ...]:
        """All that is remembered of a drive, in the order in which it was found."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT found_us, kind FROM faults WHERE repository = ? ORDER BY id", (repository,)
            ).fetchall()
        return tuple(Fault(time_of_us(found_us), kind) for found_us, kind in rows)

    def record(
        self, repository: str, found: Iterable[tuple[str, FaultKind]], mended: Iterable[str], at: datetime
    ) -> None:
        """``found``: files of the repository that are wrong; ``mended``: those that the drive has again as they were.

        What is nothing new is not written.
        """
        wrong, whole = dict(found), list(mended)
        if not wrong and not whole:
            return
        at_us, forgotten_us = us_of_time(at), us_of_time(at - REMEMBERED)

        def work(connection: Connection) -> None:
            for file, kind in wrong.items():
                met = connection.execute(
                    "SELECT id FROM faults WHERE repository = ? AND file = ? AND mended = 0", (repository, file)
                ).fetchone()
                if met is None:  # what was not written is over: the next time is another one
                    connection.execute(
                        "INSERT INTO faults (repository, file, found_us, kind, mended) VALUES (?, ?, ?, ?, ?)",
                        (repository, file, at_us, kind, kind == "refused"),
                    )
                elif kind == "lost":
                    connection.execute("UPDATE faults SET kind = ? WHERE id = ?", (kind, met[0]))
            for file in whole:
                connection.execute("UPDATE faults SET mended = 1 WHERE repository = ? AND file = ?", (repository, file))
            connection.execute("DELETE FROM faults WHERE found_us < ? AND mended = 1", (forgotten_us,))

        self._database.write(work)
