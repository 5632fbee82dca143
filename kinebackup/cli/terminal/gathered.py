"""Results of very many items: a folder of a million names, and all that a search found in it.

Owns: keeping them, rendered, in little memory until the command has ended well. Does not know: how one is rendered.

They are not printed as they come: a command that fails prints its error and nothing else. They are not put in a file:
they are names of patients.
"""

import zlib
from collections.abc import Callable, Iterator
from typing import Final, Generic, TypeVar

_Item = TypeVar("_Item")

_PART_LINES: Final = 1024
_ENCODING: Final = ("utf-8", "surrogatepass")  # a byte of a name that is no UTF-8 is a surrogate


class Lines:
    """Very many lines of text, most of them compressed."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._last: list[str] = []

    def add(self, line: str) -> None:
        """A line, or several."""
        self._last.append(line)
        if len(self._last) == _PART_LINES:
            self._parts.append(zlib.compress("\n".join(self._last).encode(*_ENCODING), 1))
            self._last = []

    def __iter__(self) -> Iterator[str]:
        for part in self._parts:
            yield from zlib.decompress(part).decode(*_ENCODING).split("\n")
        yield from self._last


class Gathered(Generic[_Item]):
    """Items as they will be printed. ``in_words``: as lines for people; else as members of a JSON array, or not at all.

    ``render`` gives an item's text, of JSON one line; None where items as such are not printed.
    """

    def __init__(self, render: Callable[[_Item], str] | None, *, in_words: bool) -> None:
        self._render = render
        self.in_words = in_words
        self.lines = Lines()
        self.count = 0

    def add(self, item: _Item) -> None:
        self.count += 1
        if self._render is not None:
            self.lines.add(self._render(item))

    def say(self, line: str) -> None:
        """A line for people between the items, such as a heading."""
        if self.in_words:
            self.lines.add(line)
