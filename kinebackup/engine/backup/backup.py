"""Taking a backup: choosing the parent, judging the sources, committing the snapshot.

Owns: the run from first look to snapshot. Does not know: how a folder is walked (``walker``), how bytes become
packs (``packer``).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from kinebackup.engine.backup.changes import ChangesSince, TrackingResult
from kinebackup.engine.backup.reuse import Reuse, StartOver
from kinebackup.engine.backup.saver import DrySaver, FileSaver, Saver, Tally
from kinebackup.engine.backup.scan import Walker
from kinebackup.engine.backup.tree_writer import TreeWriter
from kinebackup.engine.environment import Environment
from kinebackup.engine.format import snapshot as snapshots
from kinebackup.engine.format.constants import SALT_BYTES
from kinebackup.engine.format.layout import INDEX, snapshot_path
from kinebackup.engine.format.snapshot import Counts, NamedSnapshot, SavedProblem, Snapshot
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.files import READ_BYTES, read_back, write_file
from kinebackup.engine.repository.findings import healed_header_copy
from kinebackup.engine.repository.index_files import merge_index
from kinebackup.engine.repository.pack_pipeline import PackPipeline
from kinebackup.engine.repository.repository import LoadedRepository, WritableRepository
from kinebackup.engine.source import Source
from kinebackup.errors import ConfigError
from kinebackup.i18n import _, ngettext
from kinebackup.model import BackupReport, CancelToken, Monitor, Problem

MAX_INDEX_FILES = 6  # more are merged at the end of a run: each costs a look-up for every blob


@dataclass(frozen=True, slots=True)
class BackupRequest:
    """What to save, and from where. ``shrink_share``: fewer files than that share of the last ones are suspicious.

    ``since``: what a journal knows, to be relied on where the parent is the snapshot that it speaks of. ``compare``:
    tell in the ``TrackingResult`` which directories are not as the parent has them.
    """

    sources: Sequence[Source]
    host: str
    machine: str
    drive: str
    program: str
    started_at: datetime
    accept_shrink: bool = False
    read_back: bool = True
    shrink_share: float = 0.5
    since: ChangesSince | None = None
    compare: bool = False


@dataclass(frozen=True, slots=True)
class BackupOutcome:
    """A backup that was taken, and what the next one can build upon."""

    report: BackupReport
    trail: TrackingResult


@dataclass(frozen=True, slots=True)
class _Walked:
    """What a walk found: the paths of missing sources, and the ids of the root tree."""

    tally: Tally
    missing: Sequence[str]
    root: Sequence[str]
    parent: str
    followed: bool


def choose_parent(known: Sequence[NamedSnapshot], machine: str, sources: Sequence[str]) -> NamedSnapshot | None:
    """The newest trustworthy snapshot of this computer: of the same sources where there is one."""
    own = [s for s in known if s.snapshot.machine == machine and not s.snapshot.suspicious]
    same = [s for s in own if set(s.snapshot.sources) == set(sources)]
    candidates = same or own
    return candidates[-1] if candidates else None


def preview_backup(
    repository: LoadedRepository, request: BackupRequest, world: Environment, *, cancel: CancelToken, monitor: Monitor
) -> BackupReport:
    """What a backup would save, without reading a file or writing anything. Raises ``ConfigError`` as it does."""
    _check_sources(request.sources)
    began = world.elapsed_s()
    parent = _begin(repository, request, monitor)
    walked = _walk(repository, request, parent, None, cancel, monitor)
    suspicious = _judge_sources(request, parent, walked.missing, walked.tally, monitor)
    return _outcome(None, walked, 0, world.elapsed_s() - began, suspicious=suspicious).report


def back_up(
    repository: WritableRepository, request: BackupRequest, world: Environment, *, cancel: CancelToken, monitor: Monitor
) -> BackupOutcome:
    """Save the sources.

    Raises ``ConfigError`` for sources that cannot be saved together; ``DriveFailed`` or ``Cancelled``: nothing
    committed before is lost by either.
    """
    _check_sources(request.sources)
    began = world.elapsed_s()
    for name in repository.prepare():
        monitor.problem(healed_header_copy(name))
    parent = _begin(repository, request, monitor)
    pipeline = PackPipeline(repository, world.entropy, read_back=request.read_back, cancel=cancel)
    try:
        walked = _walk(repository, request, parent, pipeline, cancel, monitor)
    except BaseException:
        pipeline.stop()
        raise
    suspicious = _judge_sources(request, parent, walked.missing, walked.tally, monitor)
    monitor.phase("commit")
    written = pipeline.finish()
    merge_index(repository, world.entropy)
    if len(walked.missing) == len(request.sources):
        return _outcome(None, walked, written, world.elapsed_s() - began, suspicious=suspicious)
    made = _snapshot(request, world, parent, walked, repository.list_names(INDEX), suspicious=suspicious)
    name, data = snapshots.seal(made, repository.keys, world.entropy(SALT_BYTES))
    write_file(repository.store, snapshot_path(name), data)
    if request.read_back and not cancel.cancelled:
        read_back(repository.store, snapshot_path(name), len(data), bytearray(READ_BYTES))
    return _outcome(name, walked, written + len(data), world.elapsed_s() - began, suspicious=suspicious)


def _begin(repository: LoadedRepository, request: BackupRequest, monitor: Monitor) -> NamedSnapshot | None:
    """The parent to compare with."""
    known = repository.snapshots().readable
    parent = choose_parent(known, request.machine, [source.path for source in request.sources])
    monitor.phase("backup", files=parent.snapshot.counts.files if parent else 0)
    return parent


def _check_sources(sources: Sequence[Source]) -> None:
    """Each name comes once in a directory, and every name has a directory. The configuration cannot see that: where
    links on the way to a source lead shows only now.
    """
    for number, source in enumerate(sources):
        if source.path == "/":
            raise ConfigError(
                _("the whole computer cannot be a source"), _("name the folders in it, one [[sources]] for each")
            )
        for other in sources[:number]:
            inner, outer = sorted((source.path, other.path), key=len, reverse=True)
            if f"{inner}/".startswith(f"{outer}/"):
                raise ConfigError(
                    _("{inner} lies inside {outer}, which is saved already").format(inner=inner, outer=outer),
                    _("remove the [[sources]] of {inner}").format(inner=inner),
                )


def _walk(
    repository: LoadedRepository,
    request: BackupRequest,
    parent: NamedSnapshot | None,
    packer: PackPipeline | None,
    cancel: CancelToken,
    monitor: Monitor,
) -> _Walked:
    """Walk all sources: where the journal allows it only what changed, else, or where that leads nowhere, all of it."""
    since = request.since
    if (
        since is not None
        and parent is not None
        and since.snapshot == parent.id
        and parent.snapshot.sources == tuple(source.path for source in request.sources)
        and repository.has_all_of(parent.snapshot)
    ):
        reuse = Reuse(parent.snapshot, since, _trust_before_ns(parent))
        try:
            return _walk_once(repository, request, parent, packer, reuse, cancel, monitor)
        except StartOver:
            monitor.phase("backup", files=parent.snapshot.counts.files)
    return _walk_once(repository, request, parent, packer, None, cancel, monitor)


def _walk_once(
    repository: LoadedRepository,
    request: BackupRequest,
    parent: NamedSnapshot | None,
    packer: PackPipeline | None,
    reuse: Reuse | None,
    cancel: CancelToken,
    monitor: Monitor,
) -> _Walked:
    compare = request.compare and reuse is None  # what was taken over unseen cannot be compared
    walker = _walker(repository, parent, packer, reuse, cancel, monitor, compare=compare)
    missing = [source.path for source in request.sources if not walker.add(source)]
    root = walker.finish()
    return _Walked(walker.tally, missing, root, parent.id if parent else "", followed=reuse is not None)


def _snapshot(
    request: BackupRequest,
    world: Environment,
    parent: NamedSnapshot | None,
    walked: _Walked,
    index_files: Sequence[str],
    *,
    suspicious: bool,
) -> Snapshot:
    tally = walked.tally
    return Snapshot(
        time=snapshots.format_time(request.started_at),
        host=request.host,
        machine=request.machine,
        sources=tuple(source.path for source in request.sources),
        root=tuple(walked.root),
        users=(parent.snapshot.users if parent else {}) | world.names.users(tally.uids),
        groups=(parent.snapshot.groups if parent else {}) | world.names.groups(tally.gids),
        counts=Counts(files=tally.files, dirs=tally.dirs, others=tally.others, bytes=tally.bytes),
        files_by_source=tuple(tally.files_by_source.get(source.path, 0) for source in request.sources),
        problems=tuple(SavedProblem(p.kind, p.path, p.message) for p in tally.problems),
        suspicious=suspicious,
        parent=parent.id if parent else "",
        index=tuple(index_files),
        drive=request.drive,
        program=request.program,
    )


def _trust_before_ns(parent: NamedSnapshot | None) -> int:
    """A file that changed in the same tick of the clock in which it was read looks unchanged: files that changed after
    the parent began, or just before, are read again (the kernel's clock ticks every 10 ms at most).
    """
    return int(parent.snapshot.taken_at.timestamp() * 1e9) - 20_000_000 if parent else 0


def _walker(
    repository: LoadedRepository,
    parent: NamedSnapshot | None,
    packer: PackPipeline | None,
    reuse: Reuse | None,
    cancel: CancelToken,
    monitor: Monitor,
    *,
    compare: bool,
) -> Walker:
    """A walker that compares with the parent; without a packer it only looks."""
    tally = Tally()
    reader = BlobReader(repository)
    writer = TreeWriter(repository, packer) if packer else None
    trust_before_ns = _trust_before_ns(parent)
    saver: Saver = DrySaver(tally)
    if packer and writer:
        saver = FileSaver(
            repository=repository,
            reader=reader,
            packer=packer,
            writer=writer,
            tally=tally,
            trust_before_ns=trust_before_ns,
            cancel=cancel,
            monitor=monitor,
        )
    walker = Walker(
        repository=repository,
        saver=saver,
        writer=writer,
        tally=tally,
        trust_before_ns=trust_before_ns,
        look_up_blobs=parent is None or not repository.has_all_of(parent.snapshot),
        reuse=reuse,
        compare=compare,
        cancel=cancel,
        monitor=monitor,
    )
    if parent is not None:
        walker.start_from(reader, parent.snapshot.root)
    return walker


def _judge_sources(
    request: BackupRequest, parent: NamedSnapshot | None, missing: Sequence[str], tally: Tally, monitor: Monitor
) -> bool:
    """Sources can lie: report each that is missing, empty or shrunken; whether the snapshot is suspicious."""
    before: dict[str, int] = {}
    if parent is not None:
        before = dict(zip(parent.snapshot.sources, parent.snapshot.files_by_source, strict=False))
    doubts: list[Problem] = []
    for source in request.sources:
        count, old = tally.files_by_source.get(source.path, 0), before.get(source.path, 0)
        if source.path in missing:
            doubts.append(Problem("source-missing", source.path, _("the folder is not there, or cannot be opened")))
        elif count == 0:
            doubts.append(Problem("source-empty", source.path, _("the folder has no file in it")))
        elif count < old * request.shrink_share:
            text = ngettext(
                "{count} file is left of {old}; confirm with --accept-shrink if this is meant",
                "{count} files are left of {old}; confirm with --accept-shrink if this is meant",
                count,
            )
            doubts.append(Problem("source-shrunk", source.path, text.format(count=count, old=old)))
    if request.accept_shrink:  # confirmed; a missing source is still worth a word each time
        doubts = [p for p in doubts if p.kind == "source-missing"]
    for problem in doubts:
        tally.problems.append(problem)
        monitor.problem(problem)
    return bool(doubts) and not request.accept_shrink


# What is wrong with these does not show in their directory when it changes, and is to be told each time.
_RESTLESS_PROBLEMS = frozenset({"unreadable", "uncertain", "skipped", "metadata"})


def _outcome(name: str | None, walked: _Walked, written: int, duration_s: float, *, suspicious: bool) -> BackupOutcome:
    tally = walked.tally
    report = BackupReport(
        snapshot=name,
        files_new=tally.new,
        files_changed=tally.changed,
        files_unmodified=tally.unmodified,
        files_removed=tally.removed,
        bytes_read=tally.bytes_read,
        bytes_written=written,
        duration_s=duration_s,
        suspicious=suspicious,
        problems=tuple(tally.problems),
    )
    troubled = {problem.path for problem in tally.problems if problem.kind in _RESTLESS_PROBLEMS}
    always_rescan, changed_dirs = frozenset(tally.always_rescan | troubled), frozenset(tally.changed_dirs)
    return BackupOutcome(report, TrackingResult(always_rescan, changed_dirs, walked.parent, walked.followed))
