"""Parity files: what heals a damaged file of a repository, without any key (FORMAT.md §12).

Owns: their form, how many parity blocks a file gets, making them, healing with them. Does not know: files on a drive.

A file is cut in blocks. Block *i* belongs to column *i* mod *c*; each column has one parity block, the exclusive or of
its blocks. A checksum of each block tells which are wrong, as an error of reading does; one in each column can be had
again from the others. Neighbours lie in different columns, so a stretch shorter than *c* blocks never has two of one.
With as many columns as blocks, the parity blocks are the blocks themselves: a copy.
"""

import hashlib
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from bitarray import bitarray

from kinebackup.engine.format.constants import MAGIC, VERSION, Buffer
from kinebackup.engine.format.malformed import Malformed

BLOCK_BYTES: Final = 4096
MAX_FILE_BYTES: Final = 80 * 2**20
"""No file of a repository is longer: a record of 66 MiB, or a pack whose last segment begins below 16 MiB."""

_HEAD = struct.Struct("<7s1sIIQII")
HEAD_BYTES: Final = _HEAD.size
_TYPE: Final = b"X"
_BURST_BLOCKS: Final = 257  # what 1 MiB may touch, wherever it begins
_SMALL_BURST_BLOCKS: Final = 17  # 64 KiB likewise
_SHARE: Final = 16  # one parity block for so many blocks

ReadAt = Callable[[int, int], Buffer]
"""Up to so many bytes from an offset of the damaged file; raises ``OSError`` or ``KineError`` where it cannot."""


def columns_of(size: int, *, is_copy: bool) -> int:
    """How many parity blocks a file of so many bytes gets. ``is_copy``: as many as it has blocks.

    A file of more than 8 MiB stands the loss of any 1 MiB, any other that of 64 KiB; for 16 MiB that is 6.4 %.
    """
    blocks = blocks_of(size)
    if is_copy:
        return blocks
    least = _BURST_BLOCKS if size > 8 * 2**20 else _SMALL_BURST_BLOCKS
    return min(blocks, max(least, -(-blocks // _SHARE)))


def blocks_of(size: int) -> int:
    return -(-size // BLOCK_BYTES)


class Encoder:
    """Makes the parity file of a file whose bytes come one after the other."""

    def __init__(self, size: int, columns: int) -> None:
        """``size``: in bytes, of the whole file, at least one; ``columns``: see ``columns_of``."""
        self._size = size
        self._sums: list[int] = []
        self._parity = memoryview(bytearray(columns * BLOCK_BYTES))
        self._at = 0  # where the next block belongs in it
        self._begun = bytearray()  # a block that is not whole yet

    def update(self, data: Buffer) -> None:
        """The next bytes; what comes in whole blocks is not copied."""
        view = memoryview(data)
        if self._begun:
            lacking = BLOCK_BYTES - len(self._begun)
            self._begun += view[:lacking]
            view = view[lacking:]
            if len(self._begun) == BLOCK_BYTES:
                self._take(memoryview(self._begun))
                self._begun = bytearray()
        whole = len(view) - len(view) % BLOCK_BYTES
        self._take(view[:whole])
        self._begun += view[whole:]

    def _take(self, blocks: memoryview) -> None:
        self._sums += checksums(blocks)
        while blocks:
            part = blocks[: len(self._parity) - self._at]
            _xor(self._parity[self._at : self._at + len(part)], part)
            self._at = (self._at + len(part)) % len(self._parity)
            blocks = blocks[len(part) :]

    def finish(self) -> bytes:
        """The parity file."""
        if self._begun:
            self._take(memoryview(self._begun))
        if len(self._sums) != blocks_of(self._size):
            raise ValueError("the file has another length than was said")
        return table(self._size, self._sums, checksums(self._parity)) + self._parity


def _xor(into: memoryview, data: Buffer) -> None:
    """The exclusive or of both, of the same length, in place. An integer of Python would have to be made of each."""
    place = bitarray(buffer=into)
    place ^= bitarray(buffer=data)


def table(size: int, sums: Sequence[int], parity_sums: Sequence[int]) -> bytes:
    """What stands before the parity blocks: of a file of so many bytes, checksums of its blocks, and of the others."""
    head = _HEAD.pack(MAGIC, _TYPE, VERSION, BLOCK_BYTES, size, len(parity_sums), 0) + _packed([*sums, *parity_sums])
    return head + _packed([zlib.crc32(head)])


def size_of(size: int, columns: int) -> int:
    """How long the parity file of a file of so many bytes is."""
    return _HEAD.size + 4 * (blocks_of(size) + columns + 1) + columns * BLOCK_BYTES


def is_copy(data: bytes) -> bool | None:
    """Whether a parity file that begins like this holds all of its file; None where it is none.

    Enough of it are ``HEAD_BYTES``; nothing of the rest is looked at.
    """
    if len(data) < _HEAD.size:
        return None
    magic, kind, version, block, size, columns, zero = _HEAD.unpack_from(data)
    if (magic, kind, version, block, zero) != (MAGIC, _TYPE, VERSION, BLOCK_BYTES, 0):
        return None
    return bool(columns == blocks_of(size))


def encode(data: Buffer, *, is_copy: bool) -> bytes:
    """The parity file of a whole file."""
    encoder = Encoder(len(data), columns_of(len(data), is_copy=is_copy))
    encoder.update(data)
    return encoder.finish()


@dataclass(frozen=True, slots=True)
class Parity:
    """A parity file. ``size``: in bytes, of the file that it belongs to; ``sums``: CRC-32 of each block of that.

    ``blocks``: the parity blocks; None in the place of one that is damaged itself.
    """

    size: int
    columns: int
    sums: tuple[int, ...]
    blocks: tuple[Buffer | None, ...]

    @property
    def is_whole(self) -> bool:
        return None not in self.blocks

    @property
    def survives_bytes(self) -> int | None:
        """How long a stretch may be wrong, wherever it begins, so that no two of its blocks are of one column; None:
        as long as the file.
        """
        return None if self.columns == len(self.sums) else (self.columns - 1) * BLOCK_BYTES

    def belongs_to(self, data: Buffer) -> bool:
        """Whether it was made of these bytes."""
        return len(data) == self.size and tuple(checksums(data)) == self.sums

    def heal(self, name: str, read: ReadAt) -> "Healed | None":
        """The file of that name, whole and with the right digest; None where too much of it is damaged."""
        data = bytearray(blocks_of(self.size) * BLOCK_BYTES)
        wrong = [
            number for number, (at, size) in enumerate(self._places()) if not self._take(data, number, at, size, read)
        ]
        missing = {number % self.columns: number for number in wrong}
        if len(missing) < len(wrong):
            return None
        for column, number in missing.items():
            block = self.blocks[column]
            if block is None:
                return None
            found = memoryview(bytearray(block))
            for other in range(column, len(self.sums), self.columns):
                if other != number:
                    at = other * BLOCK_BYTES
                    _xor(found, data[at : at + BLOCK_BYTES])
            at = number * BLOCK_BYTES
            data[at : at + BLOCK_BYTES] = found
        del data[self.size :]
        if hashlib.sha256(data).hexdigest() != name:
            return None
        return Healed(bytes(data), len(wrong))

    def _places(self) -> Iterator[tuple[int, int]]:
        for at in range(0, self.size, BLOCK_BYTES):
            yield at, min(BLOCK_BYTES, self.size - at)

    def _take(self, data: bytearray, number: int, at: int, size: int, read: ReadAt) -> bool:
        """Put a block in its place; False where it cannot be read, or is not what it was."""
        try:
            block = bytes(read(at, size))
        except Exception:  # noqa: BLE001 - whatever a drive or a store says of one block costs that block
            return False
        if len(block) != size or zlib.crc32(block) != self.sums[number]:
            return False
        data[at : at + size] = block
        return True


@dataclass(frozen=True, slots=True)
class Healed:
    """A file as it was written. ``blocks``: how many of it were damaged."""

    data: bytes
    blocks: int


def decode(data: bytes) -> Parity:
    """A parity file. Raises ``Damaged`` where its table is not sound."""
    if len(data) < _HEAD.size:
        raise Malformed("a parity file is too short")
    magic, kind, version, block, size, columns, zero = _HEAD.unpack_from(data)
    if (magic, kind, version, block, zero) != (MAGIC, _TYPE, VERSION, BLOCK_BYTES, 0):
        raise Malformed("a parity file begins otherwise")
    if not 0 < size <= MAX_FILE_BYTES or not 0 < columns <= blocks_of(size):
        raise Malformed("a parity file has impossible numbers")
    count = blocks_of(size) + columns
    end = _HEAD.size + 4 * count
    if len(data) < end + 4 or _unpacked(data[end : end + 4]) != [zlib.crc32(data[:end])]:
        raise Malformed("the table of a parity file is damaged")
    sums = _unpacked(data[_HEAD.size : end])
    blocks: list[Buffer | None] = []
    view = memoryview(data)  # a copy of a pack is not copied once more
    for column, expected in enumerate(sums[blocks_of(size) :]):
        at = end + 4 + column * BLOCK_BYTES
        found = view[at : at + BLOCK_BYTES]
        blocks.append(found if len(found) == BLOCK_BYTES and zlib.crc32(found) == expected else None)
    return Parity(size, columns, tuple(sums[: blocks_of(size)]), tuple(blocks))


def type_in_copy(read: ReadAt) -> bytes:
    """The letter that says what the file is whose copy this is (FORMAT.md §5); empty for parity that is no copy.

    ``read`` gives bytes of the parity file; raises what it raises. Nothing else is checked.
    """
    head = bytes(read(0, HEAD_BYTES))
    if not is_copy(head):
        return b""
    columns = _HEAD.unpack(head)[5]
    return bytes(read(HEAD_BYTES + 4 * (2 * columns + 1) + len(MAGIC), 1))


def checksums(data: Buffer) -> list[int]:
    """Of each block of these bytes, the last one as long as it is."""
    view, crc32 = memoryview(data), zlib.crc32
    return [crc32(view[at : at + BLOCK_BYTES]) for at in range(0, len(view), BLOCK_BYTES)]


def _packed(numbers: list[int]) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


def _unpacked(data: Buffer) -> list[int]:
    return list(struct.unpack(f"<{len(data) // 4}I", data))
