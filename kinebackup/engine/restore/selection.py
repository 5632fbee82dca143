"""Which entries of a snapshot are to be restored.

Owns: what was found, as a tree of names, so that nothing is looked up a second time. Does not know: how paths were
found, or what is done with the entries.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from kinebackup.engine.format import tree
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.tree_reader import TreeReader, Way


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

    def entries_of(self, ids: Sequence[str], path: str, trees: TreeReader) -> list[Entry]:
        """The entries of the directory that are wanted, in order; its tree is read only where all of them are."""
        return trees.entries(ids, path) if self.whole else sorted(self.entries, key=tree.name_key)

    def of_directory(self, entry: Entry) -> "Selection":
        """What is wanted of a subdirectory that is."""
        return self if self.whole else self.below[entry.path_name]
