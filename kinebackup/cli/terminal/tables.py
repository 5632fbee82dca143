"""Columns of a table.

Owns: alignment, and how wide a letter is. Does not know: what the columns hold.
"""

import unicodedata
from collections.abc import Iterator, Sequence

from kinebackup.cli.terminal.gathered import Lines


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Rows as lines with aligned columns; those numbered in ``right`` end where the others of their column end."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)] if rows else []
    return "\n".join(_line(row, widths, right) for row in rows)


class LongTable:
    """The same of very many rows, in little memory. ``right``: as in ``columns``. No cell has a line break or a NUL."""

    def __init__(self, *, right: Sequence[int] = ()) -> None:
        self._right = right
        self._widths: list[int] = []
        self._rows = Lines()

    def add(self, row: Sequence[str]) -> None:
        widths = map(_width, row)
        self._widths = [*map(max, zip(self._widths, widths, strict=True))] if self._widths else [*widths]
        self._rows.add("\0".join(row))

    def lines(self) -> Iterator[str]:
        """Once all rows are there."""
        for row in self._rows:
            yield _line(row.split("\0"), self._widths, self._right)


def _line(row: Sequence[str], widths: Sequence[int], right: Sequence[int]) -> str:
    cells = [
        " " * (width - _width(cell)) + cell if number in right else cell + " " * (width - _width(cell))
        for number, (cell, width) in enumerate(zip(row, widths, strict=True))
    ]
    return "  ".join(cells).rstrip()


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: accents that stand alone take none, East Asian letters two."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
