"""Frames: the first 48 bytes of a sealed file.

Owns: one refusal for each field. Does not know: keys.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from kinebackup.engine.format.constants import INDEX, PACK, SNAPSHOT, FileType, decode_frame, encode_frame
from kinebackup.errors import Damaged

SALT = bytes(range(32))
GOOD = b"KINEBKPP\x01\x00\x00\x00\x00\x00\x00\x00" + SALT


def changed(at: int, value: int) -> bytes:
    return GOOD[:at] + bytes([value]) + GOOD[at + 1 :]


def test_a_frame_has_these_bytes() -> None:
    assert encode_frame(PACK, SALT) == GOOD
    assert encode_frame(INDEX, SALT)[7:8] == b"I"
    assert encode_frame(SNAPSHOT, SALT)[7:8] == b"S"


def test_a_frame_gives_its_salt() -> None:
    assert decode_frame(GOOD, PACK) == SALT
    assert decode_frame(GOOD + b"records", PACK) == SALT


@pytest.mark.parametrize("size", [0, 1, 7, 8, 16, 47])
def test_a_cut_frame_is_refused(size: int) -> None:
    with pytest.raises(Damaged, match="shorter"):
        decode_frame(GOOD[:size], PACK)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed(0, ord("k")), "does not begin"),
        (changed(6, 0), "does not begin"),
        (changed(8, 2), "version 2"),
        (changed(8, 0), "version 0"),
        (changed(11, 1), "version 16777217"),
        (changed(7, ord("S")), "another type"),
        (changed(7, ord("p")), "another type"),
        (changed(12, 1), "reserved"),
        (changed(15, 128), "reserved"),
        (bytes(48), "does not begin"),
        (b"\xff" * 48, "does not begin"),
    ],
)
def test_a_frame_with_one_field_wrong_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(Damaged, match=message):
        decode_frame(data, PACK)


@pytest.mark.parametrize(("is_type", "expected"), [(PACK, INDEX), (INDEX, SNAPSHOT), (SNAPSHOT, PACK)])
def test_a_file_in_another_directory_is_refused(is_type: FileType, expected: FileType) -> None:
    with pytest.raises(Damaged, match="another type"):
        decode_frame(encode_frame(is_type, SALT), expected)


@given(some.binary(max_size=100) | some.binary(max_size=60).map(lambda tail: GOOD[:20] + tail))
def test_any_bytes_are_a_frame_or_damaged(data: bytes) -> None:
    try:
        salt = decode_frame(data, PACK)
    except Damaged:
        return
    assert encode_frame(PACK, salt) == data[:48]
