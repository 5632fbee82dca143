"""What a restore still has to do at its end: of a million folders, links or protected files in little memory.

Owns: keeping records. Does not know: what they say.
"""

import zlib
from collections.abc import Iterator
from typing import Final, Generic, TypeVar

import msgspec

Record = TypeVar("Record", bound=msgspec.Struct)

_PART_RECORDS: Final = 1024


class Records(Generic[Record]):
    """Structs in the order in which they came, most of them compressed. In them a path is bytes: not each is text.

    JSON holds whatever number a forged entry has.
    """

    def __init__(self, kind: type[Record]) -> None:
        self._decoder = msgspec.json.Decoder(list[kind])  # type: ignore[valid-type] # known when it runs
        self._parts: list[bytes] = []
        self._last: list[Record] = []

    def add(self, record: Record) -> None:
        self._last.append(record)
        if len(self._last) == _PART_RECORDS:
            self._parts.append(zlib.compress(msgspec.json.encode(self._last), 1))
            self._last = []

    def parts(self) -> Iterator[list[Record]]:
        """All of them, some at a time."""
        yield from map(self._read, self._parts)
        yield self._last

    def __reversed__(self) -> Iterator[Record]:
        yield from reversed(self._last)
        for part in reversed(self._parts):
            yield from reversed(self._read(part))

    def _read(self, part: bytes) -> list[Record]:
        return self._decoder.decode(zlib.decompress(part))
