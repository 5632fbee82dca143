"""Which snapshots a drive should have and has not, although nobody removed them.

Owns: the comparison of what is there with the removal records, with the numbers between, and with what a computer has
seen. Does not know: where a computer keeps what it has seen, the words, or what follows.

Every snapshot has a number, one more than the one before; who removes one on purpose leaves a record (FORMAT.md §8). So
a number that nobody has is a snapshot that was lost, also for a computer that never saw the drive.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from kinebackup.engine.format.layout import is_file_name
from kinebackup.engine.format.removal import RemovedSnapshot
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.snapshot_list import Removals, SnapshotFiles, UnreadableRemoval
from kinebackup.model import FileName, SeenSnapshot

MOST_NUMBERS: Final = 1000  # of a gap that is told or given up number by number: only a forged one is longer


@dataclass(frozen=True, slots=True)
class MissingSnapshots:
    """``named``: those whose names a computer remembers. ``numbers``: of the others, from one to the last.

    ``explained``: so many of these numbers are those of snapshots whose names alone are known, which are not missing or
    are among the named. Nobody can tell which ones. ``unreadable_records``: removal records that might tell more.
    ``unrecorded``: what was removed on purpose, as this computer remembers, and stands in no record that can be read.
    ``remembered``: the numbers of those that do not open, as far as this computer knows them.
    """

    named: tuple[SeenSnapshot, ...] = ()
    numbers: tuple[tuple[int, int], ...] = ()
    explained: int = 0
    unreadable_records: tuple[UnreadableRemoval, ...] = ()
    unrecorded: tuple[RemovedSnapshot, ...] = ()
    remembered: Mapping[FileName, int] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self.named) + sum(last - first + 1 for first, last in self.numbers) - self.explained

    def has_number(self, number: int) -> bool:
        """Whether a snapshot of that number is missing, and of that nothing else is known."""
        return any(first <= number <= last for first, last in self.numbers)

    def without(self, names: Collection[str], numbers: Collection[int]) -> "MissingSnapshots":
        """What is left where these are given up."""
        named = tuple(each for each in self.named if each.id not in names)
        left = tuple(gap for first, last in self.numbers for gap in _cut(first, last, numbers))
        total = sum(last - first + 1 for first, last in left)
        # A name without a number explains one of the numbers, and still does so as a name in a removal record.
        numbers_left, explained = (left, self.explained) if total > self.explained else ((), 0)
        return replace(self, named=named, numbers=numbers_left, explained=explained)

    def first_numbers(self) -> list[int]:
        """The numbers one by one, as far as they can be those of real snapshots."""
        found: list[int] = []
        for first, last in self.numbers:
            found += range(first, min(last, first + MOST_NUMBERS - len(found) - 1) + 1)
            if len(found) >= MOST_NUMBERS:
                break
        return found


NONE_MISSING: Final = MissingSnapshots()


def find_missing_snapshots(repository: Repository, seen: Collection[SeenSnapshot] = ()) -> MissingSnapshots:
    """What should be on the drive: ``seen`` is what this computer remembers of it, which may be nothing."""
    return compare(repository.snapshots(), repository.removals(), seen)


def compare(files: SnapshotFiles, removals: Removals, seen: Collection[SeenSnapshot]) -> MissingSnapshots:
    """The same, of what was read. Of a folder that cannot be listed nobody knows what is in it, which is told as damage
    of that folder.
    """
    if not (files.whole and removals.whole):
        return MissingSnapshots(unreadable_records=removals.unreadable)
    readable = {named.id: named.snapshot.sequence for named in files.readable}
    unreadable = {each.name for each in files.unreadable}
    remembered = {each.id: each.sequence for each in seen}
    removed = removals.removed.keys() | {each.id for each in seen if each.removed}
    named = [each for each in seen if each.id not in removed | readable.keys() | unreadable]

    taken, nameless = set(readable.values()), 0
    for name in (removed | unreadable | {each.id for each in named}) - readable.keys():
        number = max(removals.removed.get(name, 0), remembered.get(name, 0))
        if number:
            taken.add(number)
        else:
            nameless += 1
    gaps = tuple(_gaps(taken))
    if sum(last - first + 1 for first, last in gaps) <= nameless:
        gaps, nameless = (), 0
    order = sorted(named, key=lambda each: (each.sequence, each.id))
    forgotten = [RemovedSnapshot(each.id, each.sequence) for each in seen if each.removed]
    return MissingSnapshots(
        named=tuple(order),
        numbers=gaps,
        explained=nameless if gaps else 0,
        unreadable_records=removals.unreadable,
        unrecorded=tuple(each for each in forgotten if each.id not in removals.removed),
        remembered={name: remembered[name] for name in unreadable & remembered.keys()},
    )


def _gaps(taken: Iterable[int]) -> Iterable[tuple[int, int]]:
    """The numbers from 1 that nobody has, below the highest that somebody has."""
    before = 0
    for number in sorted(taken):
        if number > before + 1:
            yield before + 1, number - 1
        before = number


def _cut(first: int, last: int, numbers: Collection[int]) -> Iterable[tuple[int, int]]:
    """What is left of a gap without these numbers."""
    for number in sorted(number for number in numbers if first <= number <= last):
        if first < number:
            yield first, number - 1
        first = number + 1
    if first <= last:
        yield first, last


def given_up(missing: MissingSnapshots, names: Collection[FileName], numbers: Collection[int]) -> list[RemovedSnapshot]:
    """How a removal record says that these are not waited for any more."""
    by_name = [RemovedSnapshot(each.id, each.sequence) for each in missing.named if each.id in names]
    return by_name + [RemovedSnapshot(name_of_number(number), number) for number in sorted(numbers)]


def name_of_number(sequence: int) -> FileName:
    """What stands in a record for the name of a snapshot that nobody knows: no file has such a name."""
    name = FileName(f"{sequence:064x}")
    assert is_file_name(name)
    return name
