"""Saves one file: reads it here or hands it to a lane, and fills its entry.

Owns: what happens to a file that must be read, the counts of a run. Does not know: walking, trees.
"""

import base64
import os
import stat as st
import threading
from collections.abc import Set
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from kinebackup.archive import tree
from kinebackup.archive.chunker import SQLITE_MAGIC
from kinebackup.archive.content import SMALL_FILE_BYTES, Content, LargeFileReader, find_extents, read_small
from kinebackup.archive.format import Kind
from kinebackup.archive.packer import Lane, Packer
from kinebackup.archive.repository import BlobReader, Repository
from kinebackup.archive.source import LiveCopy, SourceDirectory
from kinebackup.archive.tree import Entry
from kinebackup.archive.tree_writer import Node, TreeWriter
from kinebackup.errors import Damaged, KineError
from kinebackup.model import CancelToken, Monitor, Problem, ProblemKind

# What SQLite keeps beside a database in use. A copy made by its own means contains what they hold.
COMPANIONS = ("-wal", "-shm", "-journal")


@dataclass(slots=True)
class Tally:
    """Counts of a run; ``files`` and ``bytes`` are of the new snapshot, the others compare it with the parent."""

    files: int = 0
    dirs: int = 0
    others: int = 0
    bytes: int = 0
    new: int = 0
    changed: int = 0
    unmodified: int = 0
    removed: int = 0
    bytes_read: int = 0
    files_by_source: dict[str, int] = field(default_factory=dict)
    uids: set[int] = field(default_factory=set)
    gids: set[int] = field(default_factory=set)
    problems: list[Problem] = field(default_factory=list)


def encode_xattrs(values: dict[str, bytes]) -> dict[str, str] | None:
    """As an entry keeps them."""
    return {name: base64.b64encode(value).decode("ascii") for name, value in sorted(values.items())} or None


class Saver(Protocol):
    """What the walker does with a file that is not simply as before."""

    def lists_are_there(self, entry: Entry) -> bool:
        """Whether everything that a file with list blobs needs can be counted on."""

    def save(
        self,
        directory: SourceDirectory,
        node: Node,
        entry: Entry,
        *,
        old: Entry | None,
        path: str,
        names: Set[str],
    ) -> None:
        """Append the entry to the node and see to its content; ``names``: all names of the directory."""


class DrySaver:
    """Counts what would be read, and reads nothing."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally

    def lists_are_there(self, entry: Entry) -> bool:
        return True

    def save(
        self,
        directory: SourceDirectory,
        node: Node,
        entry: Entry,
        *,
        old: Entry | None,
        path: str,
        names: Set[str],
    ) -> None:
        tally = self._tally
        tally.files += 1
        tally.bytes += entry.size
        if old is None or old.type != "file":
            tally.new += 1
        elif (old.ctime, old.mtime, old.size) == (entry.ctime, entry.mtime, entry.size):
            tally.unmodified += 1
            return
        else:
            tally.changed += 1
        tally.bytes_read += entry.size


class FileSaver:
    """Reads files that are new or changed. ``save`` is for the walker's thread; what it starts ends in a lane."""

    def __init__(
        self,
        *,
        repository: Repository,
        reader: BlobReader,
        packer: Packer,
        writer: TreeWriter,
        tally: Tally,
        cancel: CancelToken,
        monitor: Monitor,
    ) -> None:
        self._keys = repository.keys
        self._index = repository.index
        self._reader = reader
        self._packer = packer
        self._writer = writer
        self._tally = tally
        self._cancel = cancel
        self._monitor = monitor
        self._lock = threading.Lock()  # for the tally: lanes report to it too
        self._by_link: dict[str, Entry] = {}

    def lists_are_there(self, entry: Entry) -> bool:
        """Whether everything that a file with list blobs needs can be counted on."""
        try:
            for text in entry.lists:
                blob_id = tree.blob_id(text)
                if not self._index.has(blob_id):
                    return False
                ids = tree.decode_ids(bytes(self._reader.read(Kind.LIST, blob_id)))
                if not all(self._index.has(tree.blob_id(data)) for data in ids):
                    return False
        except Damaged:
            return False
        return True

    def save(
        self,
        directory: SourceDirectory,
        node: Node,
        entry: Entry,
        *,
        old: Entry | None,
        path: str,
        names: Set[str],
    ) -> None:
        """Append the entry to the node and see to its content; ``names``: all names of the directory. Raises ``OSError`` where the file cannot be opened or read."""
        name = entry.path_name
        if self._belongs_to_copy(node, name):
            return
        if old is not None and old.copied is not None and self._copy_is_current(directory, old, entry):
            node.entries.append(old)
            node.copied.add(name)
            self._count(old, old, bytes_read=0)
            return
        twin = self._by_link.get(entry.link) if entry.link else None
        if twin is not None and (twin.ctime, twin.mtime, twin.size) == (entry.ctime, entry.mtime, entry.size):
            _fill_entry(entry, _content_of(twin))
            entry.xattrs = twin.xattrs
            self._append(node, entry)
            self._count(entry, old, bytes_read=0)
            return
        fd = directory.open_file(name)
        try:
            keep_open = self._save_open(directory, node, entry, old, path, names, fd)
        except BaseException:
            os.close(fd)
            raise
        if not keep_open:
            os.close(fd)

    def _save_open(
        self,
        directory: SourceDirectory,
        node: Node,
        entry: Entry,
        old: Entry | None,
        path: str,
        names: Set[str],
        fd: int,
    ) -> bool:
        """True: a lane now owns ``fd``."""
        now = os.fstat(fd)
        if not st.S_ISREG(now.st_mode):
            raise FileNotFoundError(path)  # replaced by something else since the folder was listed
        entry.xattrs = encode_xattrs(directory.xattrs(None, fd))
        in_use = any(entry.path_name + suffix in names for suffix in COMPANIONS)
        if in_use and (live := self._live_copy(directory, entry, fd)):
            return self._save_copy(node, entry, old, path, live)
        if now.st_size <= SMALL_FILE_BYTES and find_extents(fd, now) is None:
            content = read_small(fd, now, keys=self._keys, index=self._index, packer=self._packer)
            if content is not None:
                if not content.steady and (live := self._live_copy(directory, entry, fd)):
                    return self._save_copy(node, entry, old, path, live)
                self._finish(entry, old, path, content, os.fstat(fd))
                self._append(node, entry)
                return False
        self._append(node, entry)
        kept = directory.duplicate() if os.pread(fd, len(SQLITE_MAGIC), 0) == SQLITE_MAGIC else None
        self._read_in_lane(node, entry, old, path, fd, kept)
        return True

    def _append(self, node: Node, entry: Entry) -> None:
        node.entries.append(entry)
        node.reusable = False  # where all turns out as before, the same tree has the same id and is not stored again

    def _live_copy(self, directory: SourceDirectory, entry: Entry, fd: int) -> LiveCopy | None:
        if os.pread(fd, len(SQLITE_MAGIC), 0) != SQLITE_MAGIC:
            return None
        return directory.live_copy(entry.path_name)

    def _save_copy(self, node: Node, entry: Entry, old: Entry | None, path: str, live: LiveCopy) -> bool:
        """Read a database's copy instead of the file itself. The caller closes the file; the lane closes the copy."""
        node.copied.add(entry.path_name)
        entry.copied = live.copied
        self._append(node, entry)
        self._read_in_lane(node, entry, old, path, live.fd, None)
        return False

    def _read_in_lane(
        self, node: Node, entry: Entry, old: Entry | None, path: str, fd: int, directory: SourceDirectory | None
    ) -> None:
        node.waiting.add(id(entry))
        reader = LargeFileReader(entry.path_name, self._keys, self._index, self._cancel)

        def read(lane: Lane) -> None:
            try:
                content, stat = reader.read(fd, lane), os.fstat(fd)
                if not content.steady and directory and (live := directory.live_copy(entry.path_name)):
                    entry.copied = live.copied
                    try:
                        content = reader.read(live.fd, lane)
                    finally:
                        os.close(live.fd)
                self._finish(entry, old, path, content, stat)
                self._writer.arrived(node, entry)
            except OSError as error:
                self._problem("unreadable", path, f"this file cannot be read ({error.strerror})")
                self._writer.arrived(node, entry, drop=True)
            finally:
                with suppress(OSError):
                    os.close(fd)
                if directory:
                    directory.close()

        try:
            self._packer.run(read)
        except KineError:
            if directory:
                directory.close()
            raise

    def _finish(self, entry: Entry, old: Entry | None, path: str, content: Content, stat: os.stat_result) -> None:
        _fill_entry(entry, content)
        if entry.copied is None:
            entry.mtime, entry.ctime = stat.st_mtime_ns, stat.st_ctime_ns
        if not content.steady:
            entry.uncertain = True
            self._problem("uncertain", path, "this file changed each time it was read; it will be read again next time")
        if entry.link:
            with self._lock:
                self._by_link[entry.link] = entry
        self._count(entry, old, bytes_read=content.bytes_read)

    def _count(self, entry: Entry, old: Entry | None, *, bytes_read: int) -> None:
        with self._lock:
            tally = self._tally
            tally.files += 1
            tally.bytes += entry.size
            tally.bytes_read += bytes_read
            if old is None or old.type != "file":
                tally.new += 1
            elif entry == old:
                tally.unmodified += 1
            else:
                tally.changed += 1
        self._monitor.advance(files=1, size_bytes=entry.size)

    def _problem(self, kind: ProblemKind, path: str, message: str) -> None:
        problem = Problem(kind, path, message)
        with self._lock:
            self._tally.problems.append(problem)
        self._monitor.problem(problem)

    def _belongs_to_copy(self, node: Node, name: str) -> bool:
        return any(name.endswith(suffix) and name.removesuffix(suffix) in node.copied for suffix in COMPANIONS)

    def _copy_is_current(self, directory: SourceDirectory, old: Entry, entry: Entry) -> bool:
        """Whether neither a copied database nor its write-ahead log changed, and the copy's blobs are there."""
        assert old.copied is not None
        if (old.ctime, old.mtime, old.inode, old.copied.size) != (entry.ctime, entry.mtime, entry.inode, entry.size):
            return False
        try:
            wal = os.stat(f"{entry.path_name}-wal", dir_fd=directory.fd, follow_symlinks=False)
            if (wal.st_size, wal.st_mtime_ns) != (old.copied.wal_size, old.copied.wal_mtime):
                return False
        except OSError:
            if old.copied.wal_size:
                return False
        return self.lists_are_there(old) and all(self._index.has(tree.blob_id(text)) for text in old.blobs)


def _fill_entry(entry: Entry, content: Content) -> None:
    entry.size = content.size
    entry.blobs = content.blobs
    entry.lists = content.lists
    entry.extents = content.extents


def _content_of(entry: Entry) -> Content:
    """The content of another name of the same inode."""
    return Content(entry.size, steady=True, blobs=entry.blobs, lists=entry.lists, extents=entry.extents)
