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
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.layout import DAMAGED, SNAPSHOTS, marker_path, pack_directory, pack_path
from kinebackup.engine.format.removal import RemovedSnapshot
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.damage_markers import remove_markers
from kinebackup.engine.repository.findings import healed_header_copy, problem_of
from kinebackup.engine.repository.index_files import forget_lost_files, replace_index
from kinebackup.engine.repository.pack_pipeline import PackPipeline
from kinebackup.engine.repository.references import Marks, ReferenceWalk
from kinebackup.engine.repository.removals import Remover, read_removals, remove_snapshots, sequences_of
from kinebackup.engine.repository.repository import LoadedRepository, SnapshotFiles, WritableRepository
from kinebackup.errors import CheckFailed, Damaged
from kinebackup.i18n import _
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
class _Plan:
    """``doomed``: snapshots that go. ``dead``: packs of which nothing is needed; ``thin``: of which little is.

    ``problems``: snapshots that could not be read, and are given up, and removal records that cannot be read.
    """

    kept: int
    doomed: tuple[RemovedSnapshot, ...]
    dead: tuple[FileName, ...]
    thin: tuple[FileName, ...]
    uses: dict[FileName, _Use]
    problems: tuple[Problem, ...]


def preview_prune(
    repository: LoadedRepository,
    remove: Sequence[FileName],
    world: Environment,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> PruneReport:
    """What ``prune_snapshots`` would do. Raises ``CheckFailed`` as it does."""
    began = world.elapsed_s()
    plan = _plan(repository, remove, cancel, monitor)
    return _report(plan, _size(repository, plan.dead), world.elapsed_s() - began)


def prune_snapshots(
    repository: WritableRepository,
    remove: Sequence[FileName],
    world: Environment,
    *,
    by: Remover,
    cancel: CancelToken,
    monitor: Monitor,
) -> PruneReport:
    """Remove these snapshots and everything that only they needed.

    Raises ``CheckFailed`` where a snapshot that stays cannot be followed whole: what it needs could then not be told
    from what nobody needs. Nothing has been deleted in that case. What a verification has marked as damaged, and is so
    still, is given up: a snapshot that cannot be read goes too.
    """
    began = world.elapsed_s()
    plan = _plan(repository, remove, cancel, monitor)
    freed = _size(repository, plan.dead)
    repository.clear_temporary()
    remove_snapshots(repository, plan.doomed, by, world.entropy)
    _drop_packs(repository, plan.dead, world)
    freed += _repack(repository, plan, world, cancel, monitor)
    forget_lost_files(repository, world.entropy)
    there = {*repository.packs, *repository.list_names(SNAPSHOTS)}
    remove_markers(repository.store, [name for name in repository.list_names(DAMAGED) if name not in there])
    healed = tuple(healed_header_copy(name) for name in repository.heal_header())
    return _report(plan, freed, world.elapsed_s() - began, healed)


def _report(plan: _Plan, freed: int, duration_s: float, healed: tuple[Problem, ...] = ()) -> PruneReport:
    return PruneReport(
        snapshots_kept=plan.kept,
        snapshots_removed=tuple(each.id for each in plan.doomed),
        packs_removed=len(plan.dead),
        packs_repacked=len(plan.thin),
        bytes_freed=freed,
        duration_s=duration_s,
        problems=(*plan.problems, *healed),
    )


def _size(repository: LoadedRepository, packs: Sequence[FileName]) -> int:
    return sum(repository.packs.get(name, 0) for name in packs)


# -- what may go ---------------------------------------------------------------------------------------------------


def _plan(repository: LoadedRepository, remove: Sequence[FileName], cancel: CancelToken, monitor: Monitor) -> _Plan:
    if repository.inventory.has_unlistable_folders:
        raise CheckFailed(_("a folder of the drive cannot be listed, so nothing is deleted"), _hint())
    if repository.inventory.refused_index_files and not repository.inventory.knows_every_pack:
        raise CheckFailed(_("an index file of the drive cannot be read, so nothing is deleted"), _hint())
    monitor.phase("mark")
    files = repository.snapshots()
    doomed = set(remove) | _given_up(files, set(remove))
    kept = [named for named in files.readable if named.id not in doomed]
    uses = _uses(repository, _mark(repository, kept, cancel))
    records = read_removals(repository.store, repository.keys)
    return _Plan(
        kept=len(kept),
        doomed=tuple(sequences_of(doomed, files.readable)),
        dead=tuple(name for name, use in uses.items() if not use.used),
        thin=tuple(name for name, use in uses.items() if use.used and _worth_repacking(repository, name, use)),
        uses=uses,
        problems=(*map(problem_of, files.unreadable), *map(problem_of, records.unreadable)),
    )


def _hint() -> str:
    return _("run: kinebackup verify --full, then: kinebackup backup; both tell what is affected; then try again")


def _given_up(files: SnapshotFiles, remove: set[FileName]) -> set[FileName]:
    """Snapshots that cannot be read now and could not when a verification marked them: no passing fault of a cable.

    Raises ``CheckFailed`` for one that is doubtful only: what it needs is not known.
    """
    doubtful = [each for each in files.unreadable if each.condition is Condition.DOUBTFUL and each.name not in remove]
    if doubtful:
        text = _("{count} snapshots cannot be read, so it is not known what they need, and nothing is deleted")
        raise CheckFailed(text.format(count=len(doubtful)), _hint())
    return {each.name for each in files.unreadable}


def _mark(repository: LoadedRepository, kept: Sequence[NamedSnapshot], cancel: CancelToken) -> Marks:
    refused: list[Problem] = []
    walk = ReferenceWalk(repository, cancel, refused.append)
    for named in kept:
        walk.add(named)
    conditions = repository.conditions
    # In a pack that is damaged, or gone, a directory is lost for good, and with it the way to what it held; in one that
    # is doubtful only, it may come back with a better cable.
    passing = (Condition.SOUND, Condition.DOUBTFUL)
    unproven = [blob_id for blob_id in walk.unreadable if conditions.of_blob(blob_id) in passing]
    listed = repository.index.packs()
    if walk.missing and any(name not in listed and conditions.of_pack(name) in passing for name in repository.packs):
        unproven += walk.missing
    if refused or unproven:
        text = _("{count} folders or files of snapshots that stay cannot be followed, so nothing is deleted")
        raise CheckFailed(text.format(count=len(refused) + len(unproven)), _hint())
    return walk.marks


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


def _drop_packs(repository: WritableRepository, packs: Sequence[FileName], world: Environment) -> None:
    """Take packs out of the index, then off the drive."""
    if not packs:
        return
    replace_index(repository, repository.packs.keys() - set(packs), world.entropy)
    for name in packs:
        repository.store.remove(pack_path(name))
        repository.store.remove(marker_path(name))
    repository.forget_packs(packs)
    repository.store.sync_directories(sorted({pack_directory(name) for name in packs}))


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
    _drop_packs(repository, [name for name in batch if name not in stuck], world)
    return before - _size(repository, batch) - written
