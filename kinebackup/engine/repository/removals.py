"""Removing snapshots on purpose, so that everybody can tell afterwards that it was on purpose (FORMAT.md §8).

Owns: the removal records of a drive, and the order of record and deletion. Does not know: which snapshots may go, or
which were lost.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from kinebackup.engine.format import removal
from kinebackup.engine.format.constants import SALT_BYTES
from kinebackup.engine.format.layout import REMOVALS, SNAPSHOTS, TOP, removal_path, snapshot_path
from kinebackup.engine.format.removal import Removal, RemovedSnapshot
from kinebackup.engine.format.snapshot import NamedSnapshot, format_time
from kinebackup.engine.repository.files import write_file
from kinebackup.engine.repository.repository import LockedRepository, Repository
from kinebackup.model import BlobId, Entropy, FileName

MAX_RECORDS: Final = 64  # more are put together into one: each is read by every backup


@dataclass(frozen=True, slots=True)
class Remover:
    """Who removes snapshots, and when."""

    at: datetime
    host: str
    machine: str


def highest_sequence(repository: Repository, known: Sequence[NamedSnapshot]) -> int:
    """The highest that the drive knows of: of these, which are its snapshots by their sequence, or of those removed."""
    there = known[-1].snapshot.sequence if known else 0
    return max(there, repository.removals().highest)


def sequences_of(names: Collection[FileName], readable: Sequence[NamedSnapshot]) -> list[RemovedSnapshot]:
    """How a record names these snapshots; 0 where the file cannot be read."""
    known = {named.id: named.snapshot.sequence for named in readable}
    return [RemovedSnapshot(name, known.get(name, 0)) for name in sorted(names)]


def record_removal(
    repository: LockedRepository,
    snapshots: Sequence[RemovedSnapshot],
    by: Remover,
    entropy: Entropy,
    *,
    given_up: Collection[BlobId] = (),
) -> None:
    """Write durably that these are about to be removed; many records become one, which is there before they go."""
    store = repository.store
    before = repository.removals()
    merged = before.records if len(before.records) >= MAX_RECORDS else ()
    removed = {each.id: each.sequence for each in snapshots}
    blobs = set(given_up)
    if merged:
        blobs |= before.given_up
        removed |= {name: max(sequence, removed.get(name, 0)) for name, sequence in before.removed.items()}
    record = Removal(
        time=format_time(by.at),
        host=by.host,
        machine=by.machine,
        removed=tuple(RemovedSnapshot(name, sequence) for name, sequence in sorted(removed.items())),
        given_up=tuple(sorted(blob.hex() for blob in blobs)),
    )
    name, data = removal.seal(record, repository.keys, entropy(SALT_BYTES))
    store.make_directories([REMOVALS])  # a copy of a drive may lack its empty folders
    store.sync_directories([TOP])
    with repository.changing_snapshots():
        write_file(store, removal_path(name), data)
        repository.parity.owe_copy(removal_path(name), data)
        repository.parity.remove(merged)
        for old in merged:
            store.remove(removal_path(old))
        if merged:
            store.sync_directories([REMOVALS])


def remove_snapshots(
    repository: LockedRepository,
    snapshots: Sequence[RemovedSnapshot],
    by: Remover,
    entropy: Entropy,
    *,
    lost: Sequence[RemovedSnapshot] = (),
    given_up: Collection[BlobId] = (),
) -> None:
    """First the record, then the files. What only they needed is for a prune to find.

    ``lost``: others that are not there, and are not waited for any more; ``given_up``: likewise, lists of files.
    """
    if not (snapshots or lost or given_up):
        return
    record_removal(repository, [*snapshots, *lost], by, entropy, given_up=given_up)
    with repository.changing_snapshots():
        repository.parity.remove([each.id for each in snapshots])
        for each in snapshots:
            repository.store.remove(snapshot_path(each.id))
        repository.store.sync_directories([SNAPSHOTS])
