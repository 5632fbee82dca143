"""What is sound of a damaged file.

Owns: which of its blobs can still be laid out where they belong, and what stays a hole. Does not know: names.

A blob that cannot be read leaves a hole of the length that the index says. Where not even that is known, what follows
is placed from the end of the file backwards, up to the last such gap; what lies between two of them has no place.
"""

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import extents_of
from kinebackup.errors import Damaged
from kinebackup.model import CancelToken

Stretch = tuple[int, int]
"""Offset and length, in bytes."""


@dataclass(frozen=True, slots=True)
class _Piece:
    """A blob of the content; where nobody knows its length, or which blobs a list named, ``size`` is None."""

    id: str
    size: int | None


def lay_out_sound_parts(fd: int, entry: Entry, reader: BlobReader, cancel: CancelToken) -> list[Stretch]:
    """Fill an open file with what is sound of its content, and give it its size; returns the holes that are damage.

    Raises ``Damaged`` where the entry is impossible or its extents are lost, ``OSError`` where the destination refuses.
    """
    where = _Extents(list(tree.data_extents(entry.size, extents_of(entry, reader))))
    end, gaps = 0, list[Stretch]()
    os.ftruncate(fd, entry.size)
    for at, piece in _placed(_pieces(entry, reader), where.total):
        cancel.check()
        if piece.size is None or at < end or at + piece.size > where.total:
            continue
        try:
            content = memoryview(reader.read(Kind.DATA, tree.blob_id(piece.id)))
        except Damaged:
            continue
        gaps.append((end, at - end))
        for offset, length in where.stretches(at, piece.size):
            _write_all(fd, content[:length], offset)
            content = content[length:]
        end = at + piece.size
    gaps.append((end, where.total - end))
    return _joined(stretch for gap in gaps for stretch in where.stretches(*gap))


def _pieces(entry: Entry, reader: BlobReader) -> list[_Piece]:
    pieces = [_piece(text, reader) for text in entry.blobs]
    for text in entry.lists:
        try:
            ids = tree.decode_ids(bytes(reader.read(Kind.LIST, tree.blob_id(text))))
        except Damaged:
            pieces.append(_Piece("", None))
        else:
            pieces += [_piece(blob, reader) for blob in ids]
    return pieces


def _piece(text: str, reader: BlobReader) -> _Piece:
    return _Piece(text, reader.size_of(Kind.DATA, tree.blob_id(text)))


def _placed(pieces: Sequence[_Piece], total: int) -> Iterator[tuple[int, _Piece]]:
    """Where each piece begins in a content of ``total`` bytes, as far as that is known; ascending."""
    unknown = [number for number, piece in enumerate(pieces) if piece.size is None]
    first = pieces[: unknown[0]] if unknown else pieces
    last = pieces[unknown[-1] + 1 :] if unknown else ()
    yield from zip(accumulate((piece.size or 0 for piece in first), initial=0), first, strict=False)
    begin = total - sum(piece.size or 0 for piece in last)
    yield from zip(accumulate((piece.size or 0 for piece in last), initial=begin), last, strict=False)


class _Extents:
    """Where the content lies in the file."""

    def __init__(self, extents: Sequence[Stretch]) -> None:
        self._extents = extents
        self._starts = list(accumulate((length for _, length in extents), initial=0))
        self.total = self._starts[-1]

    def stretches(self, at: int, size: int) -> Iterator[Stretch]:
        """The stretches of the file that hold so much of the content from ``at``."""
        number = bisect_right(self._starts, at) - 1
        while size > 0:
            into = at - self._starts[number]
            offset, length = self._extents[number]
            part = min(size, length - into)
            if part:
                yield offset + into, part
            number, at, size = number + 1, at + part, size - part


def _joined(stretches: Iterator[Stretch]) -> list[Stretch]:
    joined: list[Stretch] = []
    for offset, length in stretches:
        if joined and sum(joined[-1]) == offset:
            joined[-1] = (joined[-1][0], joined[-1][1] + length)
        else:
            joined.append((offset, length))
    return joined


def _write_all(fd: int, data: memoryview, offset: int) -> None:
    done = 0
    while done < len(data):
        done += os.pwrite(fd, data[done:], offset + done)
