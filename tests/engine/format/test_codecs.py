"""Compression and pack tables: bounded on the way back, whatever the bytes say.

Owns: hostile frames and tables. Does not know: indexes, drives.
"""

import contextlib
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kinebackup.engine.format import compression, pack
from kinebackup.engine.format.compression import Compressor, compress, decompress
from kinebackup.engine.format.constants import PACK, Codec, Kind
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys
from kinebackup.engine.format.pack import Segment, checked_segment, decode_table, encode_table
from kinebackup.engine.format.seal import RecordOpener, RecordSealer
from kinebackup.errors import Damaged
from kinebackup.model import FileName

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

KEYS = RepositoryKeys.derive(MasterKey(bytes(32)), bytes(16))
MIB = 2**20


# -- compression ---------------------------------------------------------------------------------------------------


def streamed(plain: bytes) -> bytes:
    """A frame without content size, as a streaming writer makes it."""
    made = zstd.ZstdCompressor()
    return made.compress(plain, zstd.ZstdCompressor.FLUSH_BLOCK) + made.flush()


@pytest.mark.parametrize("plain", [b"", b"x", b"abc" * 1000, bytes(MIB)])
def test_what_was_compressed_comes_back(plain: bytes) -> None:
    assert decompress(compress(plain)) == plain
    assert decompress(compress(plain), expected_bytes=len(plain)) == plain


def test_a_frame_of_a_few_bytes_that_claims_gigabytes_is_refused_before_allocating() -> None:
    bomb = compress(bytes(65 * MIB))
    assert len(bomb) < 10_000
    with pytest.raises(Damaged, match="claims 68157440 bytes"):
        decompress(bomb)


def test_the_limit_itself_is_allowed() -> None:
    assert len(decompress(compress(bytes(1000)), limit_bytes=1000)) == 1000
    with pytest.raises(Damaged):
        decompress(compress(bytes(1001)), limit_bytes=1000)


def test_a_header_that_claims_an_exabyte_is_refused() -> None:
    huge = b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 2**60) + b"\x01\x00\x00"
    with pytest.raises(Damaged):
        decompress(huge)


def test_a_window_of_gigabytes_is_refused() -> None:
    hostile = b"\x28\xb5\x2f\xfd\x80\xff" + struct.pack("<I", 5) + b"\x29\x00\x00hello"
    with pytest.raises(Damaged):
        decompress(hostile)


def test_a_frame_without_content_size_is_refused() -> None:
    with pytest.raises(Damaged, match="does not say how long"):
        decompress(streamed(b"abc" * 1000))


@pytest.mark.parametrize(
    "tail", [b"\0", b"x" * 100, compress(b"second"), streamed(b"second"), b"\x50\x2a\x4d\x18\0\0\0\0"]
)
def test_anything_after_the_frame_is_refused(tail: bytes) -> None:
    with pytest.raises(Damaged):
        decompress(compress(b"first") + tail)


@pytest.mark.parametrize("frame", [b"", b"\x28", b"\x28\xb5\x2f\xfd", b"plain text", b"\x50\x2a\x4d\x18\4\0\0\0abcd"])
def test_what_is_no_frame_is_refused(frame: bytes) -> None:
    with pytest.raises(Damaged):
        decompress(frame)


def test_every_cut_of_a_frame_is_refused() -> None:
    frame = compress(bytes(range(256)) * 4)
    for size in range(len(frame)):
        with pytest.raises(Damaged):
            decompress(frame[:size])


def test_another_length_than_promised_is_refused() -> None:
    for promised in (0, 999, 1001):
        with pytest.raises(Damaged):
            decompress(compress(bytes(1000)), expected_bytes=promised)


def test_a_frame_whose_header_lies_about_its_length_is_refused() -> None:
    frame = bytearray(compress(b"abcdefgh" * 8))
    assert frame[5] == 64  # one-byte content size of a single segment
    for lie in (0, 63, 65, 255):
        frame[5] = lie
        with pytest.raises(Damaged):
            decompress(frame)


def test_a_frame_that_needs_a_dictionary_is_refused() -> None:
    with pytest.raises(Damaged):
        decompress(b"\x28\xb5\x2f\xfd\x21\x07\x05\x29\x00\x00hello")


def test_one_compressor_makes_independent_frames() -> None:
    context = Compressor()
    frames = [context.compress(plain) for plain in (b"a" * 100, b"", b"b" * 5)]
    assert [decompress(frame) for frame in frames] == [b"a" * 100, b"", b"b" * 5]


@given(some.binary(max_size=2000))
def test_any_bytes_come_back_from_compression(plain: bytes) -> None:
    assert decompress(compress(plain), limit_bytes=2000, expected_bytes=len(plain)) == plain


@given(some.binary(max_size=200) | some.binary(max_size=200).map(lambda tail: b"\x28\xb5\x2f\xfd" + tail))
def test_any_bytes_are_a_frame_or_damaged(frame: bytes) -> None:
    with contextlib.suppress(Damaged):
        assert len(decompress(frame, limit_bytes=5000)) <= 5000


# -- segments ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sealed", "plain", "codec", "kind"),
    [
        (26, 10, 2, 0),
        (26, 10, 255, 0),
        (26, 10, 0, 3),
        (26, 0, 0, 0),
        (16, 10, 1, 0),
        (0, 10, 1, 0),
        (27, 10, 0, 0),
        (25, 10, 0, 0),
        (17, 16 * MIB + 1, 1, 0),
        (2**32 - 1, 10, 1, 0),
        (2**32 - 1, 2**32 - 1, 0, 0),
    ],
)
def test_an_impossible_segment_is_refused(sealed: int, plain: int, codec: int, kind: int) -> None:
    with pytest.raises(Damaged):
        checked_segment(0, 48, sealed, plain, codec, kind)


def test_the_largest_segment_is_allowed() -> None:
    assert checked_segment(0, 48, 16 * MIB + 16, 16 * MIB, 0, 2).kind is Kind.LIST


def test_a_compressed_segment_a_little_longer_than_its_content_is_allowed() -> None:
    """FORMAT.md §6 does not oblige a writer to store what does not compress as it is."""
    frame = compress(b"0123456789")
    assert len(frame) > 10
    assert checked_segment(0, 48, len(frame) + 16, 10, 1, 0).sealed_size == len(frame) + 16


# -- tables --------------------------------------------------------------------------------------------------------

SEGMENTS = (
    Segment(0, 48, 116, 100, Codec.RAW, Kind.DATA),
    Segment(1, 164, 50, 90, Codec.ZSTD, Kind.TREE),
)
ID = bytes(range(16))


def blob(segment: int, offset: int, size: int) -> bytes:
    return ID + struct.pack("<III", segment, offset, size)


def refused(plain: bytes) -> None:
    with pytest.raises(Damaged):
        decode_table(plain)


def test_a_table_has_these_bytes() -> None:
    assert encode_table(SEGMENTS, blob(1, 5, 80)).hex() == (
        "0200000001000000"
        "74000000640000000000000000000000"
        "320000005a0000000100000001000000"
        "000102030405060708090a0b0c0d0e0f010000000500000050000000"
    )


def test_a_table_comes_back() -> None:
    blobs = blob(0, 0, 100) + blob(1, 0, 10) + blob(1, 10, 80)
    assert decode_table(encode_table(SEGMENTS, blobs)) == (SEGMENTS, blobs)


def test_an_empty_table_is_legal() -> None:
    assert decode_table(bytes(8)) == ((), b"")


@pytest.mark.parametrize(
    "bad",
    [blob(2, 0, 1), blob(2**32 - 1, 0, 1), blob(0, 0, 101), blob(0, 100, 1), blob(0, 0, 0), blob(0, 2**32 - 1, 1)],
)
def test_a_blob_outside_its_segment_is_refused(bad: bytes) -> None:
    refused(encode_table(SEGMENTS, blob(0, 0, 1) + bad))


@pytest.mark.parametrize(
    "plain",
    [
        b"",
        bytes(7),
        bytes(9),
        struct.pack("<II", 1, 0),
        struct.pack("<II", 0, 1),
        struct.pack("<II", 2**32 - 1, 2**32 - 1),
        struct.pack("<II", 65_537, 0) + struct.pack("<IIII", 17, 1, 0, 0) * 65_537,
        encode_table(SEGMENTS, blob(0, 0, 1))[:-1],
        encode_table(SEGMENTS, blob(0, 0, 1)) + b"\0",
        encode_table(SEGMENTS, b"")[:8] + bytes(32),
    ],
)
def test_a_table_whose_counts_do_not_agree_is_refused(plain: bytes) -> None:
    refused(plain)


segments = some.builds(
    lambda plain, codec, kind: (plain + 16 if codec == 0 else 17, plain, codec, kind),
    some.integers(1, 16 * MIB),
    some.integers(0, 1),
    some.integers(0, 2),
)


@given(some.lists(segments, max_size=5), some.data())
def test_any_table_comes_back(parts: list[tuple[int, int, int, int]], data: some.DataObject) -> None:
    made = []
    offset = 48
    blobs = b""
    for record, (sealed, plain, codec, kind) in enumerate(parts):
        made.append(Segment(record, offset, sealed, plain, Codec(codec), Kind(kind)))
        offset += sealed
        size = data.draw(some.integers(1, plain))
        blobs += blob(record, data.draw(some.integers(0, plain - size)), size)
    assert decode_table(encode_table(made, blobs)) == (tuple(made), blobs)


@given(some.binary(max_size=120) | some.binary(max_size=90).map(lambda tail: b"\1\0\0\0\1\0\0\0" + tail))
def test_any_bytes_are_a_table_or_damaged(plain: bytes) -> None:
    with contextlib.suppress(Damaged):
        decode_table(plain)


# -- whole packs ---------------------------------------------------------------------------------------------------


def a_pack(table: bytes | None = None, trailer: bytes | None = None, tail: bytes = b"") -> bytes:
    """A pack of one segment ``hello``; the arguments put something else in a place."""
    sealer = RecordSealer(KEYS, PACK, bytes(32))
    out = sealer.frame + sealer.seal(b"hello")
    listed = encode_table([Segment(0, 48, 21, 5, Codec.RAW, Kind.DATA)], blob(0, 0, 5))
    sealed = sealer.seal(compression.compress(listed) if table is None else table, final=True)
    return out + sealed + (struct.pack("<II", len(sealed), 1) if trailer is None else trailer) + tail


def parsed(data: bytes) -> pack.Pack:
    return pack.parse_table(lambda at, size: data[at : at + size], len(data), KEYS, FileName("00" * 32))


def test_a_pack_lists_its_blob() -> None:
    (place,) = parsed(a_pack()).places()
    assert (place.id, place.segment, place.offset, place.size) == (ID, 0, 0, 5)


def listing(segments: list[Segment], blobs: bytes = b"") -> bytes:
    return compression.compress(encode_table(segments, blobs))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        a_pack()[:71],
        a_pack()[:-1],
        a_pack(tail=b"\0"),
        a_pack(trailer=struct.pack("<II", 0, 1)),
        a_pack(trailer=struct.pack("<II", 15, 1)),
        a_pack(trailer=struct.pack("<II", 2**32 - 1, 1)),
        a_pack(trailer=struct.pack("<II", 100, 2)),
        a_pack(trailer=struct.pack("<II", 100, 2**32 - 1)),
        a_pack(table=listing([])),
        a_pack(table=listing([Segment(0, 48, 22, 6, Codec.RAW, Kind.DATA)])),
        a_pack(table=listing([Segment(0, 48, 20, 4, Codec.RAW, Kind.DATA)])),
        a_pack(table=listing([Segment(n, 48, 21, 5, Codec.RAW, Kind.DATA) for n in range(2)])),
        a_pack(table=encode_table([Segment(0, 48, 21, 5, Codec.RAW, Kind.DATA)], b"")),
        a_pack(table=streamed(encode_table([Segment(0, 48, 21, 5, Codec.RAW, Kind.DATA)], b""))),
        a_pack(table=compress(bytes(65 * MIB))),
        b"X" + a_pack()[1:],
        a_pack()[:7] + b"I" + a_pack()[8:],
        a_pack()[:16] + b"\1" + a_pack()[17:],
    ],
)
def test_a_pack_that_does_not_agree_with_itself_is_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        parsed(data)


def test_a_table_given_as_segment_is_refused() -> None:
    """The last record is bound to be the last: an index cannot present it as content."""
    data = a_pack()
    table_size = struct.unpack("<II", data[-8:])[0]
    forged = Segment(1, 69, table_size, 100, Codec.ZSTD, Kind.DATA)
    with pytest.raises(Damaged):
        pack.open_segment(RecordOpener(KEYS, PACK, bytes(32)), forged, data[69 : 69 + table_size])


@given(some.binary(max_size=400))
def test_any_bytes_are_no_pack(data: bytes) -> None:
    with pytest.raises(Damaged):
        parsed(data)
