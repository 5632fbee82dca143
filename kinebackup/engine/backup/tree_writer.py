"""Turns scanned directories into tree blobs once all that lies in them is known.

Owns: the queue of directories that wait for a large file still being read elsewhere. Does not know: how files are read.

Directories are closed in post-order: a parent is written after its children, because it holds their ids. A directory
that waits for a large file holds back only those closed after it, and the scan goes on meanwhile, as long as not too
much is waiting.
"""

import threading
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.pack_pipeline import PackPipeline
from kinebackup.engine.repository.repository import LoadedRepository

_MAX_WAITING_ENTRIES = 20_000


@dataclass(slots=True, eq=False)
class Series:
    """What has been written of a huge directory."""

    cutter: tree.TreeCutter = field(default_factory=tree.TreeCutter)
    ids: list[str] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Node:
    """A directory being backed up: its own ``entry``, the parent snapshot's (``old``), and what lies in it.

    Of a huge directory there is a node for each window of its names, which ``series`` joins; ``is_last`` ends it.

    ``kept`` says how many of ``entries`` are the parent's own; ``old_count`` how many the parent has, once it is known.
    ``waiting`` and ``dropped`` hold ``id(entry)`` of large files; ``copied`` the names of databases that were copied.
    """

    entry: Entry
    old: Entry | None = None
    entries: list[Entry] = field(default_factory=list)
    kept: int = 0
    old_count: int = -1
    children: list["Node"] = field(default_factory=list)
    waiting: set[int] = field(default_factory=set)
    dropped: set[int] = field(default_factory=set)
    copied: set[str] = field(default_factory=set)
    series: Series | None = None
    is_last: bool = True

    @classmethod
    def of(cls, entry: Entry, old: Entry | None) -> "Node":
        """``old``: what the parent snapshot has of that name."""
        return cls(entry, old if old is not None and old.type == "dir" else None)

    @property
    def old_tree(self) -> Sequence[str]:
        return self.old.tree if self.old is not None else ()

    def next_part(self, *, is_last: bool) -> "Node":
        """For the next names of the same directory: what belongs to a database comes after it."""
        series = self.series or Series()
        return Node(self.entry, self.old, copied=self.copied, series=series, is_last=is_last)

    def keep(self, old: Entry) -> None:
        """The parent's own entry goes on as it is."""
        self.entries.append(old)
        self.kept += 1

    def is_as_before(self) -> bool:
        """Whether the directory holds what it holds in the parent snapshot; its subdirectories are closed.

        A file that was read again counts as another one: if it turns out as before, so does the tree, which then has
        the same id and is not stored again.
        """
        same = self.kept + sum(child.entry == child.old for child in self.children)
        return same == len(self.entries) == self.old_count


class DryTreeWriter:
    """Writes nothing."""

    def close(self, node: Node) -> None:
        node.entries, node.children = [], []

    def finish(self) -> None:
        pass


class TreeWriter:
    """Takes closed directories in post-order. For one thread, but ``arrived`` is called from lanes."""

    def __init__(self, repository: LoadedRepository, packer: PackPipeline) -> None:
        self._repository = repository
        self._packer = packer
        self._closed: deque[Node] = deque()
        self._waiting_entries = 0
        self._arrival = threading.Condition()

    def arrived(self, node: Node, entry: Entry, *, drop: bool = False) -> None:
        """The content of a large file is known, or (``drop``) will never be."""
        with self._arrival:
            if drop:
                node.dropped.add(id(entry))
            node.waiting.discard(id(entry))
            self._arrival.notify()

    def close(self, node: Node) -> None:
        """All names of the directory are known; large files in it may still be on their way."""
        self._closed.append(node)
        self._waiting_entries += len(node.entries)
        while self._closed and (not self._closed[0].waiting or self._waiting_entries > _MAX_WAITING_ENTRIES):
            self._write_first()

    def finish(self) -> None:
        """Wait for everything and write the rest."""
        while self._closed:
            self._write_first()

    def _write_first(self) -> None:
        node = self._closed.popleft()
        self._waiting_entries -= len(node.entries)
        with self._arrival:
            while node.waiting:
                self._packer.check()
                self._arrival.wait(timeout=0.5)
        if node.dropped:
            node.entries = [entry for entry in node.entries if id(entry) not in node.dropped]
        series = node.series
        if series is None:
            node.entry.tree = self._store(node)
        else:
            series.ids += self._cut(node, series.cutter)
            if node.is_last:
                node.entry.tree = series.ids
        node.entries = []
        node.children = []

    def _store(self, node: Node) -> list[str]:
        if node.is_as_before() and all(self._repository.index.has(tree.blob_id(text)) for text in node.old_tree):
            return list(node.old_tree)
        return self._cut(node, tree.TreeCutter())

    def _cut(self, node: Node, cutter: tree.TreeCutter) -> list[str]:
        """Store the blobs that the node's entries complete; gives their ids."""
        index, keys = self._repository.index, self._repository.keys
        ids: list[str] = []
        for plain in chain(cutter.add(node.entries), cutter.finish() if node.is_last else ()):
            blob_id = keys.blob_id(Kind.TREE, plain)
            ids.append(blob_id.hex())
            if index.claim(blob_id):
                self._packer.put(Kind.TREE, blob_id, plain)
        return ids
