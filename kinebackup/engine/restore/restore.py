"""Bringing a snapshot, or parts of it, back below a destination.

Owns: which entries, directories and their times, hard links, what already exists. Does not know: how one entry is
written.

The caller's thread walks the snapshot and makes directories; workers write the files of one directory after another, so
that neighbours in a segment are read by one worker. A directory gets its own mode and times when all else is done.
"""

import hashlib
import os
import queue
import stat as st
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import itemgetter
from typing import Literal

import msgspec

from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, Refused, apply, matches
from kinebackup.engine.place import Opened
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.tree_reader import TreeReader, Way
from kinebackup.engine.restore.destination import Destination
from kinebackup.engine.restore.entry_writer import EntryWriter, replace_by_link, stops_restore
from kinebackup.engine.restore.selection import Selection
from kinebackup.errors import Damaged, KineError
from kinebackup.i18n import _
from kinebackup.model import CancelToken, Monitor, Problem, RestoreReport

Overwrite = Literal["never", "if-changed", "always"]

WORKERS = 2
_BATCH_FILES = 64
_WAITING_BATCHES = 8


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What to bring back, and where. ``wanted``: what was found in the snapshot; none means everything."""

    snapshot: NamedSnapshot
    wanted: Sequence[Way]
    destination: str
    overwrite: Overwrite = "never"
    dry_run: bool = False
    as_root: bool = False


@dataclass(slots=True)
class _Counts:
    restored: int = 0
    skipped: int = 0
    bytes: int = 0
    problems: list[Problem] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Batch:
    """Entries of one directory, for one worker. ``fresh``: this run made the directory, so nothing lies in it yet."""

    path: str
    entries: list[Entry]
    fresh: bool


class Restore:
    """One run."""

    def __init__(
        self, repository: LoadedRepository, request: RestoreRequest, *, cancel: CancelToken, monitor: Monitor
    ) -> None:
        self._repository = repository
        self._request = request
        self._cancel = cancel
        self._monitor = monitor
        self._trees = TreeReader(BlobReader(repository), self._report)
        self._counts = _Counts()
        self._lock = threading.Lock()
        self._queue: queue.Queue[_Batch | None] = queue.Queue(_WAITING_BATCHES)
        self._directories: list[tuple[str, Entry]] = []
        self._links: dict[bytes, str] = {}  # the name that is written; the others are linked to it when all is written
        self._foreign: set[str] = set()
        self._later: list[tuple[str, Entry]] = []
        self._error: BaseException | None = None

    def run(self, elapsed_s: Callable[[], float]) -> RestoreReport:
        """Raises ``KineError`` for a destination that is full."""
        began = elapsed_s()
        counts = self._request.snapshot.snapshot.counts
        selection = Selection.of(self._request.wanted)
        known = selection.whole
        self._monitor.phase("restore", files=counts.files if known else 0, size_bytes=counts.bytes if known else 0)
        if self._request.dry_run:
            self._count_only(selection)
        else:
            self._restore(selection)
        found = self._counts
        return RestoreReport(
            found.restored, found.skipped, found.bytes, elapsed_s() - began, problems=tuple(found.problems)
        )

    def _count_only(self, selection: Selection) -> None:
        for path, entries in self._directories_of(selection, lambda _path, _entry: True):
            for entry in entries:
                if entry.type != "file":
                    continue
                try:
                    there = os.lstat(os.path.join(self._request.destination, path, entry.path_name))
                except OSError:
                    there = None
                if there is not None and self._stays(there, entry):
                    self._counts.skipped += 1
                else:
                    self._counts.restored += 1
                    self._counts.bytes += entry.size

    def _restore(self, selection: Selection) -> None:
        self._destination = Destination(self._request.destination)
        workers = [threading.Thread(target=self._work, name=f"restore-{n}", daemon=True) for n in range(WORKERS)]
        for worker in workers:
            worker.start()
        try:
            self._hand_out(selection)
        except BaseException as error:  # noqa: BLE001 - raised again below, once the workers have stopped
            self._fail(error)
        for _worker in workers:
            self._queue.put(None)
        for worker in workers:
            worker.join()
        try:
            self._finish_links()
        except (KineError, OSError) as error:
            self._fail(error)
        try:
            self._finish_directories()
        finally:
            self._destination.close()
        if self._error is not None:
            raise self._error

    # -- walking -------------------------------------------------------------------------------------------------

    def _directories_of(
        self, selection: Selection, enter: Callable[[str, Entry], bool]
    ) -> Iterator[tuple[str, list[Entry]]]:
        """(path, entries that are not directories) of each directory on the way to, or below, what is wanted."""
        stack: list[tuple[str, Sequence[str], Selection]] = [("", self._request.snapshot.snapshot.root, selection)]
        while stack:
            path, ids, here = stack.pop()
            entries = here.entries_of(ids, path, self._trees)
            yield path, [e for e in entries if e.type != "dir"]
            below = [(_join(path, e.path_name), e) for e in entries if e.type == "dir"]
            stack += [(p, e.tree, here.of_directory(e)) for p, e in reversed(below) if enter(p, e)]

    def _hand_out(self, selection: Selection) -> None:
        fresh: dict[str, bool] = {"": False}

        def enter(path: str, entry: Entry) -> bool:
            parent, _slash, name = path.rpartition("/")
            try:
                fresh[path] = self._destination.make(parent, name)
            except OSError as error:
                if stops_restore(error):
                    raise
                self._report(Problem("exists", f"/{path}", _("something else is in the place of this folder")))
                return False
            self._directories.append((path, entry))
            return True

        for path, entries in self._directories_of(selection, enter):
            is_fresh = fresh.pop(path, False)
            for entry in entries:
                if entry.link:  # the same name in each run: a run that goes on finds what an earlier one wrote
                    self._links.setdefault(_inode_of(entry), _join(path, entry.path_name))
            for at in range(0, len(entries), _BATCH_FILES):
                self._check()
                self._queue.put(_Batch(path, entries[at : at + _BATCH_FILES], is_fresh))

    # -- writing -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        reader = BlobReader(self._repository)
        while (batch := self._queue.get()) is not None:
            if self._error is not None:
                continue
            try:
                self._write_batch(batch, reader)
            except BaseException as error:  # noqa: BLE001 - raised by the caller's thread
                self._fail(error)

    def _write_batch(self, batch: _Batch, reader: BlobReader) -> None:
        try:
            directory = self._destination.open(batch.path)
        except OSError as error:
            self._not_opened(batch.path, error)
            return
        try:
            for entry in batch.entries:
                self._check()
                path = _join(batch.path, entry.path_name)
                if not batch.fresh and self._keeps_existing(directory, entry, path):
                    continue
                if entry.link and not self._is_first_link(entry, path):
                    continue
                self._write_entry(directory, entry, path, reader)
        finally:
            os.close(directory)

    def _not_opened(self, path: str, error: OSError) -> None:
        if stops_restore(error):
            raise error
        self._report(Problem("not-restored", f"/{path}", _folder_not_opened(error)))

    def _is_first_link(self, entry: Entry, path: str) -> bool:
        if self._links[_inode_of(entry)] == path:
            return True
        with self._lock:
            self._later.append((path, entry))
        return False

    def _write_entry(self, directory: int, entry: Entry, path: str, reader: BlobReader) -> None:
        writer = EntryWriter(
            reader, cancel=self._cancel, as_root=self._request.as_root, refused=partial(self._refused, path)
        )
        try:
            size = writer.write(directory, entry.path_name, entry)
        except Damaged as error:
            self._report(Problem("damaged", f"/{path}", error.message))
            return
        except OSError as error:
            if stops_restore(error):
                raise
            self._report(
                Problem(
                    "not-restored", f"/{path}", _("the destination refused it ({reason})").format(reason=error.strerror)
                )
            )
            return
        with self._lock:
            if entry.type == "file":
                self._counts.restored += 1
                self._counts.bytes += size
        self._monitor.advance(files=1, size_bytes=size)

    def _keeps_existing(self, directory: int, entry: Entry, path: str) -> bool:
        """Whether what lies there already stays, by ``--overwrite``."""
        try:
            there = os.stat(entry.path_name, dir_fd=directory, follow_symlinks=False)
        except FileNotFoundError:
            return False
        if st.S_ISDIR(there.st_mode):
            self._report(Problem("exists", f"/{path}", _("a folder is in the place of this file")))
            return True
        same = _same_file(there, entry)
        keep = self._stays(there, entry)
        if keep:
            with self._lock:
                self._counts.skipped += entry.type == "file"
                if not same:
                    self._foreign.add(path)
            self._monitor.advance(files=1)
        return keep

    def _stays(self, there: os.stat_result, entry: Entry) -> bool:
        """What ``--overwrite`` says of a file that is there already."""
        overwrite = self._request.overwrite
        return overwrite == "never" or (overwrite == "if-changed" and _same_file(there, entry))

    def _finish_links(self) -> None:
        """Further names of files that are already there; where that fails, the content is written again."""
        reader = BlobReader(self._repository)
        for path, entry in sorted(self._later, key=itemgetter(0)) if self._error is None else ():
            self._check()
            parent, _slash, name = path.rpartition("/")
            try:
                directory = self._destination.open(parent)
            except OSError as error:
                self._not_opened(parent, error)
                continue
            try:
                self._finish_link(directory, name, path, entry, reader)
            finally:
                os.close(directory)

    def _finish_link(self, directory: int, name: str, path: str, entry: Entry, reader: BlobReader) -> None:
        first = self._links[_inode_of(entry)]
        if first in self._foreign or not self._link(first, directory, name):
            self._write_entry(directory, entry, path, reader)
            self._links[_inode_of(entry)] = path
            return
        if entry.type == "file":
            self._counts.restored += 1
        self._monitor.advance(files=1)

    def _link(self, first: str, directory: int, name: str) -> bool:
        parent, _slash, first_name = first.rpartition("/")
        try:
            source = self._destination.open(parent)
        except OSError:
            return False
        try:
            replace_by_link(source, first_name, directory, name)
        except OSError:
            return False
        else:
            return True
        finally:
            os.close(source)

    def _finish_directories(self) -> None:
        """Modes and times of directories, the deepest first: writing into one would change its time again."""
        for path, entry in reversed(self._directories):
            try:
                fd = self._destination.open(path)
            except OSError as error:
                self._report(Problem("metadata", f"/{path}", _folder_not_opened(error)))
                continue
            try:
                apply(entry, Opened(fd), as_root=self._request.as_root, refused=partial(self._refused, path))
            finally:
                os.close(fd)

    def _refused(self, path: str, refused: Refused) -> None:
        self._report(Problem("metadata", f"/{path}", refused.text))

    # -- what happened -------------------------------------------------------------------------------------------

    def _check(self) -> None:
        self._cancel.check()
        if self._error is not None:
            raise self._error

    def _fail(self, error: BaseException) -> None:
        if isinstance(error, OSError) and stops_restore(error):
            left = self._request.snapshot.snapshot.counts.files - self._counts.restored - self._counts.skipped
            stopped = KineError(
                _("the destination cannot take more ({reason}); about {count} files are still missing").format(
                    reason=error.strerror, count=left
                ),
                _(
                    "make room there, or choose another place, and run the same command again: "
                    "it goes on where it stopped"
                ),
            )
            stopped.__cause__ = error
            error = stopped
        with self._lock:
            self._error = self._error or error

    def _report(self, problem: Problem) -> None:
        if problem.kind == "damaged":
            problem = Problem(problem.kind, problem.path, problem.message, (self._request.snapshot.id,))
        with self._lock:
            self._counts.problems.append(problem)
        self._monitor.problem(problem)


def _inode_of(entry: Entry) -> bytes:
    """The same for entries that are to be one inode: of one ``link``, and alike in all but the name.

    ``link`` alone does not do: an inode's number is given to another file once the first is deleted, a device's after
    a restart. Linked to the wrong one, a file would come back with another's content.
    """
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(entry, name="", rawname=""))).digest()


def _same_file(there: os.stat_result, entry: Entry) -> bool:
    return entry.type == "file" and matches(Comparison.ALREADY_RESTORED, entry, there)


def _folder_not_opened(error: OSError) -> str:
    return _("the destination's folder cannot be opened ({reason})").format(reason=error.strerror)


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name


def restore_snapshot(
    repository: LoadedRepository,
    request: RestoreRequest,
    elapsed_s: Callable[[], float],
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> RestoreReport:
    """Bring back what the request names. ``repository.load`` has been called; no lock is needed."""
    return Restore(repository, request, cancel=cancel, monitor=monitor).run(elapsed_s)
