"""Snapshots and removal records are read once, and what this process or another one has done since is seen.

Owns: the list that an opened repository holds. Does not know: how often a whole job asks for it
(tests/jobs/test_snapshots_read_once.py).
"""

import contextlib
import errno
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.engine.drives import MACHINE, Drive, back_up, enroll, loaded, noise, opened, pruned, request_for, writable
from support.engine.faulting_store import Fault, FaultingStore, bad_sector, pulled_out
from support.engine.forged_snapshot import forge
from support.engine.other_writer import other_process
from support.opened_files import counted_opens
from support.ports import Stopwatch

from kinebackup.engine.backup.backup import back_up as engine_back_up
from kinebackup.engine.check.verify import Budget, Verification
from kinebackup.engine.format.removal import RemovedSnapshot
from kinebackup.engine.format.snapshot import SavedProblem
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.damage_markers import set_markers
from kinebackup.engine.repository.removals import Remover, remove_snapshots
from kinebackup.engine.repository.repository import LoadedRepository, Repository
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import DriveFailed
from kinebackup.model import CancelToken, FileName, SilentMonitor

BY = Remover(at=datetime(2040, 1, 1, tzinfo=UTC), host="cabinet-pc", machine=MACHINE)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "bilan.txt").write_bytes(noise("bilan", 2000))
    return tmp_path / "docs"


@pytest.fixture
def drive(tmp_path: Path, docs: Path) -> Drive:
    """Three snapshots, of which the first was removed, so that two are left and a record."""
    made = enroll(tmp_path / "drive")
    names = [back_up(made, docs).snapshot for _ in range(3)]
    pruned(made, str(names[0]))
    return made


def ids(repository: Repository) -> list[str]:
    return [named.id for named in repository.snapshots().readable]


def numbers(repository: Repository) -> list[int]:
    return [named.snapshot.sequence for named in repository.snapshots().readable]


def look_again(repository: LoadedRepository) -> None:
    repository.look_again(len(repository.index.tables))


def on_drive(drive: Drive) -> list[str]:
    return sorted(path.name for part in ("snapshots", "removals") for path in drive.files(part))


def damage(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    path.write_bytes(data)


def test_however_often_somebody_asks_each_file_is_read_once(drive: Drive) -> None:
    with counted_opens() as opens, opened(drive) as repository:
        for _ in range(5):
            assert numbers(repository) == [2, 3]
            assert sorted(repository.removals().removed.values()) == [1]
            assert repository.find_snapshot("latest").snapshot.sequence == 3
    assert opens == dict.fromkeys(on_drive(drive), 1)
    assert len(opens) == 3


def test_what_another_process_saved_is_seen_by_who_looks_again_and_it_alone_is_read(drive: Drive, docs: Path) -> None:
    with loaded(drive) as repository:
        assert numbers(repository) == [2, 3]
        new = other_process(drive, "back-up", docs)
        with counted_opens() as opens:
            assert numbers(repository) == [2, 3]
            look_again(repository)
            assert numbers(repository) == [2, 3, 4]
        assert {name: opens[name] for name in on_drive(drive) if opens[name]} == {new: 1}


def test_what_another_process_removed_is_gone_for_who_looks_again(drive: Drive) -> None:
    with loaded(drive) as repository:
        second, third = ids(repository)
        assert other_process(drive, "remove", second) == second
        assert ids(repository) == [second, third]
        look_again(repository)
        assert ids(repository) == [third]
        assert sorted(repository.removals().removed.values()) == [1, 2]


@pytest.mark.parametrize(("work", "expected"), [("back-up", [2, 3, 4]), ("remove", [3])])
def test_who_takes_the_lock_sees_what_another_process_did_after_it_had_opened_the_drive(
    drive: Drive, docs: Path, work: str, expected: list[int]
) -> None:
    with loaded(drive) as reader:
        assert numbers(reader) == [2, 3]
        other_process(drive, work, docs if work == "back-up" else ids(reader)[0])
        with writable(drive) as writer:
            assert numbers(writer) == expected
            assert sorted([*numbers(writer), *writer.removals().removed.values()]) == list(range(1, max(expected) + 1))


def test_two_writers_in_turn_give_no_number_twice(drive: Drive, docs: Path) -> None:
    for turn in range(2):
        back_up(drive, docs)
        other_process(drive, "back-up", docs, seed=turn + 1)
    with opened(drive) as repository:
        assert numbers(repository) == [2, 3, 4, 5, 6, 7]


def test_a_writer_sees_what_it_removed_itself_and_reads_the_record_of_it_alone(drive: Drive) -> None:
    with writable(drive) as repository:
        second, third = ids(repository)
        assert sorted(repository.removals().removed.values()) == [1]
        before = on_drive(drive)
        with counted_opens() as opens:
            remove_snapshots(repository, [RemovedSnapshot(FileName(second), 2)], BY, drive.dice)
            assert ids(repository) == [third]
            assert sorted(repository.removals().removed.values()) == [1, 2]
        (record,) = set(on_drive(drive)) - set(before)
        assert opens == {record: 1}


def test_a_writer_whose_removal_failed_half_way_sees_what_is_left(drive: Drive) -> None:
    gone = drive.files("snapshots")[0].name

    def refused(kind: str, path: str) -> None:
        if kind == "sync_directories" and path == "snapshots":
            raise DriveFailed("the drive does not answer", "")

    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = FaultingStore(folder, Fault(frozenset(), errno.EIO), before=refused)
        with writable(drive, store) as repository:
            (left,) = (name for name in ids(repository) if name != gone)
            with pytest.raises(DriveFailed):
                remove_snapshots(repository, [RemovedSnapshot(FileName(gone), 0)], BY, drive.dice)
            assert ids(repository) == [left]
            assert gone in repository.removals().removed


def test_a_verification_reads_every_snapshot_from_the_drive_whatever_was_read_before(drive: Drive) -> None:
    with loaded(drive) as repository:
        second, third = ids(repository)
        damage(drive.root / "snapshots" / second)
        assert ids(repository) == [second, third]
        run = Verification(
            repository,
            sorted(repository.packs),
            Budget(),
            lambda name, ok: None,
            cancel=CancelToken(),
            monitor=SilentMonitor(),
        )
        with counted_opens() as opens:
            report = run.run(Stopwatch())
        assert [(problem.kind, problem.path) for problem in report.problems] == [("damaged", f"snapshots/{second}")]
        assert [opens[second], opens[third]] == [3, 3]  # dropped from memory, compared with its parity, then read
        assert ids(repository) == [third]


def test_a_snapshot_that_does_not_open_costs_itself_and_is_tried_once(drive: Drive) -> None:
    damage(drive.files("snapshots")[0])
    with counted_opens() as opens, loaded(drive) as repository:
        for _ in range(3):
            (unreadable,) = repository.snapshots().unreadable
            assert unreadable.condition is Condition.DOUBTFUL
            assert len(ids(repository)) == 1
        set_markers(repository.store, [unreadable.name])
        (unreadable,) = repository.snapshots().unreadable
        assert unreadable.condition is Condition.DAMAGED
        assert opens[unreadable.name] == 1
        look_again(repository)
        assert [each.name for each in repository.snapshots().unreadable] == [unreadable.name]
        assert opens[unreadable.name] == 2


def test_a_read_that_fails_once_is_doubtful_until_somebody_looks_again(drive: Drive) -> None:
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        fault = bad_sector()
        with loaded(drive, FaultingStore(folder, fault)) as repository:
            fault.at, fault.count = 0, 0
            assert len(repository.snapshots().unreadable) == 1
            assert len(repository.snapshots().unreadable) == 1
            look_again(repository)
            assert numbers(repository) == [2, 3]


def test_a_drive_that_goes_away_while_the_list_is_read_is_no_short_list(drive: Drive) -> None:
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        for at in range(5):  # the listing, then length and bytes of each of the two
            fault = pulled_out()
            with loaded(drive, FaultingStore(folder, fault)) as repository:
                fault.at, fault.count = at, 0
                for _ in range(2):
                    with pytest.raises(DriveFailed):
                        repository.snapshots()
                fault.at = -1
                assert numbers(repository) == [2, 3]


def test_what_another_process_removes_between_the_listing_and_the_read_is_not_damaged(drive: Drive) -> None:
    removed = drive.files("snapshots")[1]

    def remove(kind: str, path: str) -> None:
        if kind == "read" and path.startswith("snapshots/"):
            removed.unlink(missing_ok=True)

    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = FaultingStore(folder, Fault(frozenset(), errno.EIO), before=remove)
        with opened(drive, store) as repository:
            files = repository.snapshots()
    assert (len(files.readable), files.unreadable, files.whole) == (1, (), True)


def test_a_file_that_is_listed_and_not_there_is_damaged_where_nobody_can_say_that_it_was_removed(drive: Drive) -> None:
    """Else a prune would take what it needs for what nobody needs."""
    removed = drive.files("snapshots")[1]
    listing = Fault(frozenset({"list_files"}), errno.EIO, for_good=False)
    listings: list[str] = []

    def remove(kind: str, path: str) -> None:
        if kind == "read" and path.startswith("snapshots/"):
            removed.unlink(missing_ok=True)
        if (kind, path) == ("list_files", "snapshots"):
            listings.append(path)
            listing.at = listing.count if len(listings) == 2 else -1  # this one

    with (
        contextlib.closing(FolderStore(str(drive.root))) as folder,
        opened(drive, FaultingStore(folder, listing, before=remove)) as repository,
    ):
        files = repository.snapshots()
    assert len(listings) == 2
    assert [each.name for each in files.unreadable] == [removed.name]
    assert len(files.readable) == 1


def test_a_snapshot_that_the_drive_did_not_keep_is_not_on_the_list(drive: Drive, docs: Path) -> None:
    def lose(kind: str, path: str) -> None:
        if kind == "read_into" and path.startswith("snapshots/"):
            damage(drive.root / path)

    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = FaultingStore(folder, Fault(frozenset(), errno.EIO), before=lose)
        with writable(drive, store) as repository:
            assert numbers(repository) == [2, 3]
            with pytest.raises(DriveFailed, match="other bytes"):
                engine_back_up(
                    repository, request_for(drive, docs), drive.world(), cancel=CancelToken(), monitor=SilentMonitor()
                )
            assert numbers(repository) == [2, 3]


def test_a_new_snapshot_is_read_from_the_drive_before_it_is_said_to_be_saved_and_then_not_again(
    drive: Drive, docs: Path
) -> None:
    before = on_drive(drive)
    with counted_opens() as opens, writable(drive) as repository:
        engine_back_up(
            repository, request_for(drive, docs), drive.world(), cancel=CancelToken(), monitor=SilentMonitor()
        )
        assert numbers(repository) == [2, 3, 4]
    (new,) = set(on_drive(drive)) - set(before)
    assert opens[new] == 3  # dropped from memory, read as bytes, and read as a snapshot
    assert {opens[name] for name in before} == {1}


def test_what_snapshots_say_alike_is_held_once(drive: Drive, docs: Path) -> None:
    problems = tuple(SavedProblem("unreadable", f"/docs/{number}", "no") for number in range(100))
    users = {"1000": "marie", "1001": "jean"}
    for _ in range(2):
        forge(drive, docs, [], [], problems=problems, users=users)
    with opened(drive) as repository:
        first, second = (named.snapshot for named in repository.snapshots().readable[-2:])
        assert first.problems == problems
        assert first.problems is second.problems
        assert first.users == users
        assert first.users is second.users
        assert first.host is second.host
        assert first.sequence != second.sequence
