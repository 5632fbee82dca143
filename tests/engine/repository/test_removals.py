"""What was removed on purpose is on record, before it goes; and no number of a snapshot is given twice.

Owns: removal records, and the sequence of snapshots over backups and removals. Does not know: what prune keeps.
"""

import contextlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some
from support.engine.drives import MACHINE, Drive, back_up, enroll, in_memory, loaded, locked, noise, opened, pruned
from support.engine.recording_store import RecordingStore, Renamed, SyncedDirectory, Unlinked

from kinebackup.engine.format.removal import RemovedSnapshot
from kinebackup.engine.repository.removals import (
    MAX_RECORDS,
    Remover,
    highest_sequence,
    record_removal,
    remove_snapshots,
)
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import CheckFailed
from kinebackup.model import FileName

BY = Remover(at=datetime(2040, 1, 1, tzinfo=UTC), host="cabinet-pc", machine=MACHINE)


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "bilan.txt").write_text("Bilan", encoding="utf-8")
    return tmp_path / "docs"


def saved(drive: Drive, docs: Path) -> str:
    made = back_up(drive, docs).snapshot
    assert made is not None
    return made


def sequences(drive: Drive) -> list[int]:
    with opened(drive) as repository:
        return [named.snapshot.sequence for named in repository.snapshots().readable]


def record(drive: Drive, number: int) -> None:
    with locked(drive) as repository:
        record_removal(repository, [RemovedSnapshot(FileName(f"{number:064x}"), number)], BY, drive.dice)


def numbers_on_record(repository: Repository) -> list[int]:
    return sorted(repository.removals().removed.values())


def test_a_prune_leaves_a_record_of_each_snapshot_that_it_removed(drive: Drive, docs: Path) -> None:
    first, second, third = (saved(drive, docs) for _ in range(3))
    pruned(drive, first, second)
    with opened(drive) as repository:
        found = repository.removals()
        assert found.removed == {first: 1, second: 2}
        assert [named.id for named in repository.snapshots().readable] == [third]
    assert len(drive.files("removals")) == 1


def test_the_record_is_durable_before_the_first_snapshot_goes(drive: Drive, docs: Path) -> None:
    first = saved(drive, docs)
    saved(drive, docs)
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = RecordingStore(folder)
        pruned(drive, first, store=store)
    done = store.operations
    written = next(n for n, each in enumerate(done) if isinstance(each, Renamed) and "removals/" in str(each))
    gone = next(n for n, each in enumerate(done) if isinstance(each, Unlinked) and "snapshots/" in str(each))
    assert written < done.index(SyncedDirectory("removals")) < gone


def test_a_prune_that_removes_nothing_leaves_no_record(drive: Drive, docs: Path) -> None:
    saved(drive, docs)
    pruned(drive)
    assert drive.files("removals") == []


def test_many_records_become_one_that_says_the_same(drive: Drive) -> None:
    for number in range(1, MAX_RECORDS + 1):
        record(drive, number)
    assert len(drive.files("removals")) == 64
    record(drive, 65)
    assert len(drive.files("removals")) == 1
    with opened(drive) as repository:
        assert numbers_on_record(repository) == list(range(1, 66))
    record(drive, 66)
    assert len(drive.files("removals")) == 2


def test_a_record_that_cannot_be_read_is_a_finding_and_what_it_named_is_missing(drive: Drive, docs: Path) -> None:
    first, _second = saved(drive, docs), saved(drive, docs)
    pruned(drive, first)
    (file,) = drive.files("removals")
    file.write_bytes(b"\0" * 400)
    with opened(drive) as repository:
        found = repository.removals()
        assert (found.removed, [each.name for each in found.unreadable]) == ({}, [file.name])
    with pytest.raises(CheckFailed, match="backup 1"):
        pruned(drive)
    assert file.exists()
    assert [(each.kind, each.path) for each in pruned(drive, give_up=["1"]).problems] == [
        ("healed", f"removals/{file.name}")
    ]
    assert not file.exists()


def test_a_removal_that_was_cut_off_is_on_record_and_can_be_done_again(drive: Drive, docs: Path) -> None:
    first, second = saved(drive, docs), saved(drive, docs)
    with locked(drive) as repository:
        record_removal(repository, [RemovedSnapshot(FileName(first), 1)], BY, drive.dice)
        assert [named.id for named in repository.snapshots().readable] == [first, second]
        remove_snapshots(repository, [RemovedSnapshot(FileName(first), 1)], BY, drive.dice)
        assert [named.id for named in repository.snapshots().readable] == [second]
        assert numbers_on_record(repository) == [1]


def test_the_number_of_the_newest_snapshot_is_not_given_again_when_it_was_removed(drive: Drive, docs: Path) -> None:
    saved(drive, docs)
    newest = saved(drive, docs)
    pruned(drive, newest)
    saved(drive, docs)
    assert sequences(drive) == [1, 3]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(work=some.lists(some.one_of(some.just("save"), some.integers(0, 9)), min_size=1, max_size=9))
def test_whatever_is_saved_and_removed_each_number_is_either_there_or_on_record(
    work: list[str | int], tmp_path: Path
) -> None:
    with in_memory(tmp_path) as place:
        source = place / "docs"
        source.mkdir()
        drive = enroll(place / "drive")
        made = 0
        for step in work:
            if step == "save":
                (source / "note.txt").write_bytes(noise(str(made), 100))
                saved(drive, source)
                made += 1
                continue
            with opened(drive) as repository:
                there = repository.snapshots().readable
            if there:
                pruned(drive, there[int(step) % len(there)].id, accept_share=True)
        with loaded(drive) as repository:
            there_now = [named.snapshot.sequence for named in repository.snapshots().readable]
            assert sorted([*there_now, *numbers_on_record(repository)]) == list(range(1, made + 1))
            assert highest_sequence(repository, repository.snapshots().readable) == made
