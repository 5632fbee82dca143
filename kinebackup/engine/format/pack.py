"""Packs: sealed segments of blobs, ended by a sealed table (FORMAT.md §6).

Owns: the pack's bytes and its table. Does not know: files (repository/pack_writer.py), or who asks for the blobs.
"""

import struct
import sys
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from operator import add, gt

import msgspec

from kinebackup.engine.format import compression
from kinebackup.engine.format.constants import (
    FRAME_BYTES,
    ID_BYTES,
    MAX_PACK_BLOBS,
    MAX_PACK_BYTES,
    MAX_PACK_SEGMENTS,
    MAX_SEALED_RECORD_BYTES,
    MAX_SEGMENT_BYTES,
    MIN_PACK_BYTES,
    PACK,
    TAG_BYTES,
    TRAILER_BYTES,
    Buffer,
    Codec,
    Kind,
    decode_frame,
)
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.format.malformed import Malformed
from kinebackup.engine.format.seal import RecordOpener
from kinebackup.errors import Damaged
from kinebackup.i18n import _
from kinebackup.model import BlobId, FileName

_COUNTS = struct.Struct("<II")
_SEGMENT = struct.Struct("<IIII")
_BLOB = struct.Struct("<16sIII")
_TRAILER = struct.Struct("<II")
_CODECS = tuple(Codec)  # each at its number
_KINDS = tuple(Kind)

BLOB_BYTES = _BLOB.size


class Segment(msgspec.Struct, frozen=True, gc=False):
    """Where a segment lies in its pack and how to open it. Sizes and offset in bytes."""

    record: int
    offset: int
    sealed_size: int
    plain_size: int
    codec: Codec
    kind: Kind


class BlobPlace(msgspec.Struct, frozen=True, gc=False):
    """Where a blob lies in the plaintext of a segment. A struct, because a million of them are made in a run."""

    id: BlobId
    segment: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class Pack:
    """A committed pack and its table. ``blobs`` keeps the table's 28 bytes for each blob; there may be a million."""

    name: FileName
    size: int
    salt: bytes
    segments: tuple[Segment, ...]
    blobs: bytes = field(repr=False)

    @property
    def blob_count(self) -> int:
        return len(self.blobs) // _BLOB.size

    def places(self) -> Iterator[BlobPlace]:
        for blob_id, segment, offset, size in _BLOB.iter_unpack(self.blobs):
            yield BlobPlace(BlobId(blob_id), segment, offset, size)

    def rows(self) -> Iterator[bytes]:
        """The 28 bytes of each blob: id, segment, offset, size."""
        return (self.blobs[at : at + _BLOB.size] for at in range(0, len(self.blobs), _BLOB.size))


def encode_blob(blob_id: BlobId, segment: int, offset: int, size: int) -> bytes:
    """One blob's ``BLOB_BYTES`` of a table."""
    return _BLOB.pack(blob_id, segment, offset, size)


def encode_trailer(table_size: int, segment_count: int) -> bytes:
    """The last 8 bytes of a pack."""
    return _TRAILER.pack(table_size, segment_count)


def encode_table(segments: Sequence[Segment], blobs: Buffer) -> bytes:
    """The table's plaintext."""
    out = bytearray(_COUNTS.pack(len(segments), len(blobs) // _BLOB.size))
    for s in segments:
        out += _SEGMENT.pack(s.sealed_size, s.plain_size, s.codec, s.kind)
    return bytes(out + blobs)


def decode_table(plain: bytes) -> tuple[tuple[Segment, ...], bytes]:
    """Segments and the 28 bytes of each blob. Raises ``Damaged`` for anything that ``encode_table`` cannot produce."""
    if len(plain) < _COUNTS.size:
        raise Malformed("a pack's table is too short")
    segment_count, blob_count = _COUNTS.unpack_from(plain)
    if segment_count > MAX_PACK_SEGMENTS or blob_count > MAX_PACK_BLOBS:
        raise Malformed("a pack's table claims more than a pack may hold")
    blobs_at = _COUNTS.size + segment_count * _SEGMENT.size
    if len(plain) != blobs_at + blob_count * _BLOB.size:
        raise Malformed("a pack's table has another length than its counts say")
    segments: list[Segment] = []
    offset = FRAME_BYTES
    for record, fields in enumerate(_SEGMENT.iter_unpack(plain[_COUNTS.size : blobs_at])):
        segment = checked_segment(record, offset, *fields)
        segments.append(segment)
        offset += segment.sealed_size
    blobs = plain[blobs_at:]
    numbers, starts, sizes = place_columns(blobs, before=ID_BYTES)
    if max(numbers, default=-1) >= segment_count:
        raise Malformed("a blob names a segment that its pack does not have")
    if not all_lie_within([segment.plain_size for segment in segments], numbers, starts, sizes):
        raise Malformed("a blob does not lie within its segment")
    return tuple(segments), blobs


def checked_segment(record: int, offset: int, sealed_size: int, plain_size: int, codec: int, kind: int) -> Segment:
    """The segment of these numbers. Raises ``Damaged`` where they are impossible."""
    if codec not in (0, 1) or kind not in (0, 1, 2):
        raise Malformed("a segment has an unknown codec or kind")
    if not 0 < plain_size <= MAX_SEGMENT_BYTES or sealed_size <= TAG_BYTES:
        raise Malformed("a segment has an impossible size")
    # Content that does not compress may be a little longer as zstd: its own bound, 1/256 and a frame header.
    longest = plain_size if codec == Codec.RAW else plain_size + plain_size // 256 + 64
    if (codec == Codec.RAW and sealed_size < plain_size + TAG_BYTES) or sealed_size > longest + TAG_BYTES:
        raise Malformed("a segment's sizes do not agree")
    return Segment(record, offset, sealed_size, plain_size, _CODECS[codec], _KINDS[kind])


def place_columns(rows: bytes, *, before: int = 0) -> "tuple[array[int], array[int], array[int]]":
    """Segment, offset and size of every blob; ``before``: the bytes of each row that stand before these."""
    numbers = array("I", rows)
    if sys.byteorder == "big":
        numbers.byteswap()
    first, each = before // 4, before // 4 + 3
    return numbers[first::each], numbers[first + 1 :: each], numbers[first + 2 :: each]


def all_lie_within(rooms: Sequence[int], segments: Sequence[int], offsets: Sequence[int], sizes: Sequence[int]) -> bool:
    """Whether each blob lies within its segment; ``rooms``: the plaintext's length of each segment.

    Column by column: a million blobs take a tenth of a second.
    """
    ends = map(add, offsets, sizes)
    return min(sizes, default=1) > 0 and not any(map(gt, ends, map(rooms.__getitem__, segments)))


def check_place(segment: Segment, offset: int, size: int) -> None:
    """Raise ``Damaged`` where a blob does not lie within its segment."""
    if size == 0 or offset + size > segment.plain_size:
        raise Malformed("a blob does not lie within its segment")


def parse_table(read: Callable[[int, int], bytes], size: int, keys: RepositoryKeys, name: FileName) -> Pack:
    """Like ``read_pack_table``, from anything that gives ``size`` bytes at an offset."""
    if size < MIN_PACK_BYTES:
        raise Damaged(_("a pack is too short"))
    if size > MAX_PACK_BYTES:
        raise Damaged(_("a pack is too long"))
    table_size, segment_count = _TRAILER.unpack(read(size - TRAILER_BYTES, TRAILER_BYTES))
    table_at = size - TRAILER_BYTES - table_size
    fits = table_at >= FRAME_BYTES and TAG_BYTES <= table_size <= MAX_SEALED_RECORD_BYTES
    if not fits or segment_count > MAX_PACK_SEGMENTS:
        raise Damaged(_("a pack's trailer is impossible"))
    salt = decode_frame(read(0, FRAME_BYTES), PACK)
    opener = RecordOpener(keys, PACK, salt)
    sealed = read(table_at, table_size)
    plain = compression.decompress(opener.open(segment_count, sealed, final=True))
    segments, blobs = decode_table(plain)
    end = segments[-1].offset + segments[-1].sealed_size if segments else FRAME_BYTES
    if len(segments) != segment_count or end != table_at:
        raise Damaged(_("a pack's trailer does not agree with its table"))
    return Pack(name, size, salt, segments, blobs)


def open_segment(opener: RecordOpener, segment: Segment, sealed: Buffer) -> bytes:
    """The plaintext of a segment. Raises ``Damaged``."""
    body = opener.open(segment.record, sealed, final=False)
    if segment.codec is Codec.ZSTD:
        return compression.decompress(body, limit_bytes=MAX_SEGMENT_BYTES, expected_bytes=segment.plain_size)
    return body


assert _BLOB.size == ID_BYTES + 12
