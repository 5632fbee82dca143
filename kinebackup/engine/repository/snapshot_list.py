"""The snapshots of an opened repository, and the records of removed ones: each of their files is read once.

Owns: what was read of them, and what of it is still there. Does not know: who writes and removes them, or what follows.

A file bears the digest of its bytes as its name: what was read of it stays true, and only the list of names grows old.
Its owner calls ``list_again`` for what this process does, and ``look_again`` for what another one may have done. Who
wants the drive proven, and not memory, has it forget what it read.
"""

import threading
from collections.abc import Callable, Collection, Hashable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

import msgspec

from kinebackup.engine.format import removal, snapshot, tree
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.format.layout import DAMAGED, REMOVALS, SNAPSHOTS
from kinebackup.engine.format.removal import Removal
from kinebackup.engine.format.snapshot import NamedSnapshot, Snapshot
from kinebackup.engine.format.snapshot_order import by_sequence
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.inventory import names_to_try, read_named
from kinebackup.engine.repository.redundancy.healing import HealingStore, read_healed
from kinebackup.errors import Damaged, KineError, NeedsNewer, NotFound
from kinebackup.model import BlobId, FileName

_File = TypeVar("_File")
_All = TypeVar("_All")
_Value = TypeVar("_Value", bound=Hashable)


@dataclass(frozen=True, slots=True)
class UnreadableSnapshot:
    """A snapshot whose file is there and does not open. *Doubtful* until a verification has marked it as damaged.

    *Sound*: only a newer program can read it.
    """

    name: FileName
    reason: str
    condition: Condition

    @property
    def is_damage(self) -> bool:
        return self.condition is not Condition.SOUND


@dataclass(frozen=True, slots=True)
class SnapshotFiles:
    """All snapshots of a repository: those that can be read, by their sequence, and the others.

    ``whole`` False: their folder cannot be listed to its end, and there may be more.
    """

    readable: tuple[NamedSnapshot, ...]
    unreadable: tuple[UnreadableSnapshot, ...]
    whole: bool = True


@dataclass(frozen=True, slots=True)
class UnreadableRemoval:
    """A record that is there and does not open: what it named cannot be told from what was lost."""

    name: FileName
    reason: str


@dataclass(frozen=True, slots=True)
class Removals:
    """What the records say. ``removed``: id and sequence of each snapshot that was removed, or was about to be.

    ``given_up``: lists of files that did not open, and are not waited for any more. ``whole``: their folder could be
    listed to its end.
    """

    removed: Mapping[FileName, int]
    records: tuple[FileName, ...]
    unreadable: tuple[UnreadableRemoval, ...]
    given_up: frozenset[BlobId] = frozenset()
    whole: bool = True

    @property
    def highest(self) -> int:
        """The highest sequence among them; 0 where there is none."""
        return max(self.removed.values(), default=0)


class SnapshotList:
    """Of one opened repository. Safe for several threads. Each method that reads raises ``DriveFailed``."""

    def __init__(self, store: HealingStore, keys: RepositoryKeys) -> None:
        self._store = store
        compact = _Compact()
        self._removals = _FilesReadOnce(store, REMOVALS, lambda data: removal.unseal(data, keys), _together)
        self._snapshots = _FilesReadOnce(
            store,
            SNAPSHOTS,
            lambda data: compact(snapshot.unseal(data, keys)),
            _sorted,
            lambda: self.removals().removed.keys(),
        )

    def snapshots(self) -> SnapshotFiles:
        """Every snapshot. Whether one that does not open is marked is looked at each time."""
        files = self._snapshots.all()
        if not files.unreadable:
            return files
        marked = set(names_to_try(self._store, DAMAGED)[0])
        judged = (
            replace(each, condition=Condition.DAMAGED) if each.is_damage and each.name in marked else each
            for each in files.unreadable
        )
        return replace(files, unreadable=tuple(judged))

    def removals(self) -> Removals:
        """What all removal records say."""
        return self._removals.all()

    def add(self, name: FileName, made: Snapshot) -> None:
        """A snapshot that this process has written, and read again from the drive."""
        self._snapshots.add(name, made)

    def list_again(self) -> None:
        """This process has written or removed some: who asks next learns which are there."""
        for files in (self._snapshots, self._removals):
            files.list_again()

    def look_again(self) -> None:
        """Another process may have: the same, and what did not open is tried once more."""
        for files in (self._snapshots, self._removals):
            files.list_again(failed=True)

    def forget_snapshots(self) -> None:
        """Who asks next has every snapshot read anew."""
        self._snapshots.forget()


class _FilesReadOnce(Generic[_File, _All]):
    """The files of one folder that are named after their content."""

    def __init__(
        self,
        store: HealingStore,
        directory: str,
        decode: Callable[[bytes], _File],
        gather: Callable[[Mapping[FileName, _File], Mapping[FileName, KineError], bool], _All],
        removed: Callable[[], Collection[FileName]] = frozenset,
    ) -> None:
        """``decode`` raises ``Damaged`` or ``NeedsNewer``. ``gather`` makes one value of those that were read, of why
        others were not, and of whether the folder could be listed to its end. ``removed``: those that went on purpose.
        """
        self._store = store
        self._directory = directory
        self._decode = decode
        self._gather = gather
        self._removed = removed
        self._lock = threading.Lock()
        self._read: dict[FileName, _File] = {}
        self._failed: dict[FileName, KineError] = {}
        self._all: _All | None = None  # None: the list of names is to be looked at

    def all(self) -> _All:
        with self._lock:
            if self._all is None:
                self._all = self._look()
            return self._all

    def add(self, name: FileName, made: _File) -> None:
        with self._lock:
            self._read[name] = made
            self._all = None

    def list_again(self, *, failed: bool = False) -> None:
        with self._lock:
            self._all = None
            if failed:
                self._failed.clear()

    def forget(self) -> None:
        with self._lock:
            self._all = None
            self._read.clear()
            self._failed.clear()

    def _look(self) -> _All:
        names, whole = self._names()
        absent: set[FileName] = set()
        for name in names:
            if name not in self._read and name not in self._failed:
                try:
                    self._read[name] = self._read_one(name)
                except (Damaged, NotFound, NeedsNewer) as error:
                    self._failed[name] = error
                    if isinstance(error, NotFound):
                        absent.add(name)
        if absent:  # what another process has removed since it was listed is not damaged
            left, all_of_them = self._names()
            absent = absent.difference(left) if all_of_them else set()
            names = [name for name in names if name not in absent]
        self._read = {name: self._read[name] for name in names if name in self._read}
        self._failed = {name: self._failed[name] for name in names if name in self._failed}
        return self._gather(self._read, self._failed, whole)

    def _names(self) -> tuple[list[FileName], bool]:
        """Those that are there, and those of which only the copy is; whether their folder was listed to its end."""
        names, whole = names_to_try(self._store, self._directory)
        lost = set(self._store.lost_files(self._directory)).difference(names)
        if lost:
            names = sorted({*names, *lost.difference(self._removed())})
        return names, whole

    def _read_one(self, name: FileName) -> _File:
        path = f"{self._directory}/{name}"
        return read_healed(self._store, path, lambda: self._decode(read_named(self._store, path)))


def _sorted(read: Mapping[FileName, Snapshot], failed: Mapping[FileName, KineError], whole: bool) -> SnapshotFiles:
    readable = sorted((NamedSnapshot(name, made) for name, made in read.items()), key=by_sequence)
    unreadable = (
        UnreadableSnapshot(
            name, error.message, Condition.SOUND if isinstance(error, NeedsNewer) else Condition.DOUBTFUL
        )
        for name, error in failed.items()
    )
    return SnapshotFiles(tuple(readable), tuple(unreadable), whole)


def _together(read: Mapping[FileName, Removal], failed: Mapping[FileName, KineError], whole: bool) -> Removals:
    removed: dict[FileName, int] = {}
    for each in (each for record in read.values() for each in record.removed):
        # Removed once while its file could not be read, and again, for it came back, by its number.
        removed[each.id] = max(each.sequence, removed.get(each.id, 0))
    given_up = frozenset(tree.blob_id(text) for record in read.values() for text in record.given_up)
    unreadable = tuple(UnreadableRemoval(name, error.message) for name, error in failed.items())
    return Removals(removed, tuple(read), unreadable, given_up, whole)


class _Compact:
    """Snapshots follow one another and say nearly the same: what several say is held once."""

    def __init__(self) -> None:
        self._known: dict[Hashable, Any] = {}  # what is held, by what it is equal to

    def __call__(self, made: Snapshot) -> Snapshot:
        return msgspec.structs.replace(
            made,
            host=self._once(made.host),
            machine=self._once(made.machine),
            sources=self._each_once(made.sources),
            led_to=self._each_once(made.led_to),
            users=self._names(made.users),
            groups=self._names(made.groups),
            problems=self._each_once(made.problems),
            index=self._each_once(made.index),
            drive=self._once(made.drive),
            program=self._once(made.program),
            original=self._once(made.original),
        )

    def _once(self, value: _Value) -> _Value:
        found: _Value = self._known.setdefault(value, value)
        return found

    def _each_once(self, values: tuple[_Value, ...]) -> tuple[_Value, ...]:
        return self._known.get(values) or self._once(tuple(map(self._once, values)))

    def _names(self, names: dict[str, str]) -> dict[str, str]:
        key = ("names", tuple(names.items()))
        found: dict[str, str] = self._known.setdefault(key, names)
        return found
