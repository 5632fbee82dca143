"""A directory of the parent snapshot, whole or some consecutive names at a time.

Owns: the entries as a scan compares with them, and reading no more of a huge directory than is asked for. Does not
know: the source, or what is done with the comparison.

A directory of a million names would take 400 MB as entries: of one with more than a few tree blobs only those between
two names are in memory (docs/decisions/0033-huge-folders.md).
"""

import os
from bisect import bisect_right
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kinebackup.engine.format.tree import Entry, name_key


@dataclass(frozen=True, slots=True)
class WindowSize:
    """How much of a huge directory is in memory at a time.

    ``names``: so many of the source at most, and of the parent about so many. ``tree_blobs``: a directory of the parent
    with no more than these is read whole; so many have some five thousand names.
    """

    names: int = 4096
    tree_blobs: int = 4


WINDOW_SIZE: Final = WindowSize()

Read = Callable[[Sequence[str]], list[Entry]]
"""The entries of these tree blobs; what cannot be read has been reported."""


@dataclass(slots=True, eq=False)
class ParentDirectory:
    """A directory as the parent snapshot has it. ``whole``: all of it could be read; ``sequence``: of that snapshot.

    ``carried``: entries that the parent had from an earlier snapshot, as they are, each with its mark. In ``entries``
    they are as if that snapshot were the parent: without the mark, for what is found as before is not carried any more.
    ``has_marks``: some are marked in the tree of this directory, which therefore is not taken over as it is.
    """

    entries: dict[str, Entry] = field(default_factory=dict)
    whole: bool = True
    sequence: int = 0
    carried: dict[str, Entry] = field(default_factory=dict)
    has_marks: bool = False

    def as_carried(self, name: str) -> Entry | None:
        """The entry of that name, as it goes on where the source does not give it."""
        if name in self.carried:
            return self.carried[name]
        old = self.entries.get(name)
        return None if old is None else msgspec.structs.replace(old, carried=self.sequence)


class ParentNames:
    """The names of one directory of the parent, in their order."""

    def __init__(
        self,
        ids: Sequence[str] = (),
        read: Read = lambda _ids: [],
        build: Callable[[list[Entry]], ParentDirectory] = lambda _entries: ParentDirectory(),
        out_of_order: Callable[[], None] = lambda: None,
        at_once: int = WINDOW_SIZE.tree_blobs,
    ) -> None:
        """A directory of ``at_once`` tree blobs or less is read whole. ``build`` makes of entries what is compared.

        ``out_of_order`` hears of a name of a huge directory that does not come in its order, and is left out.
        """
        self._read = read
        self._build = build
        self._out_of_order = out_of_order
        self._left = deque(ids)
        self._entries: list[Entry] = []
        self._last = b""
        self.is_small = len(ids) <= at_once
        """``rest`` takes little memory."""
        self._is_sorted = not self.is_small
        if ids and self.is_small:  # now, before anything of the source is open: the drive may fail
            self._entries = read(ids)
            self._left.clear()

    def rest(self) -> ParentDirectory:
        """All that has not been given."""
        while self._left:
            self._read_on()
        entries, self._entries = self._entries, []
        return self._build(entries)

    def bound(self, wanted: str | None, at_most: int) -> str | None:
        """Where to cut: after ``wanted`` (None: at the end), or earlier where more than ``at_most`` come before it."""
        if not self._is_sorted:
            self._entries.sort(key=name_key)
            self._is_sorted = True
        key = None if wanted is None else os.fsencode(wanted)
        while self._left and len(self._entries) < at_most and (key is None or self._last <= key):
            self._read_on()
        if not self._left or (key is not None and self._last > key):
            return wanted
        return self._entries[-1].path_name

    def up_to(self, last: str) -> ParentDirectory:
        """The names up to that one, which ``bound`` has given."""
        at = bisect_right(self._entries, os.fsencode(last), key=name_key)
        entries, self._entries = self._entries[:at], self._entries[at:]
        return self._build(entries)

    def _read_on(self) -> None:
        for entry in self._read([self._left.popleft()]):
            key = name_key(entry)
            if key <= self._last:
                self._out_of_order()
                continue
            self._last = key
            self._entries.append(entry)
