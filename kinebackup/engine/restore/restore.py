"""Bringing a snapshot, or parts of it, back below a destination.

Owns: the run: its threads, what already exists. Does not know: which entries, in which order (selection.py), how one is
written (entry_writer.py), when a file gets its name (publisher.py), which names are one file (links.py), folders
(folders.py).

The caller's thread walks the snapshot and makes directories; workers write the files of one directory after another, so
that neighbours in a segment are read by one worker.
"""

import os
import queue
import stat as st
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

import msgspec

from kinebackup.engine.environment import Names
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.tree_reader import TreeReader, Way
from kinebackup.engine.restore.attributes import Refused
from kinebackup.engine.restore.destination import Destination, Folder
from kinebackup.engine.restore.entry_writer import EntryWriter, refused_by_destination, stops_restore
from kinebackup.engine.restore.existing import Overwrite, is_as_saved, left_alone, stays
from kinebackup.engine.restore.folders import Folders, not_opened
from kinebackup.engine.restore.links import HardLinks, Later
from kinebackup.engine.restore.names import temporary_name
from kinebackup.engine.restore.owners import Owners
from kinebackup.engine.restore.protected import ProtectedFiles
from kinebackup.engine.restore.publisher import Publisher, Target, Written, renamed
from kinebackup.engine.restore.salvage import salvage
from kinebackup.engine.restore.selection import Batch, Selection, Walk, join
from kinebackup.errors import Damaged, KineError
from kinebackup.i18n import _
from kinebackup.model import CancelToken, Monitor, Problem, RestoreReport, Salvaged

WORKERS = 2
_WAITING_BATCHES = 8


@dataclass(frozen=True, slots=True)
class RestoreRequest:
    """What to bring back, and where. ``wanted``: what was found in the snapshot; none means everything.

    ``as_root``: owners can be set: by the ``names`` of this computer, or where it is None by number.
    ``salvage``: of damaged files what is sound, beside where they would be.
    """

    snapshot: NamedSnapshot
    wanted: Sequence[Way]
    destination: str
    overwrite: Overwrite = "never"
    dry_run: bool = False
    as_root: bool = False
    names: Names | None = None
    salvage: bool = False


class _Counts(msgspec.Struct):
    restored: int = 0
    skipped: int = 0
    bytes: int = 0
    problems: list[Problem] = []
    salvaged: list[Salvaged] = []


class Restore:
    """One run."""

    def __init__(
        self,
        repository: LoadedRepository,
        request: RestoreRequest,
        *,
        cancel: CancelToken,
        monitor: Monitor,
        destination: Callable[[str], Destination] = Destination,
    ) -> None:
        """``destination`` opens the folder that is written below."""
        self._repository = repository
        self._request = request
        self._cancel = cancel
        self._monitor = monitor
        self._open_destination = destination
        self._trees = TreeReader(BlobReader(repository), self._report)
        self._counts = _Counts()
        self._owners = Owners(request.snapshot.snapshot, request.names if request.as_root else None)
        self._writer = partial(EntryWriter, cancel=cancel, as_root=request.as_root, owners=self._owners)
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._queue: queue.Queue[Batch | None] = queue.Queue(_WAITING_BATCHES)
        self._devices: set[int] = set()
        self._error: BaseException | None = None

    def run(self, elapsed_s: Callable[[], float]) -> RestoreReport:
        """Raises ``KineError`` for a destination that is full. What is reported is on the disk."""
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
            found.restored,
            found.skipped,
            found.bytes,
            elapsed_s() - began,
            problems=tuple(found.problems),
            owners_by_number=self._owners.by_number,
            salvaged=tuple(sorted(found.salvaged, key=attrgetter("path"))),
            folders_lost=self._trees.lists_lost,
        )

    def _count_only(self, selection: Selection) -> None:
        nowhere = Folder("", device=0)
        for batch in self._batches(selection, nowhere, lambda *_names: nowhere):
            self._cancel.check()
            for entry in batch.entries:
                if entry.type != "file":
                    continue
                path = join(batch.path, entry.path_name)
                try:
                    there = os.lstat(os.path.join(self._request.destination, path))
                except OSError:
                    there = None
                if there is not None and self._is_kept(is_as_saved(there, entry, str), path):
                    self._counts.skipped += 1
                else:
                    self._counts.restored += 1
                    self._counts.bytes += entry.size

    def _restore(self, selection: Selection) -> None:
        self._destination = self._open_destination(self._request.destination)
        self._publisher = Publisher(self._destination, published=self._published, problem=self._report)
        self._links = HardLinks(self._destination, self._repository)
        self._protected = ProtectedFiles(self._destination, self._refused)
        self._folders = Folders(self._destination, self._owners, as_root=self._request.as_root, problem=self._report)
        workers = [threading.Thread(target=self._work, name=f"restore-{n}", daemon=True) for n in range(WORKERS)]
        for worker in workers:
            worker.start()
        self._attempt(partial(self._hand_out, selection))
        for _worker in workers:
            self._queue.put(None)
        for worker in workers:
            worker.join()
        self._attempt(self._finish_files)
        self._attempt(self._protected.finish)
        self._attempt(self._folders.finish)
        if self._error is None:
            self._attempt(partial(self._destination.sync, self._devices))
        self._destination.close()
        if self._error is not None:
            raise self._told(self._error)

    def _attempt(self, step: Callable[[], None]) -> None:
        try:
            step()
        except BaseException as error:  # noqa: BLE001 - raised once what was begun is put in order
            self._fail(error)

    def _hand_out(self, selection: Selection) -> None:
        top = self._destination.top()
        self._devices.add(top.device)
        for batch in self._batches(selection, top, self._enter):
            for entry in batch.entries:
                if entry.link:  # the same name in each run: a run that goes on finds what an earlier one wrote
                    self._links.note(entry, join(batch.path, entry.path_name))
            self._check()
            self._queue.put(batch)

    def _batches(
        self, selection: Selection, top: Folder, enter: Callable[[Folder, str, Entry], Folder | None]
    ) -> Iterator[Batch]:
        return Walk(self._trees, enter).batches(self._request.snapshot.snapshot.root, selection, top)

    def _enter(self, above: Folder, path: str, entry: Entry) -> Folder | None:
        self._check()
        folder = self._folders.enter(above, path, entry)
        if folder is not None:
            self._devices.add(folder.device)
        return folder

    # -- writing -------------------------------------------------------------------------------------------------

    def _work(self) -> None:
        reader = BlobReader(self._repository)
        while (batch := self._queue.get()) is not None:
            if self._error is None:
                self._attempt(partial(self._write_batch, batch, reader))

    def _write_batch(self, batch: Batch, reader: BlobReader) -> None:
        folder = batch.folder
        try:
            directory = self._destination.open(folder.at)
        except OSError as error:
            self._not_opened(batch.path, error)
            return
        writer = self._writer(reader, inherits_acl=folder.inherits_acl)
        try:
            for entry in batch.entries:
                self._check()
                path = join(batch.path, entry.path_name)
                target = self._target(directory, folder, entry, path)
                if target is None:
                    continue
                if folder.is_closed:
                    self._report(Problem("not-restored", f"/{path}", _("nothing can be renamed in its folder here")))
                    continue
                if entry.link and not self._links.is_first(entry, path):
                    self._links.put_off(Later(path, target, entry))
                    continue
                self._write_entry(directory, target, entry, path, writer)
        finally:
            os.close(directory)

    def _not_opened(self, path: str, error: OSError) -> None:
        if stops_restore(error):
            raise error
        self._report(Problem("not-restored", f"/{path}", not_opened(error)))

    def _write_entry(self, directory: int, target: Target, entry: Entry, path: str, writer: EntryWriter) -> None:
        refused = partial(self._refused, path)
        temporary = temporary_name(self._pid)
        try:
            size = writer.write(directory, temporary, entry, refused)
        except Damaged as error:
            self._report(Problem("damaged", f"/{path}", error.message))
            if self._request.salvage and entry.type == "file":
                salvaged = salvage(writer, directory, target, entry, path, self._publisher, self._report, refused)
                self._counts.salvaged.extend(salvaged)
            return
        except OSError as error:
            if stops_restore(error):
                raise
            self._report(refused_by_destination(path, error))
            return
        self._publisher.add(Written(target, temporary, entry, path, size))
        self._monitor.advance(files=1, size_bytes=size)

    def _published(self, written: Written, directory: int, name: str) -> None:
        entry = written.entry
        if not written.sound:
            return
        if entry.type == "file":
            with self._lock:
                self._counts.restored += 1
                self._counts.bytes += written.size
        if entry.link:
            self._links.found(entry, directory, written.target.folder.at, name, written=True)
        self._protected.note(written.path, written.target.folder.at, name, entry)

    def _target(self, directory: int, folder: Folder, entry: Entry, path: str) -> Target | None:
        """The name to be written; None where what lies there stays, by ``--overwrite``."""
        name = folder.name_of(entry.path_name)
        new = Target(folder, name, replaces=False)
        if not folder.had(name):
            return new
        try:
            there = os.stat(name, dir_fd=directory, follow_symlinks=False)
        except OSError:  # a name that cannot be had is told when it is given
            return new
        if st.S_ISDIR(there.st_mode):
            self._report(Problem("exists", f"/{path}", _("a folder is in the place of this file")))
            return None
        as_saved = is_as_saved(there, entry, lambda: os.readlink(name, dir_fd=directory))
        if not self._is_kept(as_saved, path):
            return Target(folder, name, replaces=True)
        if name != entry.path_name:
            self._report(renamed(path, name, "earlier"))
        if entry.link and as_saved:
            self._links.found(entry, directory, folder.at, name, written=False)
        with self._lock:
            self._counts.skipped += entry.type == "file"
        self._monitor.advance(files=1)
        return None

    def _is_kept(self, as_saved: bool, path: str) -> bool:
        """Whether what lies there stays; that it is not what was saved is told."""
        if not stays(self._request.overwrite, as_saved=as_saved):
            return False
        if not as_saved:
            self._report(left_alone(path))
        return True

    # -- finishing -----------------------------------------------------------------------------------------------

    def _finish_files(self) -> None:
        """What is whole gets its name, as far as the disk can still take it; then come further names of the same."""
        if self._error is not None and not _is_of_destination(self._error):
            self._publisher.discard()
            return
        self._publisher.flush()
        if self._error is None:
            reader = BlobReader(self._repository)
            for later in self._links.put_off_names():
                self._check()
                self._finish_link(later, reader)
            self._publisher.flush()

    def _finish_link(self, later: Later, reader: BlobReader) -> None:
        path, target, entry = later.path, later.target, later.entry
        temporary = temporary_name(self._pid)
        try:
            directory = self._destination.open(target.folder.at)
        except OSError as error:
            self._not_opened(path.rpartition("/")[0], error)
            return
        try:
            link = self._links.link(entry, directory, temporary, reader)
            if link.made:
                self._publisher.name(Written(target, temporary, entry, path, size=0))
                self._monitor.advance(files=1)
                return
            writer = self._writer(reader, inherits_acl=target.folder.inherits_acl)
            self._write_entry(directory, target, entry, path, writer)
        finally:
            os.close(directory)
        if link.is_next_first:
            self._publisher.flush()

    def _refused(self, path: str, refused: Refused) -> None:
        self._report(Problem("metadata", f"/{path}", refused.text))

    # -- what happened -------------------------------------------------------------------------------------------

    def _check(self) -> None:
        self._cancel.check()
        if self._error is not None:
            raise self._error

    def _fail(self, error: BaseException) -> None:
        with self._lock:
            self._error = self._error or error

    def _told(self, error: BaseException) -> BaseException:
        if not _is_of_destination(error):
            return error
        left = self._request.snapshot.snapshot.counts.files - self._counts.restored - self._counts.skipped
        stopped = KineError(
            _("the destination cannot take more ({reason}); about {count} files are still missing").format(
                reason=getattr(error, "strerror", ""), count=left
            ),
            _("make room there, or choose another place, and run the same command again: it goes on where it stopped"),
        )
        stopped.__cause__ = error
        return stopped

    def _report(self, problem: Problem) -> None:
        if problem.kind == "damaged":
            problem = Problem(problem.kind, problem.path, problem.message, (self._request.snapshot.id,))
        with self._lock:
            self._counts.problems.append(problem)
        self._monitor.problem(problem)


def _is_of_destination(error: BaseException) -> bool:
    return isinstance(error, OSError) and stops_restore(error)


def restore_snapshot(
    repository: LoadedRepository,
    request: RestoreRequest,
    elapsed_s: Callable[[], float],
    *,
    cancel: CancelToken,
    monitor: Monitor,
    destination: Callable[[str], Destination] = Destination,
) -> RestoreReport:
    """Bring back what the request names. ``repository.load`` has been called; no lock is needed."""
    run = Restore(repository, request, cancel=cancel, monitor=monitor, destination=destination)
    return run.run(elapsed_s)
