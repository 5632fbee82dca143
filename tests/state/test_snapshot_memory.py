"""What this computer remembers of the snapshots of each drive, and keeps when it is told less.

Owns: these two tables.
"""

from pathlib import Path

from kinebackup.model import FileName, SeenSnapshot
from kinebackup.state.state_db import StateDb

ONE, OTHER = "11" * 16, "22" * 16
FIRST, SECOND = FileName("aa" * 32), FileName("bb" * 32)


def test_what_was_seen_on_a_drive_is_remembered_for_that_drive_alone(tmp_path: Path) -> None:
    with StateDb.create(tmp_path / "state") as state:
        state.snapshots.record(ONE, [SeenSnapshot(SECOND, 2), SeenSnapshot(FIRST, 1)])
        assert state.snapshots.seen(ONE) == (SeenSnapshot(FIRST, 1), SeenSnapshot(SECOND, 2))
        assert state.snapshots.seen(OTHER) == ()


def test_a_number_stays_known_where_the_file_cannot_be_read_any_more(tmp_path: Path) -> None:
    with StateDb.create(tmp_path / "state") as state:
        state.snapshots.record(ONE, [SeenSnapshot(FIRST, 7)])
        state.snapshots.record(ONE, [SeenSnapshot(FIRST, 0)])
        assert state.snapshots.seen(ONE) == (SeenSnapshot(FIRST, 7),)


def test_what_was_removed_is_remembered_as_such_until_it_is_there_again(tmp_path: Path) -> None:
    with StateDb.create(tmp_path / "state") as state:
        state.snapshots.record(ONE, [SeenSnapshot(FIRST, 1, removed=True)])
        assert state.snapshots.seen(ONE) == (SeenSnapshot(FIRST, 1, removed=True),)
        state.snapshots.record(ONE, [SeenSnapshot(FIRST, 1)])
        assert state.snapshots.seen(ONE) == (SeenSnapshot(FIRST, 1),)


def test_how_many_are_missing_is_that_of_the_last_look(tmp_path: Path) -> None:
    with StateDb.create(tmp_path / "state") as state:
        assert state.snapshots.missing(ONE) == 0
        for count in (3, 2**70, 0):
            state.snapshots.record_missing(ONE, count)
            assert state.snapshots.missing(ONE) == min(count, 2**63 - 1)
        assert state.snapshots.missing(OTHER) == 0
