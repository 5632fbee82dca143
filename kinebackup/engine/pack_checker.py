"""Reading one whole pack from the drive: does all of it come back, from where the index says that it is?

Owns: the check of a pack, and what cannot be had from it. Does not know: when a check is due, or what follows from it.

A pack passes only if its bytes hash to its name, its table and every segment authenticate, every blob has the id
under which it is listed, and each index file that lists the pack says of it what its own table says. A pack that does
not hash to its name is judged as a restore would read it: by what the index says of it.
"""

import hashlib
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import attrgetter

import msgspec

from kinebackup.engine.format import pack
from kinebackup.engine.format.constants import PACK
from kinebackup.engine.format.layout import pack_path
from kinebackup.engine.format.pack import BlobPlace, Pack, Segment
from kinebackup.engine.format.seal import RecordOpener
from kinebackup.engine.repository.blob_index import Listing, listing_of
from kinebackup.engine.repository.inventory import other_bytes
from kinebackup.engine.repository.redundancy.parity_state import ParityFound, ParityState, state_of_parity
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.errors import Damaged, NotFound
from kinebackup.i18n import _, ngettext
from kinebackup.model import BlobId, FileName

MAX_PACK_BYTES = 2**30  # thirty times what a writer makes: a longer file is no pack, and must not cost that memory


class PackResult(msgspec.Struct, frozen=True):
    """``lost``: blobs of the pack that cannot be had from it, but by its parity. ``absent``: it is not on the drive.

    ``healable``: its parity gives all of it back. ``parity``: what is to be said of the parity file of a sound pack.
    """

    name: FileName
    ok: bool
    bytes_read: int
    message: str = ""
    lost: frozenset[BlobId] = frozenset()
    absent: bool = False
    healable: bool = False
    parity: ParityFound = ParityFound(ParityState.MISSING)


class PackChecker:
    """Reads whole packs into one buffer. One for each thread."""

    def __init__(self, repository: LoadedRepository) -> None:
        self._repository = repository
        self._buffer = bytearray()

    def check(self, name: FileName) -> PackResult:
        """Never raises for what is wrong with the pack itself. Raises ``DriveFailed``."""
        result = self._check(name)
        if result.ok:
            return result
        return msgspec.structs.replace(result, healable=self._repository.store.is_healable(pack_path(name)))

    def _check(self, name: FileName) -> PackResult:
        store, path = self._repository.store.bare, pack_path(name)
        try:
            size = store.size(path)
            if size > MAX_PACK_BYTES:
                return self._failed(name, 0, _("it is longer than a pack is"))
            if len(self._buffer) < size:
                self._buffer = bytearray(size)
            view = memoryview(self._buffer)[:size]
            store.drop_cache(path)  # a check of what memory remembers proves nothing about the drive
            got = store.read_into(path, 0, view)
        except NotFound as error:
            return msgspec.structs.replace(self._failed(name, 0, error.message), absent=True)
        except Damaged as error:
            return self._failed(name, 0, error.message)
        result = self._judge(name, view[:got])
        return msgspec.structs.replace(result, parity=state_of_parity(store, name, view[:got])) if result.ok else result

    def _judge(self, name: FileName, data: memoryview) -> PackResult:
        if hashlib.sha256(data).hexdigest() != name:
            listed = listing_of(self._repository.index, name)
            return self._judge_changed(name, data, listed) if listed else self._judge_unlisted(name, data)
        try:
            table = pack.parse_table(lambda at, size: _slice(data, at, size), len(data), self._repository.keys, name)
        except Damaged as error:
            return self._failed(name, len(data), error.message)
        bad = self._bad_segments(table.salt, dict(enumerate(table.segments)), table.places(), data)
        if not bad:
            return self._judge_listing(table, len(data))
        lost = frozenset(place.id for place in table.places() if place.segment in bad)
        return PackResult(name, False, len(data), _parts_damaged(len(bad), len(table.segments)), lost)

    def _judge_listing(self, table: Pack, size: int) -> PackResult:
        """Whether a restore, which goes by the index, finds what is there."""
        misplaced = self._repository.index.misplaced(table)
        if not misplaced:
            return PackResult(table.name, ok=True, bytes_read=size)
        message = _("the index says something else of its contents than the pack itself")
        return PackResult(table.name, False, size, message, misplaced)

    def _judge_changed(self, name: FileName, data: memoryview, listed: Listing) -> PackResult:
        bad = self._bad_segments(listed.salt, listed.segments, listed.places, data)
        message = _parts_damaged(len(bad), len(listed.segments))
        lost = frozenset(place.id for place in listed.places if place.segment in bad)
        return PackResult(name, False, len(data), message if bad else _("its bytes changed outside its contents"), lost)

    def _judge_unlisted(self, name: FileName, data: memoryview) -> PackResult:
        return self._failed(name, len(data), other_bytes())

    def _bad_segments(
        self, salt: bytes, segments: Mapping[int, Segment], places: Iterable[BlobPlace], data: memoryview
    ) -> set[int]:
        """``places``: those of one segment side by side."""
        keys = self._repository.keys
        opener = RecordOpener(keys, PACK, salt)
        bad: set[int] = set()
        for record, group in groupby(places, key=attrgetter("segment")):
            segment = segments[record]
            try:
                plain = memoryview(_open(opener, segment, data))
            except Damaged:
                bad.add(record)
                continue
            for place in group:
                if keys.blob_id(segment.kind, plain[place.offset : place.offset + place.size]) != place.id:
                    bad.add(record)
        return bad

    def _failed(self, name: FileName, size: int, message: str) -> PackResult:
        """A pack of which nothing can be had."""
        listed = listing_of(self._repository.index, name)
        lost = frozenset(place.id for place in listed.places) if listed else frozenset[BlobId]()
        return PackResult(name, ok=False, bytes_read=size, message=message, lost=lost)


def _parts_damaged(bad: int, total: int) -> str:
    text = ngettext("{count} of its {total} parts is damaged", "{count} of its {total} parts are damaged", bad)
    return text.format(count=bad, total=total)


def _slice(data: memoryview, at: int, size: int) -> bytes:
    if at < 0 or at + size > len(data):
        raise Damaged(_("a pack is shorter than it should be"))
    return bytes(data[at : at + size])


def _open(opener: RecordOpener, segment: Segment, data: memoryview) -> bytes:
    return pack.open_segment(opener, segment, data[segment.offset : segment.offset + segment.sealed_size])
