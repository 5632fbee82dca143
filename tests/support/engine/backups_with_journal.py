"""A drive of the practice whose backups follow a real journal of real folders.

Owns: the journal's life in a test, and how a snapshot is compared with a backup that looks at everything. Does not
know: what is expected.
"""

import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from support.engine.drives import MACHINE, Drive, enroll, loaded, writable

from kinebackup.change_journal.cursors import JournalCursors
from kinebackup.change_journal.inotify import Inotify, InotifyQueue
from kinebackup.change_journal.journal import ChangeJournal
from kinebackup.change_journal.mount_context import MountContext, MountIdentity
from kinebackup.engine.backup.backup import back_up
from kinebackup.engine.backup.run import BackupOutcome, BackupRequest
from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.snapshot import Counts, Snapshot
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.redundancy.completing import complete_parity
from kinebackup.engine.repository.tree_reader import TreeReader, data_ids
from kinebackup.engine.source import Source
from kinebackup.model import CancelToken, Problem, SilentMonitor
from kinebackup.sources.folder import FolderSource

STEADY = MountContext(MountIdentity("1", "/", "ext4"))


@contextlib.contextmanager
def listening(
    *sources: FolderSource,
    ground: Callable[[str], MountContext] = lambda _: STEADY,
    open_queue: Callable[[], InotifyQueue] = Inotify,
    journal: type[ChangeJournal] = ChangeJournal,
) -> Iterator[ChangeJournal]:
    """A journal that watches all of them."""
    made = journal(sources, ground, open_queue=open_queue)
    made.start()
    try:
        assert made.wait(30)
        yield made
    finally:
        made.stop()


@dataclass(frozen=True, slots=True)
class Run:
    """A backup; ``missed``: what the audit of the journal found."""

    taken: BackupOutcome
    missed: Sequence[Problem]

    @property
    def followed(self) -> bool:
        return self.taken.tracking.followed


@dataclass
class TrackedPractice:
    """A drive, its sources and what is remembered between its backups. ``late``: how far its clock is ahead."""

    drive: Drive
    sources: Sequence[Source]
    tracking: JournalCursors
    late: timedelta = timedelta()

    def back_up(self, *, during: Callable[[], None] | None = None, accept_shrink: bool = False) -> Run:
        """``during``: done after the journal was asked, before the walk."""
        now = datetime.now(UTC) + self.late
        with writable(self.drive) as repository:
            tracked = self.tracking.begin(repository.id, self.sources, now)
            request = replace(_request(self.sources, now), accept_shrink=accept_shrink)
            if tracked is not None:
                request = replace(request, since=tracked.since, compare=tracked.known is not None)
            if during is not None:
                during()
            taken = back_up(repository, request, self.drive.world(), cancel=CancelToken(), monitor=SilentMonitor())
            complete_parity(repository, CancelToken())
            missed = self.tracking.end(tracked, taken.report, taken.tracking, now) if tracked is not None else []
        self.drive.lose_parity()
        return Run(taken, missed)

    def other_drive(self, folder: Path) -> "TrackedPractice":
        return replace(self, drive=enroll(folder, seed=folder.name))


def _request(sources: Sequence[Source], now: datetime) -> BackupRequest:
    return BackupRequest(
        sources=sources, host="cabinet-pc", machine=MACHINE, drive="A", program="kinebackup tests", started_at=now
    )


@dataclass(frozen=True, slots=True)
class Picture:
    """A snapshot without what is different in each repository: each path with its entry and content, and counts."""

    entries: dict[str, object]
    counts: Counts
    files_by_source: tuple[int, ...]


def picture_of(drive: Drive, taken: BackupOutcome) -> Picture:
    assert taken.report.snapshot is not None
    with loaded(drive) as repository:
        snapshot = repository.find_snapshot(taken.report.snapshot).snapshot
        blobs = BlobReader(repository)
        reader = TreeReader(blobs, _fail)
        entries: dict[str, object] = {}
        for visited in reader.walk(snapshot.root):
            if not f"/{visited.path}/".startswith(tuple(f"{source}/" for source in snapshot.sources)):
                continue  # a folder on the way, in which others work too
            entry = msgspec.structs.replace(visited.entry, tree=[], blobs=[], lists=[])
            if entry.type == "file":
                # All that is left of a link that was made in another folder and removed again; nobody hears of it.
                entry.ctime = 0
            ids = data_ids(visited.entry, blobs)
            content = b"".join(blobs.read(Kind.DATA, tree.blob_id(text)) for text in ids)
            entries[visited.path] = (msgspec.structs.astuple(entry), hashlib.sha256(content).hexdigest())
        return Picture(entries, snapshot.counts, snapshot.files_by_source)


def full_picture(sources: Sequence[Source], folder: Path) -> Picture:
    """What a first backup of the sources, into a new repository, has."""
    drive = enroll(folder, seed=str(folder))
    with writable(drive) as repository:
        taken = back_up(
            repository,
            _request(sources, datetime.now(UTC)),
            drive.world(),
            cancel=CancelToken(),
            monitor=SilentMonitor(),
        )
    return picture_of(drive, taken)


def snapshot_of(drive: Drive, taken: BackupOutcome) -> Snapshot:
    assert taken.report.snapshot is not None
    with loaded(drive) as repository:
        return repository.find_snapshot(taken.report.snapshot).snapshot


def _fail(problem: Problem) -> None:
    raise AssertionError(problem)
