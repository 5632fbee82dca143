"""Reading directories of a snapshot.

Owns: following tree ids, walking, finding a path, names that come twice. Does not know: what entries are wanted for.
"""

import heapq
import operator
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.errors import Damaged, NotFound
from kinebackup.i18n import _, ngettext
from kinebackup.model import Problem

_NAMES_TOLD: Final = 12  # of a folder that lacks what was looked for


@dataclass(frozen=True, slots=True)
class Visited:
    """An entry and its path below ``/``, without a leading slash."""

    path: str
    entry: Entry


Way = tuple[Visited, ...]
"""What lies at a path, after the directories that lead to it, from the top; the way to ``/`` is empty."""


class TreeReader:
    """Directories of a snapshot. One may have a million names: of each, one tree blob is in memory at a time."""

    def __init__(self, reader: BlobReader, on_problem: Callable[[Problem], None]) -> None:
        self._reader = reader
        self._on_problem = on_problem
        self.lists_lost = 0  # how many lists of what is in a folder could not be read

    def entries(self, ids: Sequence[str], path: str) -> list[Entry]:
        """All entries of a directory: for one that is known to be small, or has to be in memory as a whole."""
        return [entry for window in self.windows(ids, path) for entry in window]

    def windows(self, ids: Sequence[str], path: str) -> Iterator[list[Entry]]:
        """The entries of a directory, those of one tree blob at a time; of those with the same name only the first.

        What is damaged is reported with the path, and left out; how many names came twice is reported at the end.
        """
        twice = 0
        new_names = _NewNames(self._decoded)
        for text in ids:
            try:
                entries, rejected = self._decoded(text)
                new = new_names.among(text, entries) if len(ids) > 1 else tree.first_of_each_name(entries)
            except Damaged as error:
                self.lists_lost += 1
                reason = _("the list of this folder's files: {reason}").format(reason=error.message)
                self._on_problem(Problem("damaged", f"/{path}", reason))
                continue
            if rejected:
                told = ngettext(
                    "{count} name in this folder was refused", "{count} names in this folder were refused", rejected
                )
                self._on_problem(Problem("damaged", f"/{path}", told.format(count=rejected)))
            twice += len(entries) - len(new)
            yield new
        if twice:
            told = ngettext("{count} name in this folder came twice", "{count} names in this folder came twice", twice)
            self._on_problem(Problem("damaged", f"/{path}", told.format(count=twice)))

    def _decoded(self, text: str) -> tuple[list[Entry], int]:
        return tree.decode(bytes(self._reader.read(Kind.TREE, tree.blob_id(text))))

    def walk(self, ids: Sequence[str], path: str = "") -> Iterator[Visited]:
        """Every entry below, a directory before what lies in it."""
        stack = [self.visit(ids, path)]
        while stack:
            visited = next(stack[-1], None)
            if visited is None:
                stack.pop()
                continue
            yield visited
            if visited.entry.type == "dir":
                stack.append(self.visit(visited.entry.tree, visited.path))

    def visit(self, ids: Sequence[str], path: str) -> Iterator[Visited]:
        """The entries of one directory with their paths."""
        prefix = f"{path}/" if path else ""
        for window in self.windows(ids, path):
            for entry in window:
                yield Visited(prefix + (entry.name or entry.path_name), entry)

    def find(self, ids: Sequence[str], path: str) -> Way:
        """The way to an absolute path. Raises ``NotFound`` with what lies in the last directory that exists."""
        parts = [part for part in path.split("/") if part]
        if not parts:
            raise NotFound(_("the path is empty"), _("give the path of a file or folder"))
        way: list[Visited] = []
        current = ids
        for depth, part in enumerate(parts):
            here = "/".join(parts[:depth])
            match, first_names = self._look_up(current, here, part)
            if match is None or (match.type != "dir" and depth < len(parts) - 1):
                names = ", ".join(first_names)
                raise NotFound(
                    _("the backup has no {path}").format(path=path),
                    _("{folder} holds: {names}").format(folder=f"/{here}", names=names)
                    if names
                    else _("{folder} is empty").format(folder=f"/{here}"),
                )
            way.append(Visited("/".join(parts[: depth + 1]), match))
            current = match.tree
        return tuple(way)

    def _look_up(self, ids: Sequence[str], path: str, name: str) -> tuple[Entry | None, list[str]]:
        """The entry of that name, and the first names of the directory."""
        match: Entry | None = None
        first: list[str] = []
        for window in self.windows(ids, path):  # to the end, for what is damaged there
            names = [entry.path_name for entry in window]
            if match is None and name in names:
                match = window[names.index(name)]
            first = heapq.nsmallest(_NAMES_TOLD, [*first, *names])
        return match, first


class _NewNames:
    """Which entries of a directory have a name that none before them has.

    They are sorted: a name greater than all before it is new, and none of those is remembered. In a directory that
    somebody forged they come in any order; then what came before is read again, and remembered from there on.
    """

    def __init__(self, decoded: Callable[[str], tuple[list[Entry], int]]) -> None:
        self._decoded = decoded
        self._read: list[str] = []
        self._greatest = b""
        self._known: set[bytes] | None = None

    def among(self, text: str, entries: list[Entry]) -> list[Entry]:
        """Of the next tree blob's. Raises ``Damaged`` where one before it cannot be read a second time."""
        names = [tree.name_key(entry) for entry in entries]
        if self._known is None:
            if all(map(operator.lt, chain((self._greatest,), names), names)):
                self._read.append(text)
                self._greatest = names[-1] if names else self._greatest
                return entries
            self._known = {tree.name_key(entry) for before in self._read for entry in self._decoded(before)[0]}
        new: list[Entry] = []
        for name, entry in zip(names, entries, strict=True):
            if name not in self._known:
                self._known.add(name)
                new.append(entry)
        return new


def data_ids(entry: Entry, reader: BlobReader) -> list[str]:
    """The ids of a file's data blobs, in order. Raises ``Damaged``."""
    if not entry.lists:
        return entry.blobs
    if entry.blobs:
        raise Damaged(_("the content of this file is given twice"))
    ids: list[str] = []
    for text in entry.lists:
        ids += tree.decode_ids(bytes(reader.read(Kind.LIST, tree.blob_id(text))))
    return ids


def extents_of(entry: Entry, reader: BlobReader) -> list[tuple[int, int]] | None:
    """The extents of a sparse file, in the entry or out of it; None for a file without. Raises ``Damaged``."""
    if not entry.extent_lists:
        return entry.extents
    if entry.extents is not None:
        raise Damaged(_("the content of this file is given twice"))
    found: list[tuple[int, int]] = []
    for text in entry.extent_lists:
        found += tree.decode_extents(bytes(reader.read(Kind.LIST, tree.blob_id(text))))
    return found
