"""What snapshots refer to.

Owns: following every snapshot to every blob, once. Does not know: what is done with the answer.

A million blobs are marked in one byte each, by their place in the index.
"""

from collections.abc import Callable, Collection, Iterator, Sequence

from kinebackup.archive import tree
from kinebackup.archive.index import Index
from kinebackup.archive.repository import BlobReader, Repository
from kinebackup.archive.snapshot import NamedSnapshot
from kinebackup.archive.tree import Entry
from kinebackup.archive.trees import TreeReader, data_ids
from kinebackup.errors import Damaged
from kinebackup.model import BlobId, CancelToken, FileName, Problem


class Marks:
    """Which places of the index are used. A blob with several places is marked at the one that can be relied on most."""

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
    """Marks everything that snapshots refer to, and reports what is not to be had."""

    def __init__(self, repository: Repository, cancel: CancelToken, on_problem: Callable[[Problem], None]) -> None:
        self.marks = Marks(repository.index)
        self._reader = BlobReader(repository)
        self._cancel = cancel
        self._on_problem = on_problem

    def add(self, named: NamedSnapshot) -> None:
        """Follow one snapshot. A directory that an earlier one has too is not followed again."""

        def report(problem: Problem) -> None:
            self._on_problem(Problem(problem.kind, problem.path, problem.message, (named.id,)))

        trees = TreeReader(self._reader, report)
        stack: list[tuple[str, Sequence[str]]] = [("", named.snapshot.root)]
        while stack:
            self._cancel.check()
            path, ids = stack.pop()
            new = [text for text in ids if self._mark(text, path, report, "the list of this folder's files")]
            for entry in trees.entries(new, path):
                below = f"{path}/{entry.path_name}" if path else entry.path_name
                if entry.type == "dir":
                    stack.append((below, entry.tree))
                else:
                    self._add_file(entry, below, report)

    def _add_file(self, entry: Entry, path: str, report: Callable[[Problem], None]) -> None:
        for text in entry.lists:
            self._mark(text, path, report, "the list of this file's parts")
        try:
            ids = data_ids(entry, self._reader)
        except Damaged as error:
            report(Problem("damaged", f"/{path}", error.message))
            return
        for text in ids:
            if self._mark(text, path, report, "a part of this file") is None:
                return

    def _mark(self, text: str, path: str, report: Callable[[Problem], None], what: str) -> bool | None:
        try:
            marked = self.marks.mark(tree.blob_id(text))
        except Damaged as error:
            report(Problem("damaged", f"/{path}", error.message))
            return None
        if marked is None:
            report(Problem("missing", f"/{path}", f"{what} is not on the drive any more"))
        return marked


def files_using(
    repository: Repository, snapshots: Sequence[NamedSnapshot], lost: Collection[BlobId], limit: int
) -> Iterator[Problem]:
    """The files and folders that need one of the lost blobs, each with the snapshots affected; at most ``limit``."""
    affected: dict[str, list[str]] = {}
    hexes = {blob_id.hex() for blob_id in lost}
    reader = BlobReader(repository)
    for named in snapshots:
        trees = TreeReader(reader, lambda _: None)
        roots = [("", text) for text in named.snapshot.root]
        found = {path or "/" for path, text in roots if text in hexes}
        for visited in trees.walk(named.snapshot.root):
            entry = visited.entry
            needs = entry.tree if entry.type == "dir" else [*entry.blobs, *entry.lists]
            hit = not hexes.isdisjoint(needs)
            if not hit and entry.lists:
                try:
                    hit = not hexes.isdisjoint(data_ids(entry, reader))
                except Damaged:
                    hit = True
            if hit:
                found.add(f"/{visited.path}")
        for path in found:
            affected.setdefault(path, []).append(named.id)
    for path, ids in sorted(affected.items())[:limit]:
        yield Problem(
            "damaged", path, "damaged on the drive; the next backup saves it again if it still exists", tuple(ids)
        )


def blobs_of_pack(index: Index, pack: FileName) -> Iterator[tuple[BlobId, int]]:
    """(id, segment's record number) of each blob that the index places in that pack. Slow: for damage only."""
    for table in index.tables:
        if any(listed.name == pack for listed in table.packs):
            for number in range(table.count):
                location = table.location(number)
                if location.pack == pack:
                    yield table.id_at(number), location.segment.record
