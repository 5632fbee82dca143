"""The watched directories of all sources, and in which of them something happened when.

Owns: following the kernel's events through creations, moves and removals. Does not know: threads, or who asks.

Every directory has a watch of its own. A directory that appears is watched first and listed afterwards: what is made in
it before the watch is listed, what is made later is heard of. A directory that is moved is dropped and taken up again
under its new name, with all that lies below.
"""

import errno
import os
from collections import deque
from collections.abc import Iterator
from typing import Final, Literal

from kinebackup.change_journal import inotify
from kinebackup.change_journal.inotify import Kernel
from kinebackup.engine import Changes
from kinebackup.sources.folder import FolderSource

Loss = Literal["overflow", "moved", "unmounted", "limit"]

_GONE: Final = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP}
_NEVER: Final = -1
_UNWATCHED: Final = -1


class Lost(Exception):
    """Something may have happened without being heard of: all that is known counts for nothing."""

    def __init__(self, loss: Loss) -> None:
        super().__init__(loss)
        self.loss: Loss = loss


class Root:
    """A source that is watched; ``device`` and ``inode`` are those of the folder when its watch was made."""

    __slots__ = ("device", "inode", "source", "top")

    def __init__(self, source: FolderSource) -> None:
        self.source = source
        self.device = self.inode = -1
        self.top = Watched(os.fsencode(source.path), None, self)

    @property
    def is_there(self) -> bool:
        """Whether there was a folder to watch."""
        return self.device != -1


class Watched:
    """One directory. ``changed``, ``whole``: when something last happened in it, or to all below it, as ``now`` of the
    tree. ``blind``: no watch can be had. ``twin``: the same directory at another path.
    """

    __slots__ = ("below", "blind", "changed", "name", "number", "parent", "root", "twin", "whole")

    def __init__(self, name: bytes, parent: "Watched | None", root: Root | None) -> None:
        self.name = name
        self.parent = parent
        self.root = root  # None: dropped
        self.below: dict[bytes, Watched] | None = None
        self.number = _UNWATCHED
        self.changed = self.whole = _NEVER
        self.blind = False
        self.twin: Watched | None = None

    def path(self) -> bytes:
        names = [self.name]
        node = self
        while node.parent is not None:
            node = node.parent
            names.append(node.name)
        return b"/".join(reversed(names))


class WatchedTree:
    """For one thread at a time. ``now`` is a number that the owner counts up."""

    def __init__(self, kernel: Kernel, sources: list[FolderSource]) -> None:
        self._kernel = kernel
        self._by_number: dict[int, Watched] = {}
        self.roots = [Root(source) for source in sources]
        self.pending = deque(root.top for root in self.roots)
        self.now = 0

    @property
    def size(self) -> int:
        """How many directories are watched."""
        return len(self._by_number)

    # -- events ----------------------------------------------------------------------------------------------------

    def handle(self, data: bytes) -> None:
        """Take events in. Raises ``Lost``."""
        by_number, now = self._by_number, self.now
        # What only says that something happened in the directory, which is most of a storm, and all that counts of it.
        plain = inotify.MODIFY | inotify.CLOSE_WRITE | inotify.ATTRIB | inotify.CREATE | inotify.DELETE
        for number, mask, name in inotify.events(data):
            if mask & inotify.OVERFLOW:
                raise Lost("overflow")
            node = by_number.get(number)
            if node is not None and node.changed == now and node.twin is None and mask & plain == mask:
                continue
            while node is not None:
                twin = node.twin
                self._handle_one(node, mask, name)
                node = twin

    def _handle_one(self, node: Watched, mask: int, name: bytes) -> None:
        if mask & inotify.UNMOUNT:
            raise Lost("unmounted")
        if mask & (inotify.IGNORED | inotify.DELETE_SELF | inotify.MOVE_SELF):
            if node.parent is None:
                raise Lost("moved")
            if mask & inotify.IGNORED:
                node.parent.changed = self.now
                self._drop(node.parent, node.name)
            return  # else the directory above tells
        node.changed = self.now
        if not (mask & inotify.ISDIR and name):
            return
        if mask & (inotify.CREATE | inotify.MOVED_TO):
            self._drop(node, name)
            self._adopt(node, name)
        elif mask & (inotify.DELETE | inotify.MOVED_FROM):
            self._drop(node, name)
        elif node.below and (child := node.below.get(name)) is not None and child.blind:
            self.pending.append(child)  # its rights have changed: perhaps it can be watched now

    def _adopt(self, parent: Watched, name: bytes) -> None:
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
        child = Watched(name, parent, root)
        parent.below[name] = child
        self.pending.append(child)

    def _drop(self, parent: Watched, name: bytes) -> None:
        """A directory is not there any more, nor anything below."""
        top = parent.below.pop(name, None) if parent.below else None
        stack = [top] if top is not None else []
        while stack:
            node = stack.pop()
            self._forget(node)
            if node.below:
                stack += node.below.values()
            node.root = node.parent = node.below = None

    def _forget(self, node: Watched) -> None:
        number, first = node.number, self._by_number.get(node.number)
        node.number = _UNWATCHED
        if first is None:
            return
        if first is not node:
            while first.twin is not None and first.twin is not node:
                first = first.twin
            first.twin = node.twin
        elif node.twin is not None:
            self._by_number[number] = node.twin
        else:
            del self._by_number[number]
            self._kernel.remove(number)
        node.twin = None

    # -- watching --------------------------------------------------------------------------------------------------

    def watch_next(self) -> None:
        """Watch, and list, the next directory of ``pending``. Raises ``Lost`` where the kernel grants no more."""
        node = self.pending.popleft()
        if node.root is None:
            return
        path = node.path()
        try:
            number = self._kernel.add(path)
        except OSError as error:
            self._cannot_watch(node, error)
            return
        node.blind = False
        if node.number != number:  # a directory that is looked at again keeps its watch
            self._forget(node)
            node.number = number
            node.twin = self._by_number.get(number)
            self._by_number[number] = node
        # Only now: before the watch, things could happen in it that nobody heard of.
        node.changed = node.whole = self.now
        if self._is_on_its_file_system(node, path):
            self._list(node, path)

    def _cannot_watch(self, node: Watched, error: OSError) -> None:
        if error.errno == errno.ENOSPC:
            raise Lost("limit")
        self._forget(node)
        if error.errno in _GONE:
            if node.parent is not None:
                node.parent.changed = self.now  # it was moved or removed, of which events will tell
                self._drop(node.parent, node.name)
            return
        node.blind = True

    def _is_on_its_file_system(self, node: Watched, path: bytes) -> bool:
        root = node.root
        assert root is not None
        try:
            stat = os.stat(path, follow_symlinks=False)
        except OSError:
            return True  # moved away already, of which events will tell
        if node.parent is None:
            root.device, root.inode = stat.st_dev, stat.st_ino
            return True
        if root.source.one_file_system and stat.st_dev != root.device:
            self._drop(node.parent, node.name)
            return False
        return True

    def _list(self, node: Watched, path: bytes) -> None:
        try:
            with os.scandir(path) as scan:
                names = [entry.name for entry in scan if entry.is_dir(follow_symlinks=False)]
        except OSError as error:
            node.blind = error.errno not in _GONE
            return
        for name in names:
            if not node.below or name not in node.below:
                self._adopt(node, name)

    # -- answers ---------------------------------------------------------------------------------------------------

    def collect(self, since: int, changes: Changes) -> None:
        """Touch every directory in which something happened at ``since`` or later."""
        for node in self._all():
            if node.changed >= since or node.whole >= since or node.blind:
                changes.touch(os.fsdecode(node.path()), whole=node.blind or node.whole >= since)

    def _all(self) -> Iterator[Watched]:
        stack = [root.top for root in self.roots]
        while stack:
            node = stack.pop()
            yield node
            if node.below:
                stack += node.below.values()
