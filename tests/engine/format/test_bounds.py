"""The bounds of FORMAT.md against one another, and against what a writer makes.

Owns: that a writer keeps within what its readers take. Does not know: how a reader refuses what is beyond.
"""

import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as some
from support.project import FORMAT

from kinebackup.engine.format import compression, parity
from kinebackup.engine.format.constants import (
    FRAME_BYTES,
    MAX_BLOB_BYTES,
    MAX_PACK_BLOBS,
    MAX_PACK_BYTES,
    MAX_PACK_SEGMENTS,
    MAX_SEALED_RECORD_BYTES,
    MAX_SEGMENT_BYTES,
    MIN_PACK_BYTES,
    TAG_BYTES,
    TRAILER_BYTES,
)
from kinebackup.engine.repository.pack_writer import TARGET_BLOBS, TARGET_BYTES

TEXT = FORMAT.read_text(encoding="utf-8")
WIDEST = 8 * 2**20


def window_bytes(frame: bytes) -> int:
    """What a decoder has to hold, by the frame's header (RFC 8878, 3.1.1.1.2)."""
    descriptor = frame[4]
    size_bytes = (1 if descriptor & 0x20 else 0, 2, 4, 8)[descriptor >> 6]
    dictionary_bytes = (0, 1, 2, 4)[descriptor & 3]
    if descriptor & 0x20:
        start = 5 + dictionary_bytes
        return int.from_bytes(frame[start : start + size_bytes], "little") + 256 * (size_bytes == 2)
    exponent, eighths = divmod(frame[5], 8)
    return (1 << 10 + exponent) // 8 * (8 + eighths)


@given(some.binary(max_size=5000), some.integers(0, 3000))
def test_a_writer_asks_for_no_window_that_a_small_decoder_lacks_and_names_no_dictionary(
    piece: bytes, times: int
) -> None:
    frame = compression.compress(piece * times)
    assert window_bytes(frame) <= WIDEST
    assert frame[4] & 3 == 0


@pytest.mark.parametrize("size", [0, 1, 255, 256, 65_791, 65_792, 2**20, 2**21, 2**21 + 1, 2**24, 2**26])
def test_the_window_of_a_large_record_is_bounded_too(size: int) -> None:
    frame = compression.compress(bytes(size))
    assert window_bytes(frame) <= WIDEST
    assert compression.decompress(frame) == bytes(size)


def test_the_largest_pack_that_a_writer_can_make_is_one_that_its_readers_and_its_parity_take() -> None:
    segment = MAX_SEGMENT_BYTES + MAX_SEGMENT_BYTES // 256 + 64 + TAG_BYTES
    table = 8 + 16 * MAX_PACK_SEGMENTS + 28 * MAX_PACK_BLOBS
    sealed_table = table + table // 256 + 64 + TAG_BYTES
    assert sealed_table <= MAX_SEALED_RECORD_BYTES
    assert FRAME_BYTES + TARGET_BYTES + segment + sealed_table + TRAILER_BYTES <= MAX_PACK_BYTES
    assert MAX_PACK_BYTES == parity.MAX_FILE_BYTES < 2**32
    assert FRAME_BYTES + TAG_BYTES + TRAILER_BYTES == MIN_PACK_BYTES


@pytest.mark.parametrize(
    "number",
    [MAX_PACK_BYTES, MAX_BLOB_BYTES, MAX_PACK_BLOBS, MAX_PACK_SEGMENTS, MAX_SEALED_RECORD_BYTES, TARGET_BLOBS],
)
def test_a_bound_of_the_code_is_one_of_the_document(number: int) -> None:
    assert re.search(rf"(?<![\d,]){number:,}(?![\d,])", TEXT)


def test_what_cannot_be_compressed_stays_within_the_bound_of_a_sealed_record() -> None:
    noise = os.urandom(2**22)
    assert len(compression.compress(noise)) <= len(noise) + len(noise) // 256 + 64
