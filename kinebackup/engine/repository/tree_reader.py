"""Reading directories of a snapshot.

Owns: following tree ids, walking, finding a path. Does not know: what the entries are wanted for.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.errors import Damaged, NotFound
from kinebackup.i18n import _, ngettext
from kinebackup.model import Problem


@dataclass(frozen=True, slots=True)
class Visited:
    """An entry and its path below ``/``, without a leading slash."""

    path: str
    entry: Entry


Way = tuple[Visited, ...]
"""What lies at a path, after the directories that lead to it, from the top; the way to ``/`` is empty."""


class TreeReader:
    """Directories of a snapshot, as lists of entries."""

    def __init__(self, reader: BlobReader, on_problem: Callable[[Problem], None]) -> None:
        self._reader = reader
        self._on_problem = on_problem
        self.lists_lost = 0  # how many lists of what is in a folder could not be read

    def entries(self, ids: Sequence[str], path: str) -> list[Entry]:
        """The entries of a directory; what is damaged is reported with the path, and left out."""
        found: list[Entry] = []
        for text in ids:
            try:
                entries, rejected = tree.decode(bytes(self._reader.read(Kind.TREE, tree.blob_id(text))))
            except Damaged as error:
                self.lists_lost += 1
                self._on_problem(
                    Problem(
                        "damaged",
                        f"/{path}",
                        _("the list of this folder's files: {reason}").format(reason=error.message),
                    )
                )
                continue
            if rejected:
                text = ngettext(
                    "{count} name in this folder was refused", "{count} names in this folder were refused", rejected
                )
                self._on_problem(Problem("damaged", f"/{path}", text.format(count=rejected)))
            found += entries
        single = tree.first_of_each_name(found)
        if len(single) < len(found):
            twice = len(found) - len(single)
            text = ngettext("{count} name in this folder came twice", "{count} names in this folder came twice", twice)
            self._on_problem(Problem("damaged", f"/{path}", text.format(count=twice)))
        return single

    def walk(self, ids: Sequence[str], path: str = "") -> Iterator[Visited]:
        """Every entry below, a directory before what lies in it."""
        stack = [iter(self._visit(ids, path))]
        while stack:
            visited = next(stack[-1], None)
            if visited is None:
                stack.pop()
                continue
            yield visited
            if visited.entry.type == "dir":
                stack.append(iter(self._visit(visited.entry.tree, visited.path)))

    def _visit(self, ids: Sequence[str], path: str) -> list[Visited]:
        prefix = f"{path}/" if path else ""
        return [Visited(prefix + entry.path_name, entry) for entry in self.entries(ids, path)]

    def find(self, ids: Sequence[str], path: str) -> Way:
        """The way to an absolute path. Raises ``NotFound`` with what lies in the last directory that exists."""
        parts = [part for part in path.split("/") if part]
        if not parts:
            raise NotFound(_("the path is empty"), _("give the path of a file or folder"))
        way: list[Visited] = []
        current = ids
        for depth, part in enumerate(parts):
            entries = self.entries(current, "/".join(parts[:depth]))
            match = next((entry for entry in entries if entry.path_name == part), None)
            if match is None or (match.type != "dir" and depth < len(parts) - 1):
                here = "/" + "/".join(parts[:depth])
                names = ", ".join(sorted(entry.path_name for entry in entries)[:12])
                raise NotFound(
                    _("the backup has no {path}").format(path=path),
                    _("{folder} holds: {names}").format(folder=here, names=names)
                    if names
                    else _("{folder} is empty").format(folder=here),
                )
            way.append(Visited("/".join(parts[: depth + 1]), match))
            current = match.tree
        return tuple(way)


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
