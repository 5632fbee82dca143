"""What the snapshots of a drive need, and no sound pack of it has.

Owns: following every snapshot once, also through lists that have to come from elsewhere. Does not know: where they come
from, or what is written.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.snapshot import Snapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.references import Marks
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.errors import Damaged
from kinebackup.model import BlobId, CancelToken

_Item = TypeVar("_Item")


class Reader(Protocol):
    """Gives a blob, or raises ``Damaged``."""

    def read(self, kind: Kind, blob_id: BlobId) -> bytes | memoryview: ...


class NeededParts:
    """``wanted``: blobs to be written anew, those first that lead to the others. ``lost``: lists that nobody has, so
    that what they lead to is not known.
    """

    def __init__(self, repository: LoadedRepository, reader: Reader, cancel: CancelToken) -> None:
        self.wanted: dict[BlobId, Kind] = {}
        self.lost: set[BlobId] = set()
        self._index = repository.index
        self._marks = Marks(repository.index)
        self._unlisted: set[BlobId] = set()
        self._reader = reader
        self._cancel = cancel

    def add(self, snapshot: Snapshot) -> None:
        """Follow one snapshot. What an earlier one has too is not followed again. Raises what reading raises."""
        folders = list(snapshot.root)
        while folders:
            self._cancel.check()
            folders += self._folder(folders.pop())

    def _folder(self, text: str) -> list[str]:
        """The lists of the folders in it."""
        below: list[str] = []
        for entry in self._followed(Kind.TREE, text, lambda data: tree.decode(data)[0]):
            if entry.type == "dir":
                below += entry.tree
            else:
                self._file(entry)
        return below

    def _file(self, entry: Entry) -> None:
        ids = list(entry.blobs)
        for text in entry.lists:
            ids += self._followed(Kind.LIST, text, tree.decode_ids)
        for text in entry.extent_lists:
            self._followed(Kind.LIST, text, tree.decode_extents)
        for text in ids:
            blob_id = _id_of(text)
            if blob_id is not None:
                self._need(Kind.DATA, blob_id)

    def _followed(self, kind: Kind, text: str, decode: Callable[[bytes], list[_Item]]) -> Sequence[_Item]:
        """What a list holds that was not followed yet."""
        blob_id = _id_of(text)
        if blob_id is None or not self._is_new(blob_id):
            return ()
        try:
            items = decode(bytes(self._reader.read(kind, blob_id)))
        except Damaged:
            self.lost.add(blob_id)
            return ()
        self._need(kind, blob_id)
        return items

    def _is_new(self, blob_id: BlobId) -> bool:
        marked = self._marks.mark(blob_id)
        if marked is None and blob_id not in self._unlisted:  # no index file of this drive has it
            self._unlisted.add(blob_id)
            return True
        return bool(marked)

    def _need(self, kind: Kind, blob_id: BlobId) -> None:
        if not self._index.has(blob_id):
            self.wanted[blob_id] = kind


def _id_of(text: str) -> BlobId | None:
    """None for an id that no blob can have: only a forged list holds one, and it leads nowhere."""
    try:
        return tree.blob_id(text)
    except Damaged:
        return None
