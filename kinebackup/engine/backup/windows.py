"""Going through one directory in windows: some consecutive names, and what the parent snapshot has between these.

Owns: where a window ends, and the names that are still to come. Does not know: what is done with a name.

Nearly every directory is one window. Of one with a million names, only those of a window are in memory as objects; the
others wait as text, and what the parent has is read when it is their turn.
"""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Container, Sequence
from dataclasses import dataclass

from kinebackup.engine.backup.parent.directory import WINDOW_SIZE, ParentDirectory, ParentNames, WindowSize
from kinebackup.engine.source import Listing


@dataclass(frozen=True, slots=True)
class Window:
    """``names``: what the source has, in order; ``old``: what the parent has of the same stretch of names.

    ``is_last``: with it, all of the directory has been given.
    """

    names: Sequence[str]
    old: ParentDirectory
    is_last: bool


class Windows:
    """Of one directory, one after the other."""

    def __init__(self, listing: Listing, parent: ParentNames, size: WindowSize = WINDOW_SIZE) -> None:
        names = listing.names
        self.broken = listing.broken
        self.is_split = len(names) > size.names or not parent.is_small
        """Whether there may be more than one window."""
        self.is_done = False
        """Whether the last one was given."""
        self._parent = parent
        self._size = size
        self._names: Sequence[str] = names
        self._later: deque[str] = deque()
        self._last = b""
        if len(names) > size.names:
            starts = range(0, len(names), size.names)
            self._later.extend("/".join(names[at : at + size.names]) for at in starts)  # no name has a slash
            self._names = ()

    def take(self) -> Window:
        """The next one."""
        names = self._names
        if not names and self._later:
            names = self._later.popleft().split("/")
        self._names = ()
        last = self._parent.bound(names[-1] if self._later else None, self._size.names) if self.is_split else None
        if last is None:
            self.is_done = True
            return Window(names, self._parent.rest(), is_last=True)
        self._last = os.fsencode(last)
        at = bisect_right(names, self._last, key=os.fsencode)
        self._names = names[at:]
        return Window(names[:at], self._parent.up_to(last), is_last=False)

    def beside(self, present: set[str]) -> Container[str]:
        """All names of the directory, as far as anybody asks in this window: ``present``, and those still to come."""
        return present if self.is_done else _Beside(present, self)

    def comes_later(self, name: str) -> bool:
        """Whether it is in one of the next windows. For the thread that takes them."""
        if os.fsencode(name) <= self._last:
            return False
        return name in self._names or any(f"/{name}/" in f"/{text}/" for text in self._later)


@dataclass(frozen=True, slots=True)
class _Beside(Container[str]):
    present: set[str]
    windows: Windows

    def __contains__(self, name: object) -> bool:
        return name in self.present or (isinstance(name, str) and self.windows.comes_later(name))
