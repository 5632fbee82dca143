"""Deleting snapshots, and then what no snapshot needs any more.

Owns: marking, repacking, and the order in which things go. Does not know: which snapshots may go
(``policy.retention``).

A crash at any point loses nothing: snapshots go first, after the record of their removal, then the index is written
anew without the packs that will go, then the packs go. What is left over is found and removed by the next prune.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kinebackup.engine.environment import Environment
from kinebackup.engine.findings import healed_header_copy, healed_removal_record
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.layout import (
    DAMAGED,
    REMOVALS,
    SNAPSHOTS,
    removal_path,
)
from kinebackup.engine.format.removal import RemovedSnapshot
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.prune.losses import GivenUp, Losses, find_losses
from kinebackup.engine.prune.missing_snapshots import NONE_MISSING, MissingSnapshots
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.damage_markers import remove_markers
from kinebackup.engine.repository.index_files import drop_packs, forget_lost_files
from kinebackup.engine.repository.inventory import UnreadableIndexFile
from kinebackup.engine.repository.pack_pipeline import PackPipeline
from kinebackup.engine.repository.redundancy.completing import complete_parity
from kinebackup.engine.repository.references import Marks, ReferenceWalk
from kinebackup.engine.repository.removals import Remover, remove_snapshots, sequences_of
from kinebackup.engine.repository.repository import LoadedRepository, WritableRepository
from kinebackup.errors import CheckFailed, Damaged, NotConfirmed
from kinebackup.i18n import _, ngettext
from kinebackup.model import CancelToken, FileName, Monitor, Problem, PruneReport

REPACK_BELOW: Final = 0.7  # a pack with less than this share in use is rewritten
_BATCH_BYTES: Final = 256 * 2**20
"""Rewritten and freed before the next batch begins: a nearly full drive needs no more room."""


@dataclass(slots=True)
class _Use:
    """How much of a pack is needed: bytes of plaintext."""

    used: int = 0
    total: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)  # (table, place) of each blob that is needed


@dataclass(frozen=True, slots=True)
class PruneRequest:
    """``remove``: snapshots that are not kept. ``missing``: what the drive should have and has not.

    ``give_up``: names of what is lost and not waited for any more (``Losses.give_up``). ``accept_share``: a person
    confirms that this much goes.
    """

    remove: Sequence[FileName] = ()
    missing: MissingSnapshots = NONE_MISSING
    give_up: Sequence[str] = ()
    accept_share: bool = False


@dataclass(frozen=True, slots=True)
class _Plan:
    """``doomed``: snapshots that go; ``given_up``: what is not waited for any more, some of these among it.

    ``dead``: packs of which nothing is needed; ``thin``: of which little is. ``unreadable_records``: removal records
    that do not open, and are written anew from what is remembered.
    """

    kept: int
    doomed: tuple[RemovedSnapshot, ...]
    given_up: GivenUp
    dead: tuple[FileName, ...]
    thin: tuple[FileName, ...]
    uses: dict[FileName, _Use]
    unreadable_records: tuple[FileName, ...]


def preview_prune(
    repository: LoadedRepository,
    request: PruneRequest,
    world: Environment,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> PruneReport:
    """What ``prune_snapshots`` would do. Raises what it raises."""
    began = world.elapsed_s()
    plan = _plan(repository, request, cancel, monitor)
    return _report(plan, _size(repository, plan.dead), world.elapsed_s() - began)


def prune_snapshots(
    repository: WritableRepository,
    request: PruneRequest,
    world: Environment,
    *,
    by: Remover,
    cancel: CancelToken,
    monitor: Monitor,
) -> PruneReport:
    """Remove these snapshots and everything that only they needed.

    Raises ``CheckFailed`` where a snapshot is lost, or cannot be followed whole, and nobody gave it up by name: what it
    needs could not be told from what nobody needs. Raises ``NotConfirmed`` where nothing would be left, or most bytes
    would go with few snapshots. Nothing has been deleted in these cases.
    """
    began = world.elapsed_s()
    plan = _plan(repository, request, cancel, monitor)
    freed = _size(repository, plan.dead)
    repository.clear_temporary()
    _remove_snapshots(repository, plan, request.missing, by, world)
    drop_packs(repository, plan.dead, world.entropy)
    freed += _repack(repository, plan, world, cancel, monitor)
    forget_lost_files(repository, world.entropy)
    there = {*repository.packs, *repository.list_names(SNAPSHOTS)}
    remove_markers(repository.store, [name for name in repository.list_names(DAMAGED) if name not in there])
    healed = tuple(healed_header_copy(name) for name in repository.heal_header())
    told = complete_parity(repository, cancel, sweep=True)
    return _report(plan, freed, world.elapsed_s() - began, (*healed, *told))


def _remove_snapshots(
    repository: WritableRepository, plan: _Plan, missing: MissingSnapshots, by: Remover, world: Environment
) -> None:
    """First the record of all that goes or is given up, then the files; last the records that do not open."""
    lost = [each for each in plan.given_up.snapshots if each not in plan.doomed]
    if plan.unreadable_records:
        lost += missing.unrecorded
    remove_snapshots(repository, plan.doomed, by, world.entropy, lost=lost, given_up=plan.given_up.blobs)
    if plan.unreadable_records:
        with repository.changing_snapshots():
            repository.parity.remove(plan.unreadable_records)
            for name in plan.unreadable_records:
                repository.store.remove(removal_path(name))
            repository.store.sync_directories([REMOVALS])


def _report(plan: _Plan, freed: int, duration_s: float, notes: tuple[Problem, ...] = ()) -> PruneReport:
    return PruneReport(
        snapshots_kept=plan.kept,
        snapshots_removed=tuple(each.id for each in plan.doomed),
        packs_removed=len(plan.dead),
        packs_repacked=len(plan.thin),
        bytes_freed=freed,
        duration_s=duration_s,
        given_up=plan.given_up.names,
        problems=(*map(healed_removal_record, plan.unreadable_records), *notes),
    )


def _size(repository: LoadedRepository, packs: Sequence[FileName]) -> int:
    return sum(repository.packs.get(name, 0) for name in packs)


# -- what may go ---------------------------------------------------------------------------------------------------


def _plan(repository: LoadedRepository, request: PruneRequest, cancel: CancelToken, monitor: Monitor) -> _Plan:
    if repository.inventory.has_unlistable_folders:
        raise CheckFailed(_("a folder of the drive cannot be listed, so nothing is deleted"), _verify_hint())
    if repository.inventory.refused_index_files and not repository.inventory.knows_every_pack:
        raise CheckFailed(_("an index file of the drive cannot be read, so nothing is deleted"), _verify_hint())
    monitor.phase("mark")
    files = repository.snapshots()
    records = repository.removals()
    kept = [named for named in files.readable if named.id not in request.remove]
    walk = _follow(repository, kept, cancel)
    losses = find_losses(repository, kept, walk, files.unreadable, request.missing, records.given_up)
    given_up, left = losses.give_up(request.give_up)
    if left.count:
        raise _lost(left)
    unreadable = {each.name for each in files.unreadable}
    uses = _uses(repository, walk.marks)
    plan = _Plan(
        kept=len(kept),
        doomed=(
            *sequences_of(set(request.remove), files.readable),
            *(each for each in given_up.snapshots if each.id in unreadable),
        ),
        given_up=given_up,
        dead=tuple(name for name, use in uses.items() if not use.used),
        thin=tuple(name for name, use in uses.items() if use.used and _worth_repacking(repository, name, use)),
        uses=uses,
        unreadable_records=tuple(each.name for each in records.unreadable),
    )
    if not request.accept_share:
        _refuse_what_nobody_expects(repository, plan)
    return plan


def _verify_hint() -> str:
    return _("run: kinebackup verify --full, then: kinebackup backup; both tell what is affected; then try again")


def _follow(repository: LoadedRepository, kept: Sequence[NamedSnapshot], cancel: CancelToken) -> ReferenceWalk:
    refused: list[Problem] = []
    walk = ReferenceWalk(repository, cancel, refused.append)
    for named in kept:
        walk.add(named)
    if refused:
        text = ngettext(
            "{count} folder or file of snapshots that stay cannot be followed, so nothing is deleted",
            "{count} folders or files of snapshots that stay cannot be followed, so nothing is deleted",
            len(refused),
        )
        raise CheckFailed(text.format(count=len(refused)), _verify_hint())
    return walk


def _lost(left: Losses) -> CheckFailed:
    text = _("nothing is deleted, for nobody knows what these needed, which are lost or cannot be read: {names}")
    hint = _(
        "try another cable, then kinebackup verify --full and kinebackup backup; what does not come back is given up "
        "for good by its name: --give-up {name}"
    )
    return CheckFailed(text.format(names=left.told()), hint.format(name=left.first_name()))


def _refuse_what_nobody_expects(repository: LoadedRepository, plan: _Plan) -> None:
    """Raises ``NotConfirmed``. What goes without a loss does not count: what a run that was cut off has left, and what
    is damaged and has been saved again.
    """
    hint = _("if this is meant, confirm it with --accept-share")
    gone = len({each.id for each in (*plan.doomed, *plan.given_up.snapshots)})
    if not plan.kept and (gone or repository.packs):
        raise NotConfirmed(_("no backup would be left on the drive, so nothing is deleted"), hint)
    counted = repository.packs.keys() - _left_by_cut_off_runs(repository)
    counted -= {name for name in counted if repository.conditions.of_damage(name) is Condition.HEALED}
    total = sum(repository.packs[name] for name in counted)
    freed = sum(repository.packs[name] for name in plan.dead if name in counted)
    for name in plan.thin:
        use = plan.uses[name]
        freed += repository.packs[name] * (use.total - use.used) // use.total if name in counted else 0
    if 2 * freed > total and 2 * gone < plan.kept + gone:
        text = _(
            "more than half of what is on the drive would go with {gone} of {count} backups, so nothing is deleted"
        )
        raise NotConfirmed(text.format(gone=gone, count=plan.kept + gone), hint)


def _left_by_cut_off_runs(repository: LoadedRepository) -> set[FileName]:
    """Packs that no index file lists: no snapshot was committed that needs them. With an index file that is lost or
    does not open, nobody knows.
    """
    inventory = repository.inventory
    if not inventory.tables or any(isinstance(found, UnreadableIndexFile) for found in inventory.findings):
        return set()
    return {pack.name for pack in inventory.unlisted}


def _uses(repository: LoadedRepository, marks: Marks) -> dict[FileName, _Use]:
    uses = {name: _Use() for name in repository.packs}
    counted: set[FileName] = set()
    for number, table in enumerate(repository.index.tables):
        flags = marks.by_table[number]
        # A run that was cut off may have left a pack in two tables: its size counts once, its marks wherever they are.
        again = [listed.name in counted for listed in table.packs]
        counted |= {listed.name for listed in table.packs}
        for place, (_id, _segment, _offset, size) in enumerate(table.entries()):
            listed_as = table.pack_number(place)
            use = uses.get(table.packs[listed_as].name)
            if use is None:
                continue
            use.total += 0 if again[listed_as] else size
            if flags[place]:
                use.used += size
                use.places.append((number, place))
    return uses


def _worth_repacking(repository: LoadedRepository, name: FileName, use: _Use) -> bool:
    return use.used < use.total * REPACK_BELOW or repository.conditions.of_pack(name) is Condition.DAMAGED


# -- carrying it out -----------------------------------------------------------------------------------------------


def _repack(
    repository: WritableRepository, plan: _Plan, world: Environment, cancel: CancelToken, monitor: Monitor
) -> int:
    """Copy what is needed out of thin packs and drop them, batch by batch; returns the bytes won."""
    monitor.phase("repack", files=len(plan.thin))
    won = 0
    batch: list[FileName] = []
    size = 0
    for name in [*plan.thin, None]:
        if name is not None:
            batch.append(name)
            size += plan.uses[name].used
        if batch and (name is None or size >= _BATCH_BYTES):
            cancel.check()
            won += _repack_batch(repository, batch, plan.uses, world, cancel)
            monitor.advance(files=len(batch))
            batch, size = [], 0
    return won


def _repack_batch(
    repository: WritableRepository,
    batch: Sequence[FileName],
    uses: dict[FileName, _Use],
    world: Environment,
    cancel: CancelToken,
) -> int:
    before = sum(repository.packs[name] for name in batch)
    pipeline = PackPipeline(repository, world.entropy, read_back=True, cancel=cancel)
    reader = BlobReader(repository)
    stuck: set[FileName] = set()
    tables = list(repository.index.tables)
    try:
        for name in batch:
            for number, place in sorted(uses[name].places, key=lambda p: tables[p[0]].location(p[1]).segment.record):
                kind, blob_id = tables[number].location(place).segment.kind, tables[number].id_at(place)
                try:
                    pipeline.put(Kind(kind), blob_id, reader.read(Kind(kind), blob_id))
                except Damaged:
                    stuck.add(name)  # a damaged pack stays as long as something needs what can still be read of it
    except BaseException:
        pipeline.stop()
        raise
    written = pipeline.finish()
    drop_packs(repository, [name for name in batch if name not in stuck], world.entropy)
    return before - _size(repository, batch) - written
