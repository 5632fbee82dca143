"""Which snapshots this computer has seen on each drive, and how many were missing when it last looked.

Owns: these two tables. Does not know: what is missing, or why (``engine``).
"""

from collections.abc import Iterable

from kinebackup.model import FileName, SeenSnapshot
from kinebackup.state.database import Database


class SnapshotMemory:
    """A part of the state database; it raises what ``StateDb`` raises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def seen(self, repository: str) -> tuple[SeenSnapshot, ...]:
        """Every snapshot that this computer has seen on a drive, those that were removed since among them."""
        with self._database.reading() as connection:
            rows = connection.execute(
                "SELECT snapshot, sequence, removed FROM snapshots WHERE repository = ? ORDER BY sequence, snapshot",
                (repository,),
            ).fetchall()
        return tuple(SeenSnapshot(FileName(snapshot), sequence, bool(removed)) for snapshot, sequence, removed in rows)

    def highest_sequence(self, repository: str) -> int:
        """The highest number that this computer has seen on a drive; 0 where it has seen none."""
        with self._database.reading() as connection:
            (highest,) = connection.execute(
                "SELECT coalesce(max(sequence), 0) FROM snapshots WHERE repository = ?", (repository,)
            ).fetchone()
        return int(highest)

    def record(self, repository: str, seen: Iterable[SeenSnapshot]) -> None:
        """Remember these. A number that is known is not forgotten; who was removed on purpose is not awaited again."""
        self._database.note_each(
            """INSERT INTO snapshots (repository, snapshot, sequence, removed) VALUES (?, ?, ?, ?)
            ON CONFLICT (repository, snapshot) DO UPDATE SET
                sequence = max(sequence, excluded.sequence), removed = excluded.removed""",
            ((repository, each.id, each.sequence, each.removed) for each in seen),
        )

    def missing(self, repository: str) -> int:
        """How many snapshots were missing on a drive when it was last opened."""
        with self._database.reading() as connection:
            row = connection.execute(
                "SELECT missing FROM missing_snapshots WHERE repository = ?", (repository,)
            ).fetchone()
        return 0 if row is None else int(row[0])

    def record_missing(self, repository: str, count: int) -> None:
        """How many are missing now; written where that is news only."""
        if count == self.missing(repository):
            return
        self._database.note(
            "INSERT OR REPLACE INTO missing_snapshots (repository, missing) VALUES (?, ?)",
            (repository, min(count, 2**63 - 1)),
        )
