"""Where each blob of a repository is: all index tables, and the blobs that the run in progress has claimed.

Owns: look-up and claims. Does not know: files on the drive.
"""

from collections.abc import Callable, Sequence

import msgspec

from kinebackup.engine.format.index import IndexTable, Location
from kinebackup.engine.format.pack import BlobPlace, Pack, Segment
from kinebackup.model import BlobId, FileName

_LEAD_BYTES = 3


class Index:
    """All tables of a repository, and the blobs that the run in progress has taken on itself. Safe for several
    threads.
    """

    def __init__(self, tables: Sequence[IndexTable]) -> None:
        self.tables = list(tables)
        self._loaded = tuple(tables)
        # Files that lie together were saved together: the table that knew the last blob mostly knows the next.
        self._recent = self.tables[0] if self.tables else None
        self._claimed: dict[BlobId, None] = {}
        self._holds: Callable[[BlobId], bool] | None = None
        # A first backup adds a table for every 65,536 blobs and asks all of them for every blob, mostly in vain. One
        # byte for each beginning of an id answers nearly all of those questions.
        self._added: list[IndexTable] = []
        self._added_leads = bytearray()
        self._by_pack: dict[FileName, list[tuple[IndexTable, int]]] = {}
        self._listed_in: list[IndexTable] = []  # the tables of which that was made
        self._sizes = {listed.name: listed.size for table in self.tables for listed in table.packs}

    def has(self, blob_id: BlobId) -> bool:
        """Whether the blob may be counted on: in a sound pack, or being written by this run."""
        if blob_id in self._claimed or (self._recent is not None and self._recent.has(blob_id)):
            return True
        for table in self._loaded:
            if table.has(blob_id):
                self._recent = table
                return True
        if not self._added or not self._added_leads[int.from_bytes(blob_id[:_LEAD_BYTES])]:
            return False
        return any(table.has(blob_id) for table in self._added)

    def claim(self, blob_id: BlobId) -> bool:
        """True: the caller must store the blob.

        Two threads may both get that answer at the same instant: the blob is then stored twice, which costs space only.
        """
        if self.has(blob_id) and (self._holds is None or blob_id in self._claimed or self._holds(blob_id)):
            return False
        self._claimed[blob_id] = None
        return True

    def ask_before_relying(self, holds: Callable[[BlobId], bool]) -> None:
        """``holds`` is asked of each blob that a claim would rely on without storing it."""
        self._holds = holds

    def add(self, table: IndexTable) -> None:
        """A table of packs that this run has committed; its blobs need no claim any more."""
        if not self._added:
            self._added_leads = bytearray(256**_LEAD_BYTES)
        leads = self._added_leads
        for blob_id, *_ in table.entries():
            leads[int.from_bytes(blob_id[:_LEAD_BYTES])] = 1
        self._added.append(table)
        self._sizes.update((listed.name, listed.size) for listed in table.packs)
        self.tables.append(table)
        for blob_id, *_ in table.entries():
            self._claimed.pop(blob_id, None)

    def extend(self, tables: Sequence[IndexTable]) -> None:
        """Tables that another process has written, for whoever only reads."""
        self._sizes.update((listed.name, listed.size) for table in tables for listed in table.packs)
        self.tables = [*self.tables, *tables]

    def locations(self, blob_id: BlobId) -> list[Location]:
        """Every place of a blob, those that may be relied on first."""
        sound: list[Location] = []
        doubtful: list[Location] = []
        for table in self.tables:
            for number in table.places_of(blob_id):
                (sound if table.usable(number) else doubtful).append(table.location(number))
        return sound + doubtful

    def misplaced(self, pack: Pack) -> frozenset[BlobId]:
        """Blobs of which a table says something else than the pack's own, authenticated table."""
        return frozenset().union(*(table.misplaced(number, pack) for table, number in self._listings(pack.name)))

    def _listings(self, pack: FileName) -> list[tuple[IndexTable, int]]:
        if len(self._listed_in) != len(self.tables):
            listed: dict[FileName, list[tuple[IndexTable, int]]] = {}
            for table in self.tables:
                for number, each in enumerate(table.packs):
                    listed.setdefault(each.name, []).append((table, number))
            self._by_pack, self._listed_in = listed, list(self.tables)
        return self._by_pack.get(pack, [])

    def packs(self) -> dict[FileName, int]:
        """Name and size of every pack that the index lists."""
        return dict(self._sizes)

    def listed_size(self, pack: FileName) -> int | None:
        """The size in bytes with which the index lists a pack; None where it does not."""
        return self._sizes.get(pack)


class Listing(msgspec.Struct, frozen=True):
    """What the index says of one pack. ``segments`` by record number; ``places`` in the order of the segments."""

    salt: bytes
    segments: dict[int, Segment]
    places: list[BlobPlace]


def listing_of(index: Index, pack: FileName) -> Listing | None:
    """None where no index file lists the pack. Slow: for damage only."""
    for table in index.tables:
        for listed in table.packs:
            if listed.name == pack:
                segments = {segment.record: segment for segment in table.segments_of([pack])[pack]}
                places: list[BlobPlace] = []
                for number in range(table.count):
                    at = table.location(number)
                    if at.pack == pack:
                        places.append(BlobPlace(table.id_at(number), at.segment.record, at.offset, at.size))
                places.sort(key=lambda place: (place.segment, place.offset))
                return Listing(listed.salt, segments, places)
    return None
