"""Saves one file: reads it here or hands it to a lane, and fills its entry.

Owns: what happens to a file that must be read. Does not know: scanning, trees.
"""

import os
import stat as st
import threading
from collections.abc import Container, Sequence
from contextlib import suppress
from typing import Protocol

import msgspec

from kinebackup.engine.backup.content import SMALL_FILE_BYTES, Content, LargeFileReader, find_extents, read_small
from kinebackup.engine.backup.parent.carrying import and_kept
from kinebackup.engine.backup.parent.directory import ParentDirectory
from kinebackup.engine.backup.read_ahead import ReadAhead
from kinebackup.engine.backup.run import BackupRun
from kinebackup.engine.backup.stats import BackupStats
from kinebackup.engine.backup.tree_writer import Node, TreeWriter
from kinebackup.engine.format import tree
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, read_attributes, same, take_over_attributes
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.pack_pipeline import Lane, PackPipeline
from kinebackup.engine.repository.tree_reader import data_ids, extents_of
from kinebackup.engine.source import COMPANIONS, Found, LiveCopy, SourceDirectory, is_database
from kinebackup.errors import Damaged
from kinebackup.i18n import _
from kinebackup.model import Problem, ProblemKind


class FoundFile(msgspec.Struct, eq=False):
    """A regular file that is not simply as before. ``name`` as the system takes it; ``names``: those beside it."""

    directory: SourceDirectory
    node: Node
    name: str
    path: str
    entry: Entry
    old: Entry | None
    above: ParentDirectory
    names: Container[str]
    source: str
    doubt: str = ""  # why its content may be of no use, though it was read well


class Saver(Protocol):
    """What the scan does with a file that is not simply as before."""

    def lists_are_there(self, entry: Entry) -> bool:
        """Whether everything that a file with list blobs needs can be counted on."""

    def begin_directory(self, directory: SourceDirectory, coming: Sequence[Found]) -> None:
        """These names of the directory come next, in this order."""

    def end_directory(self) -> None:
        """No further name of it comes."""

    def save(self, file: FoundFile) -> None:
        """Append its entry to the node and see to its content. Raises ``OSError`` where it cannot be opened or read."""


class DrySaver:
    """Counts what would be read, and reads nothing."""

    def __init__(self, stats: BackupStats) -> None:
        self._stats = stats

    def lists_are_there(self, entry: Entry) -> bool:
        return True

    def begin_directory(self, directory: SourceDirectory, coming: Sequence[Found]) -> None:
        pass

    def end_directory(self) -> None:
        pass

    def save(self, file: FoundFile) -> None:
        entry, old, stats = file.entry, file.old, self._stats
        file.node.entries.append(entry)
        stats.files += 1
        stats.bytes += entry.size
        if old is None or old.type != "file":
            stats.new += 1
        elif same(Comparison.WRITTEN, entry, old):
            stats.unmodified += 1
            return
        else:
            stats.changed += 1
        stats.bytes_read += entry.size


class FileSaver:
    """Reads files that are new or changed. ``save`` is for the scan's thread; what it starts ends in a lane."""

    def __init__(
        self, run: BackupRun, packer: PackPipeline, *, reader: BlobReader, writer: TreeWriter, stats: BackupStats
    ) -> None:
        self._trust = run.trust
        self._repository = run.repository
        self._keys = run.repository.keys
        self._index = run.repository.index
        self._cancel = run.cancel
        self._elapsed_s = run.world.elapsed_s
        self._monitor = run.monitor
        self._packer = packer
        self._reader = reader
        self._writer = writer
        self._stats = stats
        self._lock = threading.Lock()  # for the stats: lanes report to it too
        self._by_link: dict[str, Entry] = {}
        self._ahead = ReadAhead()

    def lists_are_there(self, entry: Entry) -> bool:
        """Whether everything that a file with list blobs needs can be counted on."""
        return self._lists_are_there(entry, self._reader)

    def _is_there(self, entry: Entry, reader: BlobReader) -> bool:
        if entry.lists or entry.extent_lists:
            return self._lists_are_there(entry, reader)
        return all(self._index.has(tree.blob_id(text)) for text in entry.blobs)

    def _lists_are_there(self, entry: Entry, reader: BlobReader) -> bool:
        try:
            if not all(self._index.has(tree.blob_id(text)) for text in (*entry.lists, *entry.extent_lists)):
                return False
            extents_of(entry, reader)
            if not all(self._index.has(tree.blob_id(text)) for text in data_ids(entry, reader)):
                return False
        except Damaged:
            return False
        return True

    def begin_directory(self, directory: SourceDirectory, coming: Sequence[Found]) -> None:
        small = [f.name for f in coming if st.S_ISREG(f.stat.st_mode) and f.stat.st_size <= SMALL_FILE_BYTES]
        self._ahead.begin(directory, small)

    def end_directory(self) -> None:
        self._ahead.end()

    def save(self, file: FoundFile) -> None:
        entry, old, node = file.entry, file.old, file.node
        if node.copied and _belongs_to_copy(node, file.name):
            return
        if old is not None and old.copied is not None and self._copy_is_current(file, old):
            node.keep(old)
            self._note_copy(file)
            self._count(old, old, bytes_read=0)
            return
        if entry.link and self._take_from_twin(file):
            return
        ahead = self._ahead.take(file.name)
        fd = file.directory.open_file(file.name) if ahead is None else ahead
        try:
            keep_open = self._save_open(file, fd)
        except BaseException:
            with suppress(OSError):
                os.close(fd)
            raise
        if not keep_open:
            self._close(file, fd)

    def _close(self, file: FoundFile, fd: int) -> None:
        try:
            os.close(fd)
        except OSError as error:  # all of it has been read, but the disk should not do it
            message = _("this file was read, but cannot be closed ({reason})").format(reason=error.strerror)
            self._problem("metadata", file.path, message)

    def _take_from_twin(self, file: FoundFile) -> bool:
        """Another name of an inode that this run has read already."""
        entry, twin = file.entry, self._by_link.get(file.entry.link)
        if twin is None or not same(Comparison.WRITTEN, entry, twin):
            return False
        _fill_entry(entry, _content_of(twin))
        take_over_attributes(entry, twin)
        if twin.uncertain:
            entry.uncertain = True
            self._problem("uncertain", file.path, _("this is another name of a file that is uncertain"))
        file.node.entries.append(entry)
        self._count(entry, file.old, bytes_read=0)
        return True

    def _save_open(self, file: FoundFile, fd: int) -> bool:
        """True: a lane now owns ``fd``."""
        now = os.fstat(fd)
        if not st.S_ISREG(now.st_mode):
            raise FileNotFoundError(file.path)  # replaced by something else since the folder was listed
        for unread in read_attributes(file.entry, file.directory, fd=fd):
            self._problem("metadata", file.path, unread.text)
        name, names = file.name, file.names
        if (f"{name}-wal" in names or f"{name}-journal" in names) and is_database(fd):
            if live := file.directory.live_copy(name):
                self._save_copy(file, live)
                return False
            file.doubt = _("this database is in use and could not be copied; it is saved as it lies on the disk")
        if now.st_size <= SMALL_FILE_BYTES and (now.st_blocks * 512 >= now.st_size or find_extents(fd, now) is None):
            content = read_small(fd, now, keys=self._keys, index=self._index, packer=self._packer)
            if content is not None:
                if not content.steady and is_database(fd) and (live := file.directory.live_copy(name)):
                    self._save_copy(file, live)
                    return False
                self._finish(file, content)
                file.node.entries.append(file.entry)
                return False
        directory = file.directory.duplicate() if is_database(fd) else None
        file.node.entries.append(file.entry)
        self._read_in_lane(file, fd, directory)
        return True

    def _note_copy(self, file: FoundFile) -> None:
        """A database in use: its next change may show nowhere before the program closes it."""
        file.node.copied.add(file.name)
        self._stats.always_rescan.add(os.path.dirname(file.path))

    def _save_copy(self, file: FoundFile, live: LiveCopy) -> None:
        """Read a database's copy instead of the file itself. The caller closes the file; the lane closes the copy."""
        self._note_copy(file)
        file.entry.copied = live.copied
        file.node.entries.append(file.entry)
        try:
            self._read_in_lane(file, live.fd, None)
        except BaseException:
            os.close(live.fd)
            raise

    def _read_in_lane(self, file: FoundFile, fd: int, directory: SourceDirectory | None) -> None:
        """Hand an open file to a lane. ``directory``: its own handle, to copy a database that changes while it is
        read.
        """
        file.node.waiting.add(id(file.entry))

        def close() -> None:
            self._close(file, fd)
            if directory:
                with suppress(OSError):
                    directory.close()

        def read(lane: Lane) -> None:
            try:
                self._read_large(file, fd, directory, lane)
            except OSError as error:
                kept = self._carry(file)
                message = not_readable(error)
                self._problem("unreadable", file.path, and_kept(message) if kept else message)
                self._writer.arrived(file.node, file.entry, drop=not kept)
            else:
                self._writer.arrived(file.node, file.entry)
            finally:
                close()

        try:
            self._packer.run(read, on_drop=close)
        except BaseException:
            if directory:
                directory.close()
            raise

    def _carry(self, file: FoundFile) -> bool:
        """In a lane: let the parent's entry stand in for a file that is in its directory already."""
        old = file.above.as_carried(file.name)
        kept = old is not None and old.type == "file" and self._is_there(old, BlobReader(self._repository))
        if old is not None and kept:
            for member in Entry.__struct_fields__:
                setattr(file.entry, member, getattr(old, member))
            file.entry.link = ""  # its other names may hold something else by now
        with self._lock:
            stats = self._stats
            stats.files_lost += 1
            if kept:
                stats.files += 1
                stats.bytes += file.entry.size
            else:
                stats.files_gone += old is not None and old.type == "file"
                stats.dropped[file.source] += 1
        return kept

    def _read_large(self, file: FoundFile, fd: int, directory: SourceDirectory | None, lane: Lane) -> None:
        reader = LargeFileReader(file.name, self._keys, self._index, self._cancel, self._elapsed_s)
        content = reader.read(fd, lane)
        if not content.steady and directory and (live := directory.live_copy(file.name)):
            file.entry.copied = live.copied
            self._stats.always_rescan.add(os.path.dirname(file.path))
            file.doubt = ""
            try:
                content = reader.read(live.fd, lane)
            finally:
                os.close(live.fd)
        self._finish(file, content)

    def _finish(self, file: FoundFile, content: Content) -> None:
        entry = file.entry
        _fill_entry(entry, content)
        if entry.copied is None and content.stat is not None:
            entry.mtime = tree.bounded_time(content.stat.st_mtime_ns)
            if entry.ctime:  # else there is something to look at again
                entry.ctime = tree.bounded_time(content.stat.st_ctime_ns)
        doubt = (
            file.doubt
            if content.steady
            else _("this file changed each time it was read; it will be read again next time")
        )
        if doubt:
            entry.uncertain = True
            self._problem("uncertain", file.path, doubt)
        if entry.link:
            with self._lock:
                self._by_link[entry.link] = entry
        self._count(entry, file.old, bytes_read=content.bytes_read)

    def _count(self, entry: Entry, old: Entry | None, *, bytes_read: int) -> None:
        with self._lock:
            stats = self._stats
            stats.files += 1
            stats.bytes += entry.size
            stats.bytes_read += bytes_read
            if old is None or old.type != "file":
                stats.new += 1
            elif entry == old:
                stats.unmodified += 1
            else:
                stats.changed += 1
        self._monitor.advance(files=1, size_bytes=entry.size)

    def _problem(self, kind: ProblemKind, path: str, message: str) -> None:
        problem = Problem(kind, path, message)
        with self._lock:
            self._stats.problems.append(problem)
        self._monitor.problem(problem)

    def _copy_is_current(self, file: FoundFile, old: Entry) -> bool:
        """Whether neither a copied database nor its write-ahead log changed, and the copy's blobs are there."""
        entry = file.entry
        assert old.copied is not None
        if (
            old.copied.by != tree.COPIED_BY
            or old.copied.size != entry.size
            or not same(Comparison.UNTOUCHED, entry, old)
        ):
            return False
        try:
            wal = os.stat(f"{file.name}-wal", dir_fd=file.directory.fd, follow_symlinks=False)
            if (wal.st_size, tree.bounded_time(wal.st_mtime_ns)) != (old.copied.wal_size, old.copied.wal_mtime):
                return False
            if not self._trust.proves(wal.st_mtime_ns):
                return False
        except OSError:
            if old.copied.wal_size:
                return False
        return self.lists_are_there(old)


def not_readable(error: OSError) -> str:
    """What is said of a file, or of its attributes."""
    return _("this file cannot be read ({reason})").format(reason=error.strerror)


def take_out_companions(node: Node) -> list[Entry]:
    """What the parent had beside databases that have been copied now: SQLite would apply it to the copy."""
    stale = [e for e in node.entries if e.type == "file" and _belongs_to_copy(node, e.path_name)] if node.copied else []
    if stale:
        node.entries[:] = [entry for entry in node.entries if not any(entry is other for other in stale)]
    return stale


def _belongs_to_copy(node: Node, name: str) -> bool:
    return any(name.endswith(suffix) and name.removesuffix(suffix) in node.copied for suffix in COMPANIONS)


def _fill_entry(entry: Entry, content: Content) -> None:
    entry.size = content.size
    entry.blobs = content.blobs
    entry.lists = content.lists
    entry.extents = content.extents
    entry.extent_lists = content.extent_lists


def _content_of(entry: Entry) -> Content:
    """The content of another name of the same inode."""
    return Content(
        entry.size,
        steady=True,
        blobs=entry.blobs,
        lists=entry.lists,
        extents=entry.extents,
        extent_lists=entry.extent_lists,
    )
