"""The index: where each blob is (FORMAT.md §7), held in little more memory than its own bytes.

Owns: one index file as a table in memory: encoding, checking, look-up, merging. Does not know: files on the drive.

A million blobs take 31 MB here (benchmarks/parts.py), a fraction of what a dictionary would. Ids are uniformly
random, so the first two bytes lead to about sixteen candidates, which ``bytes.find`` searches.
"""

import struct
import sys
from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise
from operator import ge

import msgspec

from kinebackup.engine.format.constants import (
    FRAME_BYTES,
    ID_BYTES,
    MAX_INDEX_BLOBS,
    MAX_PACK_BYTES,
    MAX_PACK_SEGMENTS,
    MIN_PACK_BYTES,
    TRAILER_BYTES,
)
from kinebackup.engine.format.malformed import Malformed
from kinebackup.engine.format.pack import Pack, Segment, all_lie_within, check_place, checked_segment, place_columns
from kinebackup.model import BlobId, FileName

FLUSH_BLOBS = 65_536  # a run writes an index file after so many new blobs: the resume point, and bounded memory

_LOT_BLOBS = MAX_INDEX_BLOBS // 4  # of a group of packs; a single pack may have more
LARGE_BLOBS = _LOT_BLOBS // 2
"""Index files of that many are not merged with small ones: all of them would be written anew."""


_COUNTS = struct.Struct("<IIII")
_PACK = struct.Struct("<32s32sQ")
_SEGMENT = struct.Struct("<IIIIIBBH")
_PLACE = struct.Struct("<III")
_NOWHERE = range(0)


class Location(msgspec.Struct, frozen=True, gc=False):
    """All that is needed to read one blob. Offsets and sizes in bytes. A struct, because each read makes one."""

    pack: FileName
    salt: bytes
    segment: Segment
    offset: int
    size: int


class ListedPack(msgspec.Struct, frozen=True):
    """A pack as an index file lists it. With the salt, no other pack can pass for it: its records would not open."""

    name: FileName
    salt: bytes
    size: int


class IndexTable:
    """One index file, as loaded. Immutable, but for which of its packs may be relied on."""

    def __init__(self, plain: bytes, name: FileName | None = None) -> None:
        """``plain``: the record's plaintext, decompressed; ``name``: of its file, where it has one.

        Raises ``Damaged`` for what ``encode`` cannot produce.
        """
        self.name = name
        if len(plain) < _COUNTS.size:
            raise Malformed("an index file is too short")
        packs, segments, blobs, reserved = _COUNTS.unpack_from(plain)
        self._segments_at = _COUNTS.size + packs * _PACK.size
        self._ids_at = self._segments_at + segments * _SEGMENT.size
        self._places_at = self._ids_at + blobs * ID_BYTES
        if reserved or blobs > MAX_INDEX_BLOBS or len(plain) != self._places_at + blobs * _PLACE.size:
            raise Malformed("an index file has another length than its counts say")
        self.count = blobs
        self._plain = plain
        self.packs = [
            ListedPack(FileName(name.hex()), salt, size)
            for name, salt, size in _PACK.iter_unpack(plain[_COUNTS.size : self._segments_at])
        ]
        if any(not MIN_PACK_BYTES <= pack.size <= MAX_PACK_BYTES for pack in self.packs):
            raise Malformed("an index file lists a pack of an impossible size")
        self._check_segments()
        self._check_places()
        self._build_fan_out()
        self._unusable: frozenset[int] = frozenset()
        self._members: list[array[int]] | None = None
        self._last_segment: tuple[int, ListedPack, Segment] | None = None  # neighbours in a folder are so in a segment

    def _check_segments(self) -> None:
        view = memoryview(self._plain)[self._segments_at : self._ids_at]
        for pack, record, offset, sealed, plain, codec, kind, zero in _SEGMENT.iter_unpack(view):
            checked_segment(record, offset, sealed, plain, codec, kind)
            if zero or record >= MAX_PACK_SEGMENTS or pack >= len(self.packs):
                raise Malformed("an index file has a segment of an impossible number")
            if offset < FRAME_BYTES or offset + sealed > self.packs[pack].size - TRAILER_BYTES:
                raise Malformed("an index file has a segment that lies outside its pack")

    def _check_places(self) -> None:
        """Every blob lies within its segment."""
        sizes = [plain for *_, plain, _, _, _ in _SEGMENT.iter_unpack(self._plain[self._segments_at : self._ids_at])]
        segments, offsets, lengths = place_columns(self._plain[self._places_at :])
        if max(segments, default=-1) >= len(sizes):
            raise Malformed("an index file names a segment that it does not have")
        if not all_lie_within(sizes, segments, offsets, lengths):
            raise Malformed("an index file has a blob that does not lie within its segment")

    def _build_fan_out(self) -> None:
        halves = array("Q", self._plain[self._ids_at : self._places_at])
        if sys.byteorder == "little":
            halves.byteswap()
        leads = halves[0::2]
        if any(map(ge, leads, leads[1:])) and any(a > b for a, b in pairwise(map(self.id_at, range(self.count)))):
            raise Malformed("the ids of an index file are out of order")
        bits = max(0, min(16, (self.count // 16).bit_length()))
        self._shift = 16 - bits
        self._fan_out = [bisect_left(leads, bucket << 64 - bits) for bucket in range(1 << bits)] + [self.count]

    def find(self, blob_id: BlobId) -> int:
        """The number of a blob in this table, or -1."""
        bucket = (blob_id[0] << 8 | blob_id[1]) >> self._shift
        base = self._ids_at
        end = base + self._fan_out[bucket + 1] * ID_BYTES
        at = self._plain.find(blob_id, base + self._fan_out[bucket] * ID_BYTES, end)
        while at >= 0 and (at - base) % ID_BYTES:  # the same 16 bytes across two ids: possible, never seen
            at = self._plain.find(blob_id, at + 1, end)
        return (at - base) // ID_BYTES if at >= 0 else -1

    def id_at(self, number: int) -> BlobId:
        start = self._ids_at + number * ID_BYTES
        return BlobId(self._plain[start : start + ID_BYTES])

    def _place(self, number: int) -> tuple[int, int, int]:
        return _PLACE.unpack_from(self._plain, self._places_at + number * _PLACE.size)

    def pack_number(self, number: int) -> int:
        """Which of ``packs`` holds blob ``number``."""
        segment = self._place(number)[0]
        pack: int = _SEGMENT.unpack_from(self._plain, self._segments_at + segment * _SEGMENT.size)[0]
        return pack

    def location(self, number: int) -> Location:
        """Raises ``Damaged`` where the blob lies outside its segment, or its segment outside the table."""
        segment, offset, size = self._place(number)
        last = self._last_segment
        if last is None or last[0] != segment:
            self._last_segment = last = self._read_segment(segment)
        _number, pack, found = last
        check_place(found, offset, size)
        return Location(pack.name, pack.salt, found, offset, size)

    def _read_segment(self, number: int) -> tuple[int, ListedPack, Segment]:
        if number >= (self._ids_at - self._segments_at) // _SEGMENT.size:
            raise Malformed("an index file names a segment that it does not have")
        pack, *fields, _zero = _SEGMENT.unpack_from(self._plain, self._segments_at + number * _SEGMENT.size)
        return number, self.packs[pack], checked_segment(*fields)

    def misplaced(self, number: int, pack: Pack) -> frozenset[BlobId]:
        """Blobs of which this table says something else than ``pack``, which is number ``number`` of its packs, does by
        its own table: what is read by this table would not be found there.
        """
        listed = self.packs[number]
        there, said = set(pack.rows()), set(self._rows_of(number, pack.segments))
        differing = there if (listed.salt, listed.size) != (pack.salt, pack.size) else set[bytes]()
        return frozenset(BlobId(row[:ID_BYTES]) for row in (said ^ there) | differing)

    def _rows_of(self, pack: int, segments: Sequence[Segment]) -> Iterator[bytes]:
        """The blobs in that pack, as its ``rows`` are; those of a segment that is not in ``segments`` as no row is."""
        plain, ids_at, places_at = self._plain, self._ids_at, self._places_at
        records: dict[bytes, bytes] = {}  # the number of a segment here, and in its pack
        for number in self._numbers_in(pack):
            id_at, at = ids_at + number * ID_BYTES, places_at + number * _PLACE.size
            segment = plain[at : at + 4]
            if segment not in records:
                found = self._read_segment(int.from_bytes(segment, "little"))[2]
                same = found in segments[found.record : found.record + 1]
                records[segment] = found.record.to_bytes(4, "little") if same else b""
            yield plain[id_at : id_at + ID_BYTES] + records[segment] + plain[at + 4 : at + _PLACE.size]

    def _numbers_in(self, pack: int) -> "array[int]":
        """The numbers of the blobs in that pack. All packs are looked through at the first question: a check asks for
        each of them.
        """
        if self._members is None:
            of_segment = [segment[0] for segment in self.raw_segments()]
            members = [array("I") for _ in self.packs]
            for number, pack_number in enumerate(
                map(of_segment.__getitem__, place_columns(self._plain[self._places_at :])[0])
            ):
                members[pack_number].append(number)
            self._members = members
        return self._members[pack]

    def rely_on(self, present: Mapping[FileName, int], damaged: Collection[str]) -> None:
        """Rely only on packs that are on the drive with the right size and have not failed a check."""
        self._unusable = frozenset(
            number for number, p in enumerate(self.packs) if present.get(p.name) != p.size or p.name in damaged
        )

    def stop_relying_on(self, pack: FileName) -> None:
        """A read of that pack has failed."""
        self._unusable |= {number for number, listed in enumerate(self.packs) if listed.name == pack}

    def usable(self, number: int) -> bool:
        """Whether blob ``number`` may be counted on."""
        return not self._unusable or self.pack_number(number) not in self._unusable

    def places_of(self, blob_id: BlobId) -> range:
        """The numbers of a blob in this table: equal ids stand side by side."""
        bucket = (blob_id[0] << 8 | blob_id[1]) >> self._shift
        plain, base, fan_out = self._plain, self._ids_at, self._fan_out
        at = plain.find(blob_id, base + fan_out[bucket] * ID_BYTES, base + fan_out[bucket + 1] * ID_BYTES)
        if at < 0:
            return _NOWHERE
        first, across = divmod(at - base, ID_BYTES)
        if across and (first := self.find(blob_id)) < 0:
            return _NOWHERE
        end = first + 1
        while end < self.count and plain.startswith(blob_id, base + end * ID_BYTES):
            end += 1
        return range(first, end)

    def has(self, blob_id: BlobId) -> bool:
        """Whether this table has the blob in a pack that may be relied on."""
        if not self._unusable:  # the hot path of a run in which nothing changed: ``find`` without a call
            bucket = (blob_id[0] << 8 | blob_id[1]) >> self._shift
            base, fan_out = self._ids_at, self._fan_out
            at = self._plain.find(blob_id, base + fan_out[bucket] * ID_BYTES, base + fan_out[bucket + 1] * ID_BYTES)
            return at >= 0 and ((at - base) % ID_BYTES == 0 or self.find(blob_id) >= 0)
        return any(self.usable(number) for number in self.places_of(blob_id))

    def segments_of(self, wanted: Collection[FileName]) -> dict[FileName, list[Segment]]:
        """All segments of these packs, in order."""
        found: dict[FileName, list[Segment]] = {name: [] for name in wanted}
        view = memoryview(self._plain)[self._segments_at : self._ids_at]
        for pack, record, offset, sealed, plain, codec, kind, _ in _SEGMENT.iter_unpack(view):
            name = self.packs[pack].name
            if name in found:
                found[name].append(checked_segment(record, offset, sealed, plain, codec, kind))
        return found

    def entries(self) -> Iterator[tuple[BlobId, int, int, int]]:
        """(id, segment, offset, size) of every blob, by id."""
        places = _PLACE.iter_unpack(memoryview(self._plain)[self._places_at :])
        for number, (segment, offset, size) in enumerate(places):
            yield self.id_at(number), segment, offset, size

    def raw_segments(self) -> Iterator[tuple[int, int, int, int, int, int, int]]:
        """(pack, record, offset, sealed, plain, codec, kind) of every segment, in order."""
        for *fields, _ in _SEGMENT.iter_unpack(memoryview(self._plain)[self._segments_at : self._ids_at]):
            pack, record, offset, sealed, plain, codec, kind = fields
            yield pack, record, offset, sealed, plain, codec, kind


def grouped(packs: Iterable[Pack]) -> Iterator[list[Pack]]:
    """The packs in lots, each of which one index file can list."""
    group: list[Pack] = []
    count = 0
    for item in packs:
        if group and count + item.blob_count > _LOT_BLOBS:
            yield group
            group, count = [], 0
        group.append(item)
        count += item.blob_count
    if group:
        yield group


def encode(packs: Sequence[Pack]) -> bytes:
    """The plaintext of an index file for these packs."""
    names = bytearray()
    segments = bytearray()
    entries: list[bytes] = []
    base = 0
    for number, pack in enumerate(packs):
        names += _PACK.pack(bytes.fromhex(pack.name), pack.salt, pack.size)
        for s in pack.segments:
            segments += _SEGMENT.pack(number, s.record, s.offset, s.sealed_size, s.plain_size, s.codec, s.kind, 0)
        entries += [place.id + _PLACE.pack(base + place.segment, place.offset, place.size) for place in pack.places()]
        base += len(pack.segments)
    return _assemble(len(packs), names, segments, entries)


def _assemble(pack_count: int, names: bytearray, segments: bytearray, entries: list[bytes]) -> bytes:
    entries.sort()
    counts = _COUNTS.pack(pack_count, len(segments) // _SEGMENT.size, len(entries), 0)
    ids = b"".join([entry[:ID_BYTES] for entry in entries])
    places = b"".join([entry[ID_BYTES:] for entry in entries])
    return b"".join((counts, names, segments, ids, places))


def merge(tables: Sequence[IndexTable], keep: Collection[FileName]) -> list[bytes]:
    """Plaintexts of new index files that list what these tables list of the packs ``keep``, each pack once."""
    out: list[bytes] = []
    names, segments, entries = bytearray(), bytearray(), list[bytes]()
    pack_count = 0
    seen: set[FileName] = set()
    for table in tables:
        if entries and len(entries) + table.count > _LOT_BLOBS:
            out.append(_assemble(pack_count, names, segments, entries))
            names, segments, entries, pack_count = bytearray(), bytearray(), [], 0
        new_pack: dict[int, int] = {}
        for number, listed in enumerate(table.packs):
            if listed.name in keep and listed.name not in seen:
                seen.add(listed.name)
                new_pack[number] = pack_count
                pack_count += 1
                names += _PACK.pack(bytes.fromhex(listed.name), listed.salt, listed.size)
        new_segment: dict[int, int] = {}
        for number, (pack, *rest) in enumerate(table.raw_segments()):
            if pack in new_pack:
                new_segment[number] = len(segments) // _SEGMENT.size
                segments += _SEGMENT.pack(new_pack[pack], *rest, 0)
        entries += [
            blob_id + _PLACE.pack(new_segment[segment], offset, size)
            for blob_id, segment, offset, size in table.entries()
            if segment in new_segment
        ]
    if pack_count:
        out.append(_assemble(pack_count, names, segments, entries))
    return out
