"""The memory of this computer: first what can be wrong with its file, then what it remembers."""

import dataclasses
import itertools
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest

from kinebackup.errors import ConfigError, ExitCode, KineError, Locked, NotFound
from kinebackup.model import FileName, SeenSnapshot
from kinebackup.state.database import SCHEMA_STEPS, Database
from kinebackup.state.database_errors import StateDamaged
from kinebackup.state.records import Drive, PackCoverage, Run, RunCounts, RunId, VerifiedSnapshot
from kinebackup.state.state_db import STATE_FILE, StateDb

REPOSITORY = "00112233445566778899aabbccddeeff"
OTHER = "ffeeddccbbaa99887766554433221100"
T0 = datetime(2026, 11, 3, 17, 30, 0, 123456, tzinfo=UTC)
HOUR = timedelta(hours=1)

CABINET = Drive(
    label="CABINET",
    place="cabinet",
    simulated=False,
    repository=REPOSITORY,
    enrolled_at=T0,
    header_generation=1,
    fs_uuid="1234-ABCD",
    part_uuid="part",
    serial="serial",
    model="model",
)
DOMICILE = Drive("DOMICILE", "domicile", True, OTHER, T0, 2, folder="/srv/simulated")


def pack(number: int) -> FileName:
    return FileName(f"{number:064x}")


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDb]:
    with StateDb.create(tmp_path / "state") as state:
        yield state


# --- the file -------------------------------------------------------------------------------------------------------


def test_a_computer_that_is_not_set_up_says_what_to_run_and_makes_nothing(tmp_path: Path) -> None:
    state = StateDb(tmp_path / "state")
    with pytest.raises(NotFound) as caught:
        state.drives()
    assert caught.value.exit_code is ExitCode.NOT_FOUND
    assert "kinebackup init" in caught.value.hint
    assert not state.exists
    assert list(tmp_path.iterdir()) == []


def test_setting_up_twice_is_refused_and_changes_nothing(state: StateDb, tmp_path: Path) -> None:
    state.add_drive(CABINET)
    with pytest.raises(KineError, match="already set up") as caught:
        StateDb.create(tmp_path / "state")
    assert caught.value.exit_code is ExitCode.FAILED
    assert state.drives() == (CABINET,)
    assert not list((tmp_path / "state").glob("*.new"))


def test_only_the_owner_can_read_it(state: StateDb, tmp_path: Path) -> None:
    state.add_drive(CABINET)  # makes the write-ahead log, while the file is open
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "state").iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700


@pytest.mark.parametrize("content", [b"", b"hello", b"\0" * 8192, b"SQLite format 3\0" + b"\xff" * 8192])
def test_a_file_that_is_not_a_memory_is_reported_and_left_alone(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / STATE_FILE
    file.write_bytes(content)
    with pytest.raises(StateDamaged) as caught:
        StateDb(tmp_path).drives()
    assert str(file) in caught.value.message
    assert "init --join" in caught.value.hint
    assert file.read_bytes() == content


def test_the_database_of_another_program_is_reported_and_left_alone(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / STATE_FILE)
    connection.execute("CREATE TABLE patients (id INTEGER)")
    connection.close()
    with pytest.raises(StateDamaged):
        StateDb(tmp_path).add_drive(CABINET)


def test_a_damaged_page_is_reported(state: StateDb, tmp_path: Path) -> None:
    state.record_pack_checks(REPOSITORY, [pack(number) for number in range(500)], T0, ok=True)
    state.close()
    file = tmp_path / "state" / STATE_FILE
    content = bytearray(file.read_bytes())
    content[4096:] = b"\xa5" * (len(content) - 4096)
    file.write_bytes(content)
    with pytest.raises(StateDamaged):
        state.pack_coverage(REPOSITORY, [pack(1)])


def test_a_truncated_file_is_reported(state: StateDb, tmp_path: Path) -> None:
    state.record_pack_checks(REPOSITORY, [pack(number) for number in range(500)], T0, ok=True)
    state.close()
    file = tmp_path / "state" / STATE_FILE
    file.write_bytes(file.read_bytes()[:8192])
    with pytest.raises(StateDamaged):
        state.pack_coverage(REPOSITORY, [pack(1)])


def test_a_memory_of_a_newer_version_is_not_touched(state: StateDb, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "state" / STATE_FILE)
    connection.execute(f"PRAGMA user_version = {len(SCHEMA_STEPS) + 1}")
    connection.close()
    with pytest.raises(KineError, match="newer KineBackup"):
        state.drives()


def test_a_memory_where_a_folder_should_be_is_explained(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")
    with pytest.raises(KineError, match="cannot read or write"):
        StateDb.create(tmp_path / "state")


def test_the_schema_of_each_released_version_is_reached(state: StateDb, tmp_path: Path) -> None:
    state.drives()
    connection = sqlite3.connect(tmp_path / "state" / STATE_FILE)
    assert connection.execute("PRAGMA user_version").fetchone() == (7,)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_a_writer_that_does_not_finish_is_not_waited_for_without_end(state: StateDb, tmp_path: Path) -> None:
    state.drives()
    impatient = Database(tmp_path / "state" / STATE_FILE, busy_timeout_s=0.05)
    other = Database(tmp_path / "state" / STATE_FILE)
    with other.writing(), pytest.raises(Locked), impatient.writing():
        pass
    impatient.close()
    other.close()


def test_readers_do_not_wait_for_a_writer(state: StateDb, tmp_path: Path) -> None:
    state.add_drive(CABINET)
    other = Database(tmp_path / "state" / STATE_FILE)
    with other.writing() as connection:
        connection.execute("DELETE FROM drives")
        assert state.drives() == (CABINET,)
    assert state.drives() == ()
    other.close()


def test_nothing_of_a_failed_transaction_stays(state: StateDb) -> None:
    def breaks_off() -> list[FileName]:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        state.record_pack_checks(
            REPOSITORY, (name for names in [[pack(1)], None] for name in names or breaks_off()), T0, ok=True
        )
    assert state.pack_coverage(REPOSITORY, [pack(1)]).never_checked == 1


def test_threads_may_share_one_memory(state: StateDb) -> None:
    def record(first: int) -> None:
        for number in range(first, first + 20):
            state.record_pack_checks(REPOSITORY, [pack(number)], T0, ok=True)

    threads = [threading.Thread(target=record, args=(first,)) for first in (0, 100, 200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    everything = [pack(number) for first in (0, 100, 200) for number in range(first, first + 20)]
    assert state.pack_coverage(REPOSITORY, everything).never_checked == 0


def test_what_was_written_is_there_for_the_next_process(state: StateDb, tmp_path: Path) -> None:
    with state:
        state.add_drive(CABINET)
    with StateDb(tmp_path / "state") as again:
        assert again.drives() == (CABINET,)


# --- drives ---------------------------------------------------------------------------------------------------------


def test_drives_come_back_as_they_were_in_the_order_of_their_labels(state: StateDb) -> None:
    state.add_drive(DOMICILE)
    state.add_drive(CABINET)
    assert state.drives() == (CABINET, DOMICILE)
    assert state.drive("DOMICILE") == DOMICILE
    assert state.drive_of(REPOSITORY) == CABINET
    assert state.drive_of("0" * 32) is None


def test_an_unknown_label_lists_the_known_ones(state: StateDb) -> None:
    with pytest.raises(NotFound) as none:
        state.drive("CABINET")
    assert "drive enroll" in none.value.hint
    state.add_drive(CABINET)
    state.add_drive(DOMICILE)
    with pytest.raises(NotFound) as caught:
        state.drive("CABINE")
    assert caught.value.message == 'there is no drive with the label "CABINE"'
    assert caught.value.hint == "known drives: CABINET, DOMICILE"


def test_a_label_or_a_repository_is_enrolled_once(state: StateDb) -> None:
    state.add_drive(CABINET)
    with pytest.raises(ConfigError, match='label "CABINET" is enrolled already'):
        state.add_drive(dataclasses.replace(DOMICILE, label="CABINET"))
    with pytest.raises(ConfigError, match='enrolled already, as "CABINET"'):
        state.add_drive(dataclasses.replace(DOMICILE, repository=REPOSITORY))
    assert state.drives() == (CABINET,)


def test_a_drive_can_be_renamed_and_its_generation_remembered(state: StateDb) -> None:
    state.add_drive(CABINET)
    changed = dataclasses.replace(CABINET, label="BLEU", header_generation=7)
    state.update_drive(changed)
    assert state.drives() == (changed,)


def test_updating_a_drive_that_is_not_enrolled_is_an_error(state: StateDb) -> None:
    with pytest.raises(NotFound):
        state.update_drive(CABINET)


def test_a_removed_drive_is_forgotten_but_not_its_history(state: StateDb) -> None:
    state.add_drive(CABINET)
    run = state.begin_run(REPOSITORY, "backup", T0)
    state.record_pack_checks(REPOSITORY, [pack(1)], T0, ok=True)
    state.snapshots.record(REPOSITORY, [SeenSnapshot(pack(1), 1)])
    state.remove_drive("CABINET")
    assert state.drives() == ()
    assert state.snapshots.seen(REPOSITORY) == ()
    assert state.pack_coverage(REPOSITORY, [pack(1)]).never_checked == 1
    assert [each.id for each in state.runs(limit=9)] == [run]


def test_a_label_that_looks_like_sql_is_only_a_label(state: StateDb) -> None:
    odd = dataclasses.replace(CABINET, label="'; DROP TABLE drives; --")
    state.add_drive(odd)
    assert state.drives() == (odd,)


# --- runs -----------------------------------------------------------------------------------------------------------


def test_a_run_comes_back_as_it_was(state: StateDb) -> None:
    run = state.begin_run(REPOSITORY, "backup", T0)
    counts = RunCounts(files=412, size_bytes=5_000_000_000, packs=3, snapshots=1, problems=2)
    state.finish_run(run, T0 + HOUR, "problems", snapshot=pack(9), counts=counts)
    assert state.last_run(REPOSITORY, "backup") == Run(
        id=RunId(1),
        repository=REPOSITORY,
        kind="backup",
        started=T0,
        ended=T0 + HOUR,
        result="problems",
        snapshot=pack(9),
        counts=counts,
    )


def test_a_run_that_never_ended_is_history_but_not_good(state: StateDb) -> None:
    state.begin_run(REPOSITORY, "backup", T0)
    assert state.last_run(REPOSITORY, "backup") is None
    (run,) = state.runs(limit=9)
    assert (run.ended, run.result, run.counts) == (None, None, RunCounts())


@pytest.mark.parametrize("result", ["failed", "cancelled", "suspicious"])
def test_the_last_good_run_is_not_hidden_by_a_later_one_that_was_not(state: StateDb, result: str) -> None:
    good = state.begin_run(REPOSITORY, "backup", T0)
    state.finish_run(good, T0, "ok")
    bad = state.begin_run(REPOSITORY, "backup", T0 + HOUR)
    state.finish_run(bad, T0 + HOUR, result)  # type: ignore[arg-type]  # parametrised over the literals
    last = state.last_run(REPOSITORY, "backup")
    assert last is not None
    assert last.id == good
    latest = state.last_run(REPOSITORY, "backup", results=("ok", "failed", "cancelled", "suspicious"))
    assert latest is not None
    assert latest.id == bad


def test_runs_of_another_drive_or_kind_are_not_mixed_in(state: StateDb) -> None:
    state.finish_run(state.begin_run(OTHER, "backup", T0), T0, "ok")
    state.finish_run(state.begin_run(REPOSITORY, "verify", T0), T0, "ok")
    assert state.last_run(REPOSITORY, "backup") is None
    assert [run.kind for run in state.runs(limit=9, repository=REPOSITORY)] == ["verify"]


@pytest.mark.parametrize("hours", list(itertools.permutations(range(3))))
def test_runs_are_in_the_order_in_which_they_began_whatever_their_clocks_said(
    state: StateDb, hours: tuple[int, ...]
) -> None:
    runs = [state.begin_run(REPOSITORY, "backup", T0 + HOUR * number) for number in hours]
    for run in runs:
        state.finish_run(run, T0, "ok")
    assert [run.id for run in state.runs(limit=2)] == [runs[2], runs[1]]
    last = state.last_run(REPOSITORY, "backup")
    assert last is not None
    assert last.id == runs[2]
    assert state.forget_runs_before(T0 + HOUR * 9) == 2
    assert [run.id for run in state.runs(limit=9)] == [runs[2]]


def test_old_history_goes_but_the_date_of_the_last_good_run_stays(state: StateDb) -> None:
    for number in range(4):
        state.finish_run(
            state.begin_run(REPOSITORY, "backup", T0 + HOUR * number), T0, "ok" if number < 3 else "failed"
        )
    assert state.forget_runs_before(T0 + HOUR * 9) == 3
    assert [run.started for run in state.runs(limit=9)] == [T0 + HOUR * 2]


def test_times_of_another_zone_come_back_in_utc(state: StateDb) -> None:
    run = state.begin_run(REPOSITORY, "backup", datetime(2026, 11, 3, 18, 30, tzinfo=timezone(HOUR)))
    (found,) = state.runs(limit=1)
    assert found.id == run
    assert found.started.isoformat() == "2026-11-03T17:30:00+00:00"


# --- checks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("hours", [(0, 1), (1, 0), (500_000, 0)])
def test_packs_never_checked_come_first_and_then_the_longest_unchecked_whatever_the_clocks_said(
    state: StateDb, hours: tuple[int, int]
) -> None:
    state.record_pack_checks(REPOSITORY, [pack(2)], T0 + HOUR * hours[0], ok=False)
    state.record_pack_checks(REPOSITORY, [pack(3)], T0 + HOUR * hours[1], ok=True)
    order = state.oldest_checked_first(REPOSITORY, iter([pack(3), pack(2), pack(5), pack(1)]))
    assert order == [pack(1), pack(5), pack(2), pack(3)]


def test_a_check_replaces_the_one_before_it(state: StateDb) -> None:
    state.record_pack_checks(REPOSITORY, [pack(1), pack(2)], T0, ok=False)
    state.record_pack_checks(REPOSITORY, [pack(1)], T0 + HOUR, ok=True)
    assert state.pack_coverage(REPOSITORY, [pack(1), pack(2), pack(3)]) == PackCoverage(
        total=3, never_checked=1, failed=(pack(2),), oldest_check=T0
    )


def test_no_pack_has_no_oldest_check(state: StateDb) -> None:
    assert state.pack_coverage(REPOSITORY, []) == PackCoverage(0, 0, (), None)


def test_checks_of_packs_that_are_gone_are_dropped(state: StateDb) -> None:
    state.record_pack_checks(REPOSITORY, [pack(1), pack(2)], T0, ok=True)
    state.record_pack_checks(OTHER, [pack(2)], T0, ok=True)
    state.forget_packs_except(REPOSITORY, [pack(1), pack(9)])
    assert state.pack_coverage(REPOSITORY, [pack(1), pack(2)]).never_checked == 1
    assert state.pack_coverage(OTHER, [pack(2)]).never_checked == 0


def test_the_packs_of_a_terabyte_are_recorded_and_sorted_at_once(state: StateDb) -> None:
    packs = [pack(number) for number in range(30_000)]
    state.record_pack_checks(REPOSITORY, packs, T0, ok=True)
    state.record_pack_checks(REPOSITORY, packs[:10], T0 + HOUR, ok=True)
    order = state.oldest_checked_first(REPOSITORY, packs)
    assert (order[0], order[-10:]) == (packs[10], packs[:10])


def test_verified_snapshots_are_remembered_until_forgotten(state: StateDb) -> None:
    state.record_snapshot_verified(REPOSITORY, pack(1), T0)
    state.record_snapshot_verified(REPOSITORY, pack(2), T0 + HOUR)
    state.record_snapshot_verified(REPOSITORY, pack(1), T0 + HOUR * 2)
    assert state.verified_snapshots(REPOSITORY) == (
        VerifiedSnapshot(pack(1), T0 + HOUR * 2),
        VerifiedSnapshot(pack(2), T0 + HOUR),
    )
    state.forget_snapshots(REPOSITORY, [pack(1), pack(7)])
    assert state.verified_snapshots(REPOSITORY) == (VerifiedSnapshot(pack(2), T0 + HOUR),)
    assert state.verified_snapshots(OTHER) == ()


def test_the_highest_number_of_a_drive_is_remembered_also_of_a_snapshot_that_was_removed(state: StateDb) -> None:
    assert state.snapshots.highest_sequence(REPOSITORY) == 0
    state.snapshots.record(REPOSITORY, [SeenSnapshot(pack(1), 4), SeenSnapshot(pack(2), 3)])
    state.snapshots.record(REPOSITORY, [SeenSnapshot(pack(1), 0, removed=True)])
    assert state.snapshots.highest_sequence(REPOSITORY) == 4
    assert state.snapshots.highest_sequence(OTHER) == 0


def test_many_processes_may_open_a_new_memory_at_once(tmp_path: Path) -> None:
    StateDb.create(tmp_path / "state").close()
    program = (
        "import sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from kinebackup.state.state_db import StateDb\n"
        "with StateDb(Path(sys.argv[1])) as state:\n"
        f"    state.begin_run({REPOSITORY!r}, 'backup', datetime(2026, 11, 3, tzinfo=UTC))\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "state")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _number in range(4)]
    assert [process.communicate(timeout=60)[1] for process in processes] == ["", "", "", ""]
    with StateDb(tmp_path / "state") as state:
        assert len(state.runs(limit=9)) == 4


def test_what_is_kept_replaces_what_was_kept_under_that_name(state: StateDb) -> None:
    assert state.stored_value("daemon") is None
    state.store_value("daemon", "un")
    state.store_value("daemon", "deux")
    assert state.stored_value("daemon") == "deux"


def test_when_the_recovery_code_was_tried_is_remembered(state: StateDb) -> None:
    assert state.last_code_test() is None
    state.record_code_test(datetime(2040, 1, 2, 12, tzinfo=UTC))
    assert state.last_code_test() == datetime(2040, 1, 2, 12, tzinfo=UTC)
