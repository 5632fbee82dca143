"""One prune of a drive: which backups go, and room for the work on a full drive.

Owns: putting retention, the engine and this computer's memory together. Does not know: the rules, or how packs are
rewritten.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from kinebackup.config import RetentionConfig
from kinebackup.engine import FolderStore, NamedSnapshot, PruneRequest, Remover, preview_prune, prune_snapshots
from kinebackup.jobs.backup import environment_of, record_of, remember_snapshots
from kinebackup.model import NOTES, CancelToken, FileName, Monitor, PruneReport, counting
from kinebackup.policy.retention import SnapshotFacts, plan_retention
from kinebackup.practice.access import OpenDrive, PresentDrive, open_to_read, open_to_write
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.reserve import make_reserve, release_reserve
from kinebackup.practice.run_history import recorded, with_own_troubles
from kinebackup.practice.world import World
from kinebackup.state.records import RunCounts


@dataclass(frozen=True, slots=True)
class PruneJobRequest:
    """What was asked for. ``give_up``: names of what is lost and not waited for any more (``Losses.give_up``)."""

    rules: RetentionConfig
    give_up: Sequence[str] = ()
    accept_share: bool = False
    dry_run: bool = False


def run_prune(
    drive: PresentDrive,
    computer: ComputerKeys,
    request: PruneJobRequest,
    world: World,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> PruneReport:
    """Thin the backups of that drive.

    Raises ``CheckFailed`` where a loss hides what is needed, ``NotConfirmed`` where more would go than anybody expects,
    ``Locked``, ``NotFound``, ``DriveFailed`` or ``Cancelled``.
    """
    record = record_of(drive)
    if request.dry_run:
        with open_to_read(drive, computer, None) as opened:
            wanted = _engine_request(opened, computer, request, world)
            report = preview_prune(opened.repository, wanted, environment_of(world), cancel=cancel, monitor=monitor)
            return replace(report, healed=opened.repository.healed)
    with (
        recorded("prune", drive, computer, world) as note,
        open_to_write(drive, computer, world, "prune") as opened,
    ):
        note.of(opened)
        wanted = _engine_request(opened, computer, request, world)
        store = FolderStore(drive.root)
        release_reserve(store)
        try:
            report = prune_snapshots(
                opened.repository,
                wanted,
                environment_of(world),
                by=Remover(at=world.now(), host=world.host, machine=computer.machine),
                cancel=cancel,
                monitor=monitor,
            )
        finally:
            if not record.simulated:
                make_reserve(store)
            store.close()
        notes = [problem for problem in opened.problems if problem.kind in NOTES]
        report = replace(report, problems=(*notes, *report.problems), healed=opened.repository.healed)
        computer.state.forget_snapshots(opened.repository.id, [FileName(name) for name in report.snapshots_removed])
        computer.state.forget_packs_except(opened.repository.id, opened.repository.list_packs())
        remember_snapshots(opened.repository, computer)
        computer.state.snapshots.record_missing(opened.repository.id, 0)  # else nothing would have been removed
        note.problems = report.problems
        note.result = "problems" if counting(report.problems) else "ok"
        note.counts = RunCounts(
            size_bytes=max(0, report.bytes_freed),
            packs=report.packs_removed,
            snapshots=len(report.snapshots_removed),
            problems=counting(report.problems),
        )
        return with_own_troubles(report, computer)


def _engine_request(opened: OpenDrive, computer: ComputerKeys, request: PruneJobRequest, world: World) -> PruneRequest:
    return PruneRequest(
        remove=_doomed(opened, computer, request.rules, world),
        missing=opened.missing,
        give_up=request.give_up,
        accept_share=request.accept_share,
    )


def _doomed(opened: OpenDrive, computer: ComputerKeys, rules: RetentionConfig, world: World) -> list[FileName]:
    """The snapshots that may go, oldest first."""
    known = opened.repository.snapshots().readable
    verified = {found.snapshot for found in computer.state.verified_snapshots(opened.repository.id)}
    facts = [_facts(named, verified=named.id in verified) for named in known]
    plan = plan_retention(facts, rules, now=world.now(), zone=world.zone)
    return [FileName(snapshot) for snapshot in plan.removed]


def _facts(named: NamedSnapshot, *, verified: bool) -> SnapshotFacts:
    snapshot = named.snapshot
    return SnapshotFacts(
        id=named.id,
        sequence=snapshot.sequence,
        time=snapshot.taken_at,
        host=snapshot.host,
        machine=snapshot.machine,
        sources=snapshot.sources,
        suspicious=snapshot.suspicious,
        verified=verified,
    )
