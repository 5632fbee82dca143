"""A damaged file comes back by its parity: any one stretch up to the promised length, wherever it lies.

Owns: damage of bytes, and what heals of it. Does not know: files on a drive.
"""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from support.engine.drives import noise

from kinebackup.engine.format.parity import Encoder, blocks_of, columns_of, decode, encode
from kinebackup.errors import Damaged

MIB = 2**20


def healed(data: bytes, damaged: bytes | bytearray, parity: bytes, *, unreadable: range = range(0)) -> bytes | None:
    """What comes of the damaged bytes; a read that meets one of ``unreadable`` fails."""

    def read(at: int, size: int) -> bytes:
        if unreadable and at < unreadable.stop and at + size > unreadable.start:
            raise OSError(5, "Input/output error")
        return bytes(damaged[at : at + size])

    found = decode(parity).heal(hashlib.sha256(data).hexdigest(), read)
    return None if found is None else found.data


def zeroed(data: bytes, at: int, length: int) -> bytes:
    return data[:at] + bytes(min(length, len(data) - at)) + data[at + length :]


@settings(max_examples=200)
@given(
    size=some.integers(1, 3 * 2**17),
    where=some.integers(0, 2**30),
    length=some.integers(1, 2**16),
    is_copy=some.booleans(),
)
def test_any_64_kib_of_a_small_file_come_back(size: int, where: int, length: int, *, is_copy: bool) -> None:
    data = noise(f"{size}", size)
    parity = encode(data, is_copy=is_copy)
    at = where % size
    assert healed(data, zeroed(data, at, length), parity) == data
    assert healed(data, data, parity, unreadable=range(at, at + length)) == data


@pytest.mark.parametrize("size", [8 * MIB + 1, 12 * MIB + 5, 16 * MIB, 16 * MIB + 70_003])
def test_any_mebibyte_of_a_pack_comes_back(size: int) -> None:
    data = noise("pack", size)
    parity = encode(data, is_copy=False)
    dice = random.Random(size)
    for at in (0, 1, 4095, size - MIB, size - 1, *(dice.randrange(size) for _ in range(4))):
        assert healed(data, zeroed(data, at, MIB), parity) == data, at


def test_a_pack_of_16_mib_pays_less_than_six_and_a_half_per_cent() -> None:
    size = 16 * MIB
    assert len(encode(bytes(size), is_copy=False)) / size < 0.065


@pytest.mark.parametrize("lost", [0, 1, 4096, 100_000])
def test_a_file_that_was_cut_short_or_is_gone_comes_back_by_a_copy(lost: int) -> None:
    data = noise("tree", 150_001)
    assert healed(data, data[: len(data) - lost], encode(data, is_copy=True)) == data
    assert healed(data, b"", encode(data, is_copy=True)) == data


def test_a_file_to_which_something_was_added_comes_back() -> None:
    data = noise("tree", 5000)
    assert healed(data, data + b"more", encode(data, is_copy=False)) == data


def test_scattered_sectors_come_back_as_long_as_no_two_are_in_one_column() -> None:
    data = noise("pack", 16 * MIB)
    parity = encode(data, is_copy=False)
    damaged = bytearray(data)
    for column in range(257):
        row = column % 15
        damaged[(row * 257 + column) * 4096] ^= 1
    assert healed(data, damaged, parity) == data
    damaged[257 * 4096 * 15] ^= 1  # a second one in the first column
    assert healed(data, damaged, parity) is None


def test_damage_of_the_parity_itself_costs_no_more_than_its_columns() -> None:
    data = noise("pack", 9 * MIB)
    parity = encode(data, is_copy=False)
    table = len(parity) - columns_of(len(data), is_copy=False) * 4096
    damaged = zeroed(parity, table + 4096 * 7, 4096)
    assert not decode(damaged).is_whole
    assert healed(data, zeroed(data, 8 * 4096, 4096), damaged) == data
    assert healed(data, zeroed(data, 7 * 4096, 1), damaged) is None
    for at in range(0, table, 997):
        with pytest.raises(Damaged):
            decode(parity[:at] + bytes([parity[at] ^ 1]) + parity[at + 1 :])


def test_what_is_not_the_file_of_that_name_is_never_given() -> None:
    data, other = noise("one", 9000), noise("two", 9000)
    read = decode(encode(other, is_copy=True)).heal(hashlib.sha256(data).hexdigest(), lambda at, size: b"")
    assert read is None


@given(some.binary(max_size=200))
def test_any_bytes_are_a_parity_file_or_refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        decode(data)


def test_numbers_beyond_any_file_are_refused_before_memory_is_taken() -> None:
    parity = bytearray(encode(b"x", is_copy=True))
    parity[16:24] = (2**63).to_bytes(8, "little")
    with pytest.raises(Damaged, match="impossible numbers"):
        decode(bytes(parity))


def test_bytes_may_come_in_any_pieces() -> None:
    data = noise("pack", 9 * MIB + 77)
    encoder = Encoder(len(data), columns_of(len(data), is_copy=False))
    at, dice = 0, random.Random(9)
    while at < len(data):
        piece = dice.randrange(1, 2 * MIB)
        encoder.update(data[at : at + piece])
        at += piece
    assert encoder.finish() == encode(data, is_copy=False)
    with pytest.raises(ValueError, match="another length"):
        Encoder(2 * 4096, 2).finish()


def test_a_parity_block_is_the_exclusive_or_of_its_column() -> None:
    """Literally as FORMAT.md §12 says, for a file of 40 blocks in 17 columns."""
    data = noise("small", 39 * 4096 + 10)
    parity = encode(data, is_copy=False)
    assert (blocks_of(len(data)), columns_of(len(data), is_copy=False)) == (40, 17)
    padded = data + bytes(4096 - 10)
    for column in range(17):
        expected = bytes(4096)
        for block in range(column, 40, 17):
            expected = bytes(a ^ b for a, b in zip(expected, padded[block * 4096 : block * 4096 + 4096], strict=True))
        assert parity[32 + 4 * 57 + 4 + column * 4096 :][:4096] == expected
