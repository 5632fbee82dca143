"""Removing backups by name, after a look at what would be lost with them.

Owns: which backups are meant, what is in no other one, and the removal. Does not know: how a person is asked.

What only they needed stays on the drive until the next prune; what was removed is on record there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

from kinebackup.engine import (
    BlobReader,
    Entry,
    FolderStore,
    LoadedRepository,
    NamedSnapshot,
    Remover,
    TreeReader,
    Visited,
    Whose,
    remove_snapshots,
    sequences_of,
)
from kinebackup.jobs.backup import record_of, remember_snapshots
from kinebackup.model import CancelToken, FileName, HealedFile, Problem
from kinebackup.practice.access import PresentDrive, open_to_read, open_to_write
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.drive_faults import note_faults
from kinebackup.practice.reserve import make_reserve, release_reserve
from kinebackup.practice.world import World

PATHS_TOLD: Final = 10


@dataclass(frozen=True, slots=True)
class Loss:
    """What removing these snapshots means. ``file_count``: the files of which no other snapshot has the content;
    ``files``: the paths of the first of them.

    ``no_good_one_left``: names of computers of which the drive would hold no backup that is not suspicious.
    ``problems``: folders that cannot be read: what lies in them is not known.
    """

    snapshots: tuple[NamedSnapshot, ...]
    file_count: int
    files: tuple[str, ...]
    no_good_one_left: tuple[str, ...]
    problems: tuple[Problem, ...]


def foresee_loss(drive: PresentDrive, computer: ComputerKeys, wanted: Sequence[str], *, cancel: CancelToken) -> Loss:
    """Raises ``NotFound`` for a snapshot that is not on the drive, ``Damaged``, ``DriveFailed`` or ``Cancelled``."""
    record_of(drive)
    with open_to_read(drive, computer, None) as opened:
        repository = opened.repository
        meant = {found.id: found for found in (repository.find_snapshot(t, Whose(computer.machine)) for t in wanted)}
        known = repository.snapshots().readable
        kept = [named for named in known if named.id not in meant]
        problems: list[Problem] = []
        lost = _only_in([*meant.values()], kept, repository, problems, cancel)
        first = tuple(islice(lost, PATHS_TOLD))
        count = len(first) + sum(1 for _path in lost)
    return Loss(tuple(meant.values()), count, first, _without_good_one(meant.values(), kept), tuple(problems))


def _without_good_one(meant: Iterable[NamedSnapshot], kept: Sequence[NamedSnapshot]) -> tuple[str, ...]:
    good = {named.snapshot.machine for named in kept if not named.snapshot.suspicious}
    lost = [named.snapshot for named in meant if not named.snapshot.suspicious]
    return tuple(dict.fromkeys(snapshot.host for snapshot in lost if snapshot.machine not in good))


def _only_in(
    meant: Sequence[NamedSnapshot],
    kept: Sequence[NamedSnapshot],
    repository: LoadedRepository,
    problems: list[Problem],
    cancel: CancelToken,
) -> Iterator[str]:
    """The files whose content only ``meant`` have. Each directory is read once, however many snapshots have it."""
    trees = TreeReader(BlobReader(repository), problems.append)
    read: set[str] = set()
    contents = {_content(path, entry) for path, entry in _files(kept, trees, read, cancel)}
    for path, entry in _files(meant, trees, read, cancel):
        content = _content(path, entry)
        if content not in contents:
            contents.add(content)
            yield f"/{path}"


def _files(
    snapshots: Sequence[NamedSnapshot], trees: TreeReader, read: set[str], cancel: CancelToken
) -> Iterator[tuple[str, Entry]]:
    """Every file in a directory that is not among those read; these are added."""

    def folder(path: str, ids: Sequence[str]) -> Iterator[Visited]:
        cancel.check()
        new = [text for text in ids if text not in read]
        read.update(new)
        return trees.visit(new, path)

    for named in snapshots:
        stack = [folder("", named.snapshot.root)]
        while stack:
            visited = next(stack[-1], None)
            if visited is None:
                stack.pop()
            elif visited.entry.type == "dir":
                stack.append(folder(visited.path, visited.entry.tree))
            elif visited.entry.type == "file":
                yield visited.path, visited.entry


def _content(path: str, entry: Entry) -> int:
    """The same for the same content, wherever it lies; of an empty file only the name can be lost. An int, for there
    may be millions."""
    return hash((entry.size, *entry.blobs, *entry.lists)) if entry.blobs or entry.lists else hash(path)


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The ids of the snapshots that were removed; ``healed``: what was damaged on the drive, and came back."""

    forgotten: tuple[FileName, ...]
    healed: tuple[HealedFile, ...]


def forget_snapshots(drive: PresentDrive, computer: ComputerKeys, meant: Sequence[FileName], world: World) -> Forgotten:
    """Remove those of these that are still there.

    Raises ``Locked``, ``NotFound``, ``DriveFailed``.
    """
    record = record_of(drive)
    with open_to_write(drive, computer, world, "forget") as opened:
        repository = opened.repository
        known = repository.snapshots().readable
        there = [named.id for named in known if named.id in set(meant)]
        store = FolderStore(drive.root)
        release_reserve(store)  # even the record of a removal needs room
        try:
            by = Remover(at=world.now(), host=world.host, machine=computer.machine)
            remove_snapshots(repository, sequences_of(there, known), by, world.entropy)
            repository.parity.settle(CancelToken())
        finally:
            if not record.simulated:
                make_reserve(store)
            store.close()
        computer.state.forget_snapshots(repository.id, there)
        remember_snapshots(repository, computer)
        note_faults(record, computer, world, healed=repository.healed)
    return Forgotten(tuple(there), repository.healed)
