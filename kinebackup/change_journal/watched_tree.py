"""The watched directories of all sources, and when each of them last changed.

Owns: applying inotify events to the tree: creations, moves and removals. Does not know: threads, or who asks.

Every directory has its own watch. A new directory is watched first and listed afterwards: what was created in it before
the watch is found by listing, what is created later causes an event. A directory that is moved is removed from the tree
and added again under its new name, with its whole subtree.
"""

import errno
import os
from collections import deque
from collections.abc import Iterator
from typing import Final, Literal

from kinebackup.change_journal import inotify
from kinebackup.change_journal.inotify import InotifyQueue
from kinebackup.engine import Changes
from kinebackup.sources.folder import FolderSource

GapReason = Literal["overflow", "moved", "unmounted", "limit"]

_GONE: Final = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_NEVER: Final = -1
_UNWATCHED: Final = -1


class JournalGap(Exception):
    """Changes may have been missed: nothing that was recorded so far can be relied upon."""

    def __init__(self, reason: GapReason) -> None:
        super().__init__(reason)
        self.reason: GapReason = reason


class WatchedRoot:
    """A watched source; ``device`` and ``inode`` are those of its folder at the time when the watch was added."""

    __slots__ = ("device", "inode", "source", "top")

    def __init__(self, source: FolderSource) -> None:
        self.source = source
        self.device = self.inode = -1
        self.top = WatchedDir(os.fsencode(source.path), None, self)

    @property
    def is_there(self) -> bool:
        """Whether there was a folder to watch."""
        return self.device != -1


class WatchedDir:
    """One directory.

    ``changed`` and ``subtree_changed`` are the tree's ``now`` when it, or everything below it, last changed.
    ``unwatchable``: the kernel refused a watch. ``alias``: the next of the nodes that share this watch, because one
    directory is mounted at several paths.
    """

    __slots__ = ("alias", "below", "changed", "name", "number", "parent", "root", "subtree_changed", "unwatchable")

    def __init__(self, name: bytes, parent: "WatchedDir | None", root: WatchedRoot | None) -> None:
        self.name = name
        self.parent = parent
        self.root = root  # None: dropped
        self.below: dict[bytes, WatchedDir] | None = None
        self.number = _UNWATCHED
        self.changed = self.subtree_changed = _NEVER
        self.unwatchable = False
        self.alias: WatchedDir | None = None

    def path(self) -> bytes:
        names = [self.name]
        node = self
        while node.parent is not None:
            node = node.parent
            names.append(node.name)
        return b"/".join(reversed(names))


class WatchedTree:
    """Not thread-safe. ``now`` is a logical clock, which the owner advances."""

    def __init__(self, queue: InotifyQueue, sources: list[FolderSource]) -> None:
        self._queue = queue
        self._by_number: dict[int, WatchedDir] = {}
        self.roots = [WatchedRoot(source) for source in sources]
        self.pending = deque(root.top for root in self.roots)
        self.now = 0

    @property
    def size(self) -> int:
        """How many directories are watched."""
        return len(self._by_number)

    # -- events ----------------------------------------------------------------------------------------------------

    def handle(self, data: bytes) -> None:
        """Apply events as inotify gives them. Raises ``JournalGap``."""
        by_number, now = self._by_number, self.now
        # Events that only mark the directory as changed. Nearly all of a burst of events is like that, and one counts.
        plain = inotify.MODIFY | inotify.CLOSE_WRITE | inotify.ATTRIB | inotify.CREATE | inotify.DELETE
        for number, mask, name in inotify.events(data):
            if mask & inotify.OVERFLOW:
                raise JournalGap("overflow")
            node = by_number.get(number)
            if node is not None and node.changed == now and node.alias is None and mask & plain == mask:
                continue
            while node is not None:
                alias = node.alias
                self._handle_one(node, mask, name)
                node = alias

    def _handle_one(self, node: WatchedDir, mask: int, name: bytes) -> None:
        if mask & inotify.UNMOUNT:
            raise JournalGap("unmounted")
        if mask & (inotify.IGNORED | inotify.DELETE_SELF | inotify.MOVE_SELF):
            if node.parent is None:
                raise JournalGap("moved")
            if mask & inotify.IGNORED:
                node.parent.changed = self.now
                self._remove_subtree(node.parent, node.name)
            return  # otherwise the parent directory has an event of its own
        node.changed = self.now
        if not (mask & inotify.ISDIR and name):
            return
        if mask & (inotify.CREATE | inotify.MOVED_TO):
            self._remove_subtree(node, name)
            self._add_child(node, name)
        elif mask & (inotify.DELETE | inotify.MOVED_FROM):
            self._remove_subtree(node, name)
        elif node.below and (child := node.below.get(name)) is not None and child.unwatchable:
            self.pending.append(child)  # its permissions changed: a watch may be possible now

    def _add_child(self, parent: WatchedDir, name: bytes) -> None:
        root = parent.root
        if root is None:
            return
        exclusions = root.source.exclusions
        if exclusions:
            text = os.fsdecode(name)
            path = os.fsdecode(parent.path() + b"/" + name)
            if exclusions.match(text, path[len(root.source.path) + 1 :]):
                return
        if parent.below is None:
            parent.below = {}
        child = WatchedDir(name, parent, root)
        parent.below[name] = child
        self.pending.append(child)

    def _remove_subtree(self, parent: WatchedDir, name: bytes) -> None:
        """A directory is gone, with everything below it."""
        top = parent.below.pop(name, None) if parent.below else None
        stack = [top] if top is not None else []
        while stack:
            node = stack.pop()
            self._unwatch(node)
            if node.below:
                stack += node.below.values()
            node.root = node.parent = node.below = None

    def _unwatch(self, node: WatchedDir) -> None:
        number, first = node.number, self._by_number.get(node.number)
        node.number = _UNWATCHED
        if first is None:
            return
        if first is not node:
            while first.alias is not None and first.alias is not node:
                first = first.alias
            first.alias = node.alias
        elif node.alias is not None:
            self._by_number[number] = node.alias
        else:
            del self._by_number[number]
            self._queue.remove(number)
        node.alias = None

    # -- watching --------------------------------------------------------------------------------------------------

    def watch_next(self) -> None:
        """Watch and list the next of ``pending``. Raises ``JournalGap`` where the kernel's limit is reached."""
        node = self.pending.popleft()
        if node.root is None:
            return
        path = node.path()
        try:
            number = self._queue.add(path)
        except OSError as error:
            self._cannot_watch(node, error)
            return
        node.unwatchable = False
        if node.number != number:  # a directory that is listed again keeps its watch
            self._unwatch(node)
            node.number = number
            node.alias = self._by_number.get(number)
            self._by_number[number] = node
        # Changes before the watch was added caused no event.
        node.changed = node.subtree_changed = self.now
        if self._is_on_its_file_system(node, path):
            self._list(node, path)

    def _cannot_watch(self, node: WatchedDir, error: OSError) -> None:
        if error.errno == errno.ENOSPC:
            raise JournalGap("limit")
        self._unwatch(node)
        if error.errno in _GONE:
            if node.parent is not None:
                node.parent.changed = self.now  # moved or removed; its events are still to come
                self._remove_subtree(node.parent, node.name)
            return
        node.unwatchable = True

    def _is_on_its_file_system(self, node: WatchedDir, path: bytes) -> bool:
        root = node.root
        assert root is not None
        try:
            stat = os.stat(path, follow_symlinks=False)
        except OSError:
            return True  # moved away already; its events are still to come
        if node.parent is None:
            root.device, root.inode = stat.st_dev, stat.st_ino
            return True
        if root.source.one_file_system and stat.st_dev != root.device:
            self._remove_subtree(node.parent, node.name)
            return False
        return True

    def _list(self, node: WatchedDir, path: bytes) -> None:
        try:
            with os.scandir(path) as scan:
                names = [entry.name for entry in scan if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            node.unwatchable = error.errno not in _GONE
            return
        for name in names:
            if not node.below or name not in node.below:
                self._add_child(node, name)

    # -- answers ---------------------------------------------------------------------------------------------------

    def collect(self, since: int, changes: Changes) -> None:
        """Add every directory that changed at ``since`` or later."""
        for node in self._all():
            if node.changed >= since or node.subtree_changed >= since or node.unwatchable:
                changes.touch(os.fsdecode(node.path()), whole=node.unwatchable or node.subtree_changed >= since)

    def _all(self) -> Iterator[WatchedDir]:
        stack = [root.top for root in self.roots]
        while stack:
            node = stack.pop()
            yield node
            if node.below:
                stack += node.below.values()
