"""What snapshots refer to.

Owns: following every snapshot to every blob, once; which snapshots and files need a blob that is lost. Does not know:
what is done with the answer.

A million blobs are marked in one byte each, by their place in the index.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TypeVar

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_index import Index
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.tree_reader import TreeReader, data_ids
from kinebackup.errors import Damaged
from kinebackup.model import BlobId, CancelToken, Problem

_Item = TypeVar("_Item")


class Marks:
    """Which places of the index are used. A blob with several places is marked at the most reliable one."""

    def __init__(self, index: Index) -> None:
        self._index = index
        self.by_table = [bytearray(table.count) for table in index.tables]

    def mark(self, blob_id: BlobId) -> bool | None:
        """True: marked now. False: it was already. None: the blob is nowhere."""
        doubtful: tuple[int, int] | None = None
        for number, table in enumerate(self._index.tables):
            for place in table.places_of(blob_id):
                if table.usable(place):
                    return self._set(number, place)
                doubtful = doubtful or (number, place)
        return self._set(*doubtful) if doubtful else None

    def _set(self, table: int, place: int) -> bool:
        if self.by_table[table][place]:
            return False
        self.by_table[table][place] = 1
        return True


class ReferenceWalk:
    """Marks everything that snapshots refer to.

    ``missing``: blobs that are listed nowhere. ``unreadable``: directories and lists that are listed, and do not open.
    ``unfollowed``: directories and lists that are either, so that what they refer to is not marked.
    """

    def __init__(
        self, repository: LoadedRepository, cancel: CancelToken, on_problem: Callable[[Problem], None]
    ) -> None:
        """``on_problem`` is called for directories that open and hold what no directory may hold."""
        self.marks = Marks(repository.index)
        self.missing: set[BlobId] = set()
        self.unreadable: set[BlobId] = set()
        self.unfollowed: set[BlobId] = set()
        self._reader = BlobReader(repository, looks_again=False)  # the marks are of these tables
        self._cancel = cancel
        self._on_problem = on_problem

    def add(self, named: NamedSnapshot) -> None:
        """Follow one snapshot. A directory that an earlier one has too is not followed again."""

        def report(path: str, message: str) -> None:
            self._on_problem(Problem("damaged", f"/{path}", message, (named.id,)))

        stack = [self._folders("", named.snapshot.root, report)]
        while stack:
            folder = next(stack[-1], None)
            if folder is None:
                stack.pop()
            else:
                stack.append(self._folders(*folder, report))

    def _folders(
        self, path: str, ids: Sequence[str], report: Callable[[str, str], None]
    ) -> Iterator[tuple[str, Sequence[str]]]:
        """The folders in one, with their trees, while everything else in it is marked; one tree blob at a time."""
        for text in ids:
            self._cancel.check()
            for entry in self._entries(path, text, report):
                below = f"{path}/{entry.path_name}" if path else entry.path_name
                if entry.type == "dir":
                    yield below, entry.tree
                else:
                    self._add_file(entry, below, report)

    def _entries(self, path: str, text: str, report: Callable[[str, str], None]) -> list[Entry]:
        """Of a tree blob that was not marked yet; else none."""
        try:
            blob_id = tree.blob_id(text)
        except Damaged as error:
            report(path, error.message)
            return []
        marked = self._mark(blob_id)
        if marked is None:
            self.unfollowed.add(blob_id)
        if not marked:
            return []
        try:
            entries, rejected = tree.decode(bytes(self._reader.read(Kind.TREE, blob_id)))
        except Damaged:
            self._cannot_follow(blob_id)
            return []
        if rejected:
            report(path, f"{rejected} names in this folder were refused")
        return entries

    def _add_file(self, entry: Entry, path: str, report: Callable[[str, str], None]) -> None:
        try:
            ids = list(entry.blobs)
            for text in entry.lists:
                ids += self._list(text, tree.decode_ids)
            for text in entry.extent_lists:
                self._list(text, tree.decode_extents)
            for text in ids:
                self._mark(tree.blob_id(text))
        except Damaged as error:
            report(path, error.message)

    def _cannot_follow(self, blob_id: BlobId) -> None:
        self.unreadable.add(blob_id)
        self.unfollowed.add(blob_id)

    def _list(self, text: str, decode: Callable[[bytes], list[_Item]]) -> list[_Item]:
        """What a list blob holds, which is marked; nothing where it cannot be had, which is noted."""
        blob_id = tree.blob_id(text)
        if self._mark(blob_id) is None:
            self.unfollowed.add(blob_id)
            return []
        try:
            return decode(bytes(self._reader.read(Kind.LIST, blob_id)))
        except Damaged:
            self._cannot_follow(blob_id)
            return []

    def _mark(self, blob_id: BlobId) -> bool | None:
        marked = self.marks.mark(blob_id)
        if marked is None:
            self.missing.add(blob_id)
        return marked


@dataclass(frozen=True, slots=True)
class Trace:
    """Who needs what is lost: snapshots by blob, and snapshots by path. ``folders``: the paths that are folders'."""

    snapshots: dict[BlobId, set[str]] = field(default_factory=dict)
    paths: dict[str, list[str]] = field(default_factory=dict)
    folders: set[str] = field(default_factory=lambda: {"/"})

    def affected_by(self, blobs: Collection[BlobId]) -> tuple[str, ...]:
        """The snapshots that need one of these."""
        return tuple(sorted({name for blob in blobs for name in self.snapshots.get(blob, ())}))


def trace(repository: LoadedRepository, snapshots: Sequence[NamedSnapshot], lost: Collection[BlobId]) -> Trace:
    """Follow every snapshot to what it needs of the lost blobs. Slow: for damage only."""
    found = Trace()
    by_hex = {blob_id.hex(): blob_id for blob_id in lost}
    reader = BlobReader(repository, looks_again=False)
    for named in snapshots if lost else ():

        def note(path: str, needs: Collection[str], snapshot: str = named.id) -> None:
            hits = by_hex.keys() & needs
            for text in hits:
                found.snapshots.setdefault(by_hex[text], set()).add(snapshot)
            if hits:
                found.paths.setdefault(path, []).append(snapshot)

        note("/", set(named.snapshot.root))
        for visited in TreeReader(reader, lambda _: None).walk(named.snapshot.root):
            note(f"/{visited.path}", _needs(visited.entry, reader))
            if visited.entry.type == "dir" and f"/{visited.path}" in found.paths:
                found.folders.add(f"/{visited.path}")
    return found


def _needs(entry: Entry, reader: BlobReader) -> set[str]:
    needs = {*entry.tree, *entry.blobs, *entry.lists, *entry.extent_lists}
    if entry.lists:
        with suppress(Damaged):  # where one of the lists is itself among the lost
            needs |= set(data_ids(entry, reader))
    return needs
