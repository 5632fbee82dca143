"""The directories that lead to the sources, in the snapshot.

Owns: their nodes, which sources share. Does not know: what lies in a source.
"""

from collections.abc import Sequence

from kinebackup.engine.backup.parent.diff import ParentDiff
from kinebackup.engine.backup.parent.directory import ParentDirectory
from kinebackup.engine.backup.tree_writer import DryTreeWriter, Node, TreeWriter
from kinebackup.engine.format import tree
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import entry_of
from kinebackup.engine.source import Found


class Ways:
    """Of one scan."""

    def __init__(self, diff: ParentDiff) -> None:
        self._diff = diff
        self._root = Node(Entry(type="dir", mode=0o755, mtime=0, ctime=0))
        self._known: dict[str, tuple[Node, ParentDirectory]] = {"": (self._root, ParentDirectory())}

    def start_from(self, root: Sequence[str]) -> None:
        """Compare with the snapshot whose root tree this is."""
        self._known[""] = (self._root, self._diff.directory(root, ""))

    def follow(self, way: Sequence[Found]) -> tuple[Node, ParentDirectory, str]:
        """Make, or find, the directories that lead to a source, and give the last of them."""
        path = ""
        node, old = self._known[path]
        for found in way:
            path += f"/{found.name}"
            if path not in self._known:
                entry = entry_of(found)
                below = Node.of(entry, old.entries.get(entry.path_name))
                node.entries.append(entry)
                node.children.append(below)
                self._known[path] = (below, self._diff.below(old, entry, path).rest())
            node, old = self._known[path]
        return node, old, path

    def close(self, writer: TreeWriter | DryTreeWriter) -> None:
        """All sources are scanned: these directories are written last, because sources share them."""
        for path in sorted(self._known, key=lambda p: -p.count("/") if p else 1):
            node = self._known[path][0]
            node.entries.sort(key=tree.name_key)
            writer.close(node)

    @property
    def root(self) -> list[str]:
        """The ids of the root tree, once all is written."""
        return list(self._root.entry.tree)
