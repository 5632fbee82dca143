"""Which entries of a snapshot are to be restored, and the walk over them.

Owns: what was found, as a tree of names, so that nothing is looked up a second time; the order in which folders are
entered. Does not know: how paths were found, or what is done with the entries.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from kinebackup.engine.format import tree
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.tree_reader import TreeReader, Way
from kinebackup.engine.restore.destination import Folder

_BATCH_FILES: Final = 64


@dataclass(slots=True)
class Selection:
    """Of one directory. ``whole``: everything in it; else only what is in ``below``, by name."""

    whole: bool = False
    below: dict[str, "Selection"] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)

    @classmethod
    def of(cls, ways: Sequence[Way]) -> "Selection":
        """Of the root: what these lead to, or everything where there are none."""
        root = cls(whole=not ways)
        for way in ways:
            here = root
            for visited in way:
                name = visited.entry.path_name
                if name not in here.below:
                    here.below[name] = cls()
                    here.entries.append(visited.entry)
                here = here.below[name]
            here.whole = True
        return root

    def windows_of(self, ids: Sequence[str], path: str, trees: TreeReader) -> Iterable[list[Entry]]:
        """The entries of the directory that are wanted, in order, some at a time.

        Its tree is read only where all of them are.
        """
        return trees.windows(ids, path) if self.whole else [sorted(self.entries, key=tree.name_key)]

    def of_directory(self, entry: Entry) -> "Selection":
        """What is wanted of a subdirectory that is."""
        return self if self.whole else self.below[entry.path_name]


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries of one directory, for one worker; none of them is a directory. ``path``: in the snapshot."""

    path: str
    folder: Folder
    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Walk:
    """``enter``: the folder at the destination for a directory in another, of that path; None where there is none."""

    trees: TreeReader
    enter: Callable[[Folder, str, Entry], Folder | None]

    def batches(self, ids: Sequence[str], selection: Selection, top: Folder) -> Iterator[Batch]:
        """What is wanted of these trees. A folder is entered once those before it are done: none waits in memory."""
        stack = [self._directory(_Directory("", top, ids, selection))]
        while stack:
            met = next(stack[-1], None)
            if met is None:
                stack.pop()
            elif isinstance(met, Batch):
                yield met
            else:
                stack.append(self._directory(met))

    def _directory(self, here: "_Directory") -> "Iterator[Batch | _Directory]":
        """Of each part of it first the files, then the directories, entered one by one."""
        for window in here.selection.windows_of(here.ids, here.path, self.trees):
            files = [entry for entry in window if entry.type != "dir"]
            for at in range(0, len(files), _BATCH_FILES):
                yield Batch(here.path, here.folder, files[at : at + _BATCH_FILES])
            for entry in window:
                if entry.type == "dir":
                    path = join(here.path, entry.path_name)
                    folder = self.enter(here.folder, path, entry)
                    if folder is not None:
                        yield _Directory(path, folder, entry.tree, here.selection.of_directory(entry))


@dataclass(frozen=True, slots=True)
class _Directory:
    path: str
    folder: Folder
    ids: Sequence[str]
    selection: Selection


def join(parent: str, name: str) -> str:
    """The path of what is in a directory of the snapshot."""
    return f"{parent}/{name}" if parent else name
