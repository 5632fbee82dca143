"""Folders to which nothing leads any more: what is left of a snapshot, or of a folder, whose record is lost.

Owns: finding their trees. Does not know: what is done with them.

The trees of a drive are marked in one byte for each blob, as for a prune; each is read once.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.snapshot import Counts, NamedSnapshot, Snapshot, format_time
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.references import Marks
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.errors import Damaged
from kinebackup.model import BlobId, CancelToken, FileName


def find_orphans(repository: LoadedRepository, snapshots: Iterable[NamedSnapshot], cancel: CancelToken) -> list[BlobId]:
    """The trees that none of the snapshots has as its root and that no readable tree leads to."""
    reader = BlobReader(repository)
    led_to, seen = Marks(repository.index), Marks(repository.index)
    for named in snapshots:
        _mark(led_to, named.snapshot.root)
    for blob_id in _trees(repository, seen):
        cancel.check()
        try:
            entries, _rejected = tree.decode(bytes(reader.read(Kind.TREE, blob_id)))
        except Damaged:
            continue
        for entry in entries:
            _mark(led_to, entry.tree)
    # Marked now: it was not before, so nothing leads to it.
    return [blob_id for blob_id in _trees(repository, Marks(repository.index)) if led_to.mark(blob_id)]


def folder_as_snapshot(tree_id: BlobId) -> NamedSnapshot:
    """A tree that no snapshot has, as one that has nothing else: what restores snapshots restores it."""
    nothing = Counts(files=0, dirs=0, others=0, bytes=0)
    time = format_time(datetime.fromtimestamp(0, UTC))
    snapshot = Snapshot(sequence=1, time=time, host="", machine="", sources=(), root=(tree_id.hex(),), counts=nothing)
    return NamedSnapshot(FileName(tree_id.hex()), snapshot)


def _trees(repository: LoadedRepository, seen: Marks) -> Iterator[BlobId]:
    """Every tree blob once."""
    for table in repository.index.tables:
        for number in range(table.count):
            if table.location(number).segment.kind == Kind.TREE and seen.mark(table.id_at(number)):
                yield table.id_at(number)


def _mark(marks: Marks, ids: Iterable[str]) -> None:
    for text in ids:
        try:
            marks.mark(tree.blob_id(text))
        except Damaged:  # an impossible id leads nowhere
            continue
