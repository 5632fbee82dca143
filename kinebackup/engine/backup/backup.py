"""Taking a backup: choosing the parent, judging the sources, committing the snapshot.

Owns: the run from first look to snapshot. Does not know: how folders are scanned (``scan.py``), how bytes become packs
(``repository/pack_pipeline.py``).
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from kinebackup.engine.backup.commit import commit
from kinebackup.engine.backup.judging import judge_sources
from kinebackup.engine.backup.met_damage import MetDamage
from kinebackup.engine.backup.parent.changes import TrackingResult
from kinebackup.engine.backup.parent.reuse import JournalReuse, Reuse, StartOver
from kinebackup.engine.backup.proof import PackProof
from kinebackup.engine.backup.run import BackupOutcome, BackupRequest, BackupRun
from kinebackup.engine.backup.saver import DrySaver, FileSaver
from kinebackup.engine.backup.scan import Scan
from kinebackup.engine.backup.stats import BackupStats
from kinebackup.engine.backup.tree_writer import DryTreeWriter, TreeWriter
from kinebackup.engine.environment import Environment
from kinebackup.engine.findings import healed_header_copy
from kinebackup.engine.format import snapshot as snapshots
from kinebackup.engine.format.layout import INDEX
from kinebackup.engine.format.snapshot import Counts, NamedSnapshot, SavedProblem, Snapshot
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.index_files import merge_index
from kinebackup.engine.repository.pack_pipeline import PackPipeline
from kinebackup.engine.repository.removals import highest_sequence
from kinebackup.engine.repository.repository import LoadedRepository, WritableRepository
from kinebackup.engine.source import Source
from kinebackup.errors import ConfigError
from kinebackup.i18n import _
from kinebackup.model import NOTES, BackupReport, CancelToken, Monitor, Problem, saved_already

_MAX_SOURCES_CHARACTERS = 2**20  # a snapshot lists them twice, and has to stay readable


@dataclass(frozen=True, slots=True)
class _Scanned:
    """What a scan found: why sources are missing, by their configured paths, and the ids of the root tree."""

    stats: BackupStats
    missing: Mapping[str, OSError]
    root: Sequence[str]
    followed: bool


def choose_parent(known: Sequence[NamedSnapshot], machine: str, sources: Sequence[str]) -> NamedSnapshot | None:
    """The newest trustworthy snapshot of this computer: of the same sources where there is one."""
    own = [s for s in known if s.snapshot.machine == machine and not s.snapshot.suspicious]
    wanted = {snapshots.escaped(source) for source in sources}
    same = [s for s in own if set(s.snapshot.sources) == wanted]
    candidates = same or own
    return candidates[-1] if candidates else None


def preview_backup(
    repository: LoadedRepository, request: BackupRequest, world: Environment, *, cancel: CancelToken, monitor: Monitor
) -> BackupReport:
    """What a backup would save, without reading a file or writing anything. Raises ``ConfigError`` as it does."""
    _check_sources(request.sources)
    began = world.elapsed_s()
    met = MetDamage(repository, monitor, mark=False)
    parent, sequence = _find_place(repository, request, met, monitor)
    run = BackupRun(repository, request, world, parent, sequence, met, None, cancel, monitor)
    scanned = _scan_all(run)
    suspicious = judge_sources(run, scanned.stats, scanned.missing)
    return _outcome(run, scanned, None, 0, world.elapsed_s() - began, suspicious=suspicious).report


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
    met = MetDamage(repository, monitor, mark=True)
    parent, sequence = _find_place(repository, request, met, monitor)
    pipeline = PackPipeline(repository, world.entropy, read_back=request.read_back, cancel=cancel)
    run = BackupRun(repository, request, world, parent, sequence, met, pipeline, cancel, monitor)
    proof = PackProof(repository, request.unproven, met)
    if request.unproven:
        repository.index.ask_before_relying(proof.holds)
    try:
        scanned = _scan_all(run)
        suspicious = judge_sources(run, scanned.stats, scanned.missing)
    except BaseException:
        pipeline.stop()
        raise
    monitor.phase("commit")
    written = pipeline.finish()
    merge_index(repository, world.entropy)
    if len(scanned.missing) == len(request.sources):
        outcome = _outcome(run, scanned, None, written, world.elapsed_s() - began, suspicious=suspicious)
        return replace(outcome, packs_checked=proof.checked)
    listed = () if repository.inventory.has_unlistable_folders else repository.list_names(INDEX)
    made = _snapshot(run, scanned, listed, suspicious=suspicious)
    name, size = commit(repository, made, world, met, from_drive=request.read_back and not cancel.cancelled)
    outcome = _outcome(run, scanned, name, written + size, world.elapsed_s() - began, suspicious=suspicious)
    return replace(outcome, packs_checked=proof.checked)


def _find_place(
    repository: LoadedRepository, request: BackupRequest, met: MetDamage, monitor: Monitor
) -> tuple[NamedSnapshot | None, int]:
    """The snapshot to compare with, and the sequence of the one to come: above all that this computer knows of.

    How many files the parent has is how many the monitor expects.
    """
    files = repository.snapshots()
    met.snapshots(files)
    known = files.readable
    parent = choose_parent(known, request.machine, [source.configured for source in request.sources])
    monitor.phase("backup", files=parent.snapshot.counts.files if parent else 0)
    return parent, max(highest_sequence(repository, known), request.remembered_sequence) + 1


def _check_sources(sources: Sequence[Source]) -> None:
    """Each name comes once in a directory, and every name has a directory. The configuration cannot see that: where
    links on the way to a source lead shows only now.
    """
    if sum(len(source.path) for source in sources) > _MAX_SOURCES_CHARACTERS:
        raise ConfigError(
            _("there are more sources than a backup can list"), _("name a folder that holds several of them")
        )
    for number, source in enumerate(sources):
        if source.path == "/":
            raise ConfigError(
                _("the whole computer cannot be a source"), _("name the folders in it, one [[sources]] for each")
            )
        for other in sources[:number]:
            inner, outer = sorted((source.path, other.path), key=len, reverse=True)
            if f"{inner}/".startswith(f"{outer}/"):
                raise saved_already(inner, outer)


def _scan_all(run: BackupRun) -> _Scanned:
    """Scan all sources: where the journal allows it only what changed, else, or where that leads nowhere, all of it."""
    since, parent = run.request.since, run.parent
    if (
        since is not None
        and parent is not None
        and since.snapshot == parent.id
        and parent.snapshot.places == tuple(snapshots.escaped(source.path) for source in run.request.sources)
        and run.parent_is_whole
    ):
        with suppress(StartOver):
            scanned = _scan(run, JournalReuse(parent.snapshot, since, run.trust))
            if run.parent_is_whole:  # else a pack failed a read meanwhile, and may hold what was taken over unseen
                return scanned
        run.monitor.phase("backup", files=parent.snapshot.counts.files)
    return _scan(run, Reuse())


def _scan(run: BackupRun, reuse: Reuse) -> _Scanned:
    """One scan that compares with the parent; without a pipeline it only looks."""
    stats = BackupStats()
    reader = BlobReader(run.repository, on_damage=run.met.pack)
    if run.pipeline is None:
        scan = Scan(run, saver=DrySaver(stats), writer=DryTreeWriter(), stats=stats, reuse=reuse)
    else:
        writer = TreeWriter(run.repository, run.pipeline)
        saver = FileSaver(run, run.pipeline, reader=reader, writer=writer, stats=stats)
        scan = Scan(run, saver=saver, writer=writer, stats=stats, reuse=reuse)
    if run.parent is not None:
        scan.start_from(reader, run.parent.snapshot)
    missing: dict[str, OSError] = {}
    for source in run.request.sources:
        if error := scan.add(source):
            missing[source.configured] = error
    return _Scanned(stats, missing, scan.finish(), followed=reuse.follows_journal)


def _snapshot(run: BackupRun, scanned: _Scanned, index_files: Sequence[str], *, suspicious: bool) -> Snapshot:
    request, parent, stats, names = run.request, run.parent, scanned.stats, run.world.names
    places = tuple(source.path for source in request.sources)
    return Snapshot(
        sequence=run.sequence,
        time=snapshots.format_time(request.started_at),
        host=request.host,
        machine=request.machine,
        sources=tuple(source.configured for source in request.sources),
        led_to=places if any(s.configured != s.path for s in request.sources) else (),
        root=tuple(scanned.root),
        users=_newest_first(names.users(stats.uids), parent.snapshot.users if parent else {}),
        groups=_newest_first(names.groups(stats.gids), parent.snapshot.groups if parent else {}),
        counts=Counts(files=stats.files, dirs=stats.dirs, others=stats.others, bytes=stats.bytes),
        files_by_source=tuple(stats.files_by_source.get(source.path, 0) for source in request.sources),
        problems=tuple(SavedProblem(p.kind, p.path, p.message) for p in sorted(stats.problems, key=_is_note)),
        files_lost=stats.files_lost,
        suspicious=suspicious,
        parent=parent.id if parent else "",
        index=tuple(index_files),
        drive=request.drive,
        program=request.program,
    )


def _newest_first(met: dict[str, str], before: dict[str, str]) -> dict[str, str]:
    """Names of owners, those first that were met: where there are more than a snapshot keeps, these are kept."""
    return met | {number: name for number, name in before.items() if number not in met}


def _is_note(problem: Problem) -> bool:
    """Where there are more problems than a snapshot keeps, those are kept that count."""
    return problem.kind in NOTES


# What is wrong with these does not show in their directory when it changes, and is to be told each time.
_RESCANNED_PROBLEMS = frozenset({"unreadable", "uncertain", "skipped", "left-out", "metadata"})


def _outcome(
    run: BackupRun, scanned: _Scanned, name: str | None, written: int, duration_s: float, *, suspicious: bool
) -> BackupOutcome:
    stats = scanned.stats
    report = BackupReport(
        snapshot=name,
        files_new=stats.new,
        files_changed=stats.changed,
        files_unmodified=stats.unmodified,
        files_removed=stats.removed,
        bytes_read=stats.bytes_read,
        bytes_written=written,
        duration_s=duration_s,
        suspicious=suspicious,
        problems=(*run.met.problems, *stats.problems),
        files_lost=stats.files_lost,
    )
    troubled = {problem.path for problem in stats.problems if problem.kind in _RESCANNED_PROBLEMS}
    tracking = TrackingResult(
        always_rescan=frozenset(stats.always_rescan | troubled),
        changed_dirs=frozenset(stats.changed_dirs),
        parent=run.parent.id if run.parent else "",
        followed=scanned.followed,
    )
    return BackupOutcome(report, tracking)
