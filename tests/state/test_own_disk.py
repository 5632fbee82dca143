"""The memory of this computer on a disk that is full or can only be read: known is what was known.

Owns: every method of the state database in each trouble, on a real disk. Does not know: what a command makes of it
(tests/cli/test_own_disk.py).
"""

import inspect
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.own_disk import SAID, TROUBLES, OwnDisk, Trouble, own_disk

from kinebackup.model import FileName, SeenSnapshot
from kinebackup.state.database_errors import DiskTrouble
from kinebackup.state.fault_memory import FaultMemory
from kinebackup.state.records import Drive, RunId
from kinebackup.state.snapshot_memory import SnapshotMemory
from kinebackup.state.state_db import STATE_FILE, StateDb

pytestmark = pytest.mark.root

A, B = "a" * 32, "b" * 32
PACK = FileName("1" * 64)
SNAPSHOT = FileName("2" * 64)
T0 = datetime(2030, 1, 1, tzinfo=UTC)
T1 = datetime(2030, 1, 2, tzinfo=UTC)
CABINET = Drive("A", "cabinet", True, A, T0, 1, folder="/a")
DOMICILE = Drive("B", "domicile", True, B, T0, 1, folder="/b")

READS: dict[str, Callable[[StateDb], object]] = {
    "exists": lambda state: state.exists,
    "drives": lambda state: state.drives(),
    "drive": lambda state: state.drive("A"),
    "drive_of": lambda state: state.drive_of(A),
    "last_run": lambda state: state.last_run(A, "backup"),
    "runs": lambda state: state.runs(limit=9),
    "oldest_checked_first": lambda state: state.oldest_checked_first(A, [PACK, FileName("3" * 64)]),
    "pack_coverage": lambda state: state.pack_coverage(A, [PACK, FileName("4" * 64)]),
    "verified_between": lambda state: state.verified_between(A, T0, T1),
    "verified_snapshots": lambda state: state.verified_snapshots(A),
    "stored_value": lambda state: state.stored_value("daemon"),
    "last_code_test": lambda state: state.last_code_test(),
    "snapshots.seen": lambda state: state.snapshots.seen(A),
    "snapshots.highest_sequence": lambda state: state.snapshots.highest_sequence(A),
    "snapshots.missing": lambda state: state.snapshots.missing(A),
    "faults.of": lambda state: state.faults.of(A),
}
NOTES: dict[str, Callable[[StateDb], object]] = {
    "begin_run": lambda state: state.begin_run(A, "verify", T1),
    "finish_run": lambda state: state.finish_run(RunId(1), T1, "failed"),
    "forget_runs_before": lambda state: state.forget_runs_before(T1),
    "record_pack_checks": lambda state: state.record_pack_checks(A, iter([FileName("4" * 64)]), T1, ok=False),
    "forget_packs_except": lambda state: state.forget_packs_except(A, []),
    "record_snapshot_verified": lambda state: state.record_snapshot_verified(A, FileName("5" * 64), T1),
    "forget_snapshots": lambda state: state.forget_snapshots(A, iter([SNAPSHOT])),
    "store_value": lambda state: state.store_value("daemon", "another"),
    "record_code_test": lambda state: state.record_code_test(T1),
    "snapshots.record": lambda state: state.snapshots.record(A, iter([SeenSnapshot(SNAPSHOT, 3, removed=False)])),
    "snapshots.record_missing": lambda state: state.snapshots.record_missing(A, 2),
    "faults.record": lambda state: state.faults.record(A, [("packs/aa", "lost")], iter(["packs/bb"]), T1),
}
DECISIONS: dict[str, Callable[[StateDb], object]] = {
    "add_drive": lambda state: state.add_drive(DOMICILE),
    "update_drive": lambda state: state.update_drive(CABINET),
    "remove_drive": lambda state: state.remove_drive("A"),
}
NEITHER = {"create", "close", "untold_trouble"}

in_each_trouble = pytest.mark.parametrize("which", TROUBLES)


def remember(state: StateDb) -> None:
    state.add_drive(CABINET)
    for _number in range(2):
        state.finish_run(state.begin_run(A, "backup", T0), T0, "ok", snapshot=SNAPSHOT)
    state.record_pack_checks(A, [PACK], T0, ok=True)
    state.record_snapshot_verified(A, SNAPSHOT, T0)
    state.snapshots.record(A, [SeenSnapshot(SNAPSHOT, 1)])
    state.store_value("daemon", "one")
    state.record_code_test(T0)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[OwnDisk]:
    with own_disk(tmp_path / "state") as disk:
        with StateDb.create(disk.folder) as state:
            remember(state)
        yield disk


def known(folder: Path) -> dict[str, object]:
    with StateDb(folder) as state:
        return {name: read(state) for name, read in READS.items()}


def remove_what_lies_beside(folder: Path) -> None:
    for left in folder.glob(f"{STATE_FILE}-*"):
        left.unlink()


def test_every_method_is_one_of_these() -> None:
    methods = {name for name, _method in inspect.getmembers(StateDb) if not name.startswith("_")}
    snapshots = {name for name, _method in inspect.getmembers(SnapshotMemory) if not name.startswith("_")}
    faults = {name for name, _method in inspect.getmembers(FaultMemory) if not name.startswith("_")}
    methods |= {f"snapshots.{name}" for name in snapshots} | {f"faults.{name}" for name in faults}
    assert methods == READS.keys() | NOTES.keys() | DECISIONS.keys() | NEITHER


@in_each_trouble
def test_what_was_known_is_known(disk: OwnDisk, which: Trouble) -> None:
    before = known(disk.folder)
    disk.trouble(which)
    assert known(disk.folder) == before  # by the files that the last reader left beside it
    disk.recover()
    remove_what_lies_beside(disk.folder)
    disk.trouble(which)
    assert known(disk.folder) == before
    with StateDb(disk.folder) as state:
        state.drives()
        trouble = state.untold_trouble()
        assert (trouble and trouble.message, state.untold_trouble()) == (SAID[which], None)


@in_each_trouble
@pytest.mark.parametrize("name", NOTES)
def test_a_note_is_held_in_memory_until_the_end(disk: OwnDisk, which: Trouble, name: str) -> None:
    before = known(disk.folder)
    with StateDb(disk.folder) as elsewhere:
        NOTES[name](elsewhere)
        expected = {name: read(elsewhere) for name, read in READS.items()}
        elsewhere.close()
    (disk.folder / STATE_FILE).unlink()
    remove_what_lies_beside(disk.folder)
    with StateDb.create(disk.folder) as state:
        remember(state)
    disk.trouble(which)
    with StateDb(disk.folder) as state:
        NOTES[name](state)
        assert {name: read(state) for name, read in READS.items()} == expected
        assert expected != before
        trouble = state.untold_trouble()
        assert trouble is not None
        assert trouble.message == SAID[which]
    assert known(disk.folder) == before
    disk.recover()
    with StateDb(disk.folder) as state:
        NOTES[name](state)
        assert state.untold_trouble() is None
    assert known(disk.folder) == expected


@in_each_trouble
@pytest.mark.parametrize("name", DECISIONS)
def test_what_a_person_decides_is_not_held_in_memory(disk: OwnDisk, which: Trouble, name: str) -> None:
    disk.trouble(which)
    for noted_before in (False, True):
        with StateDb(disk.folder) as state:
            if noted_before:
                state.snapshots.record_missing(A, 2)
            with pytest.raises(DiskTrouble) as caught:
                DECISIONS[name](state)
            assert caught.value.message == SAID[which]


@in_each_trouble
def test_what_a_run_that_was_cut_off_had_noted_is_known_too(disk: OwnDisk, which: Trouble) -> None:
    """It is beside the file still, and SQLite moves it there at the next opening, for which there is no room."""
    program = (
        "import os, sys; from pathlib import Path; from kinebackup.state.state_db import StateDb\n"
        "state = StateDb(Path(sys.argv[1])); state.store_value('daemon', 'cut off'); os._exit(0)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(disk.folder)], check=True)
    assert (disk.folder / f"{STATE_FILE}-wal").stat().st_size
    (disk.folder / f"{STATE_FILE}-shm").unlink()
    disk.trouble(which)
    assert known(disk.folder)["stored_value"] == "cut off"


@in_each_trouble
def test_a_disk_that_fails_between_two_notes_costs_the_second_alone(disk: OwnDisk, which: Trouble) -> None:
    with StateDb(disk.folder) as state:
        run = state.begin_run(A, "verify", T1)
        if which == "read-only":
            state.close()  # nothing that is open for writing can become read-only
        disk.trouble(which)
        state.record_pack_checks(A, [FileName(f"{number:064x}") for number in range(20_000)], T1, ok=True)
        state.finish_run(run, T1, "ok")
        assert state.runs(limit=1)[0].result == "ok"
        assert state.untold_trouble() is not None
    with StateDb(disk.folder) as state:
        assert state.runs(limit=1)[0].result is None


def test_reading_writes_nothing(tmp_path: Path) -> None:
    with StateDb.create(tmp_path / "state") as state:
        remember(state)
    file = tmp_path / "state" / STATE_FILE
    before = file.read_bytes(), file.stat().st_mtime_ns
    known(tmp_path / "state")
    assert (file.read_bytes(), file.stat().st_mtime_ns) == before
