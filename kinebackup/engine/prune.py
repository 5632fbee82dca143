"""Deleting snapshots, and then what no snapshot needs any more.

Owns: marking, repacking, and the order in which things go. Does not know: which snapshots may go
(``policy.retention``).

A crash at any point loses nothing: snapshots go first, then the index is written anew without the packs that will go,
then the packs go. What is left over is found and removed by the next prune.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from kinebackup.engine.backup.backup import Environment
from kinebackup.engine.format import pack
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.index import merge
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.repository.committer import write_index
from kinebackup.engine.repository.index_files import forget_lost_files
from kinebackup.engine.repository.pack_pipeline import PackPipeline
from kinebackup.engine.repository.references import Marks, ReferenceWalk
from kinebackup.engine.repository.repository import BlobReader, Repository, clear_temporary, heal_header
from kinebackup.errors import CheckFailed, Damaged
from kinebackup.i18n import _
from kinebackup.model import CancelToken, FileName, Monitor, Problem, PruneReport

REPACK_BELOW = 0.7  # a pack with less than this share in use is rewritten
_BATCH_BYTES = 256 * 2**20  # rewritten and freed before the next batch begins: a nearly full drive needs no more room


@dataclass(slots=True)
class _Use:
    """How much of a pack is needed: bytes of plaintext."""

    used: int = 0
    total: int = 0
    places: list[tuple[int, int]] = field(default_factory=list)  # (table, place) of each blob that is needed


def prune_snapshots(
    repository: Repository,
    remove: Sequence[FileName],
    world: Environment,
    *,
    dry_run: bool,
    cancel: CancelToken,
    monitor: Monitor,
) -> PruneReport:
    """Remove these snapshots and everything that only they needed.

    The caller holds the writer lock and has called ``repository.load``. Raises ``CheckFailed`` where a snapshot that
    stays cannot be followed whole: what it needs could then not be told from what nobody needs. Nothing has been
    deleted in that case. What a verification has marked as damaged, and is so still, is given up: a snapshot that
    cannot be read goes too.
    """
    began = world.elapsed_s()
    if repository.hidden_folders:
        raise CheckFailed(_("a folder of the drive cannot be listed, so nothing is deleted"), _hint())
    monitor.phase("mark")
    known, problems = repository.snapshots()
    doomed = set(remove) | _given_up(repository, problems, set(remove))
    kept = [named for named in known if named.id not in doomed]
    marks = _mark(repository, kept, cancel)
    uses = _uses(repository, marks)
    dead = [name for name, use in uses.items() if not use.used]
    thin = [name for name, use in uses.items() if use.used and _worth_repacking(repository, name, use)]
    freed = sum(repository.present.get(name, 0) for name in dead)
    if not dry_run:
        clear_temporary(repository)
        _remove(repository, "snapshots", sorted(doomed))
        _drop_packs(repository, dead, world)
        freed += _repack(repository, thin, uses, world, cancel, monitor)
        forget_lost_files(repository, repository.load_problems, world.entropy)
        _clear_markers(repository)
        problems += heal_header(repository)
    return PruneReport(
        snapshots_kept=len(kept),
        snapshots_removed=tuple(sorted(doomed)),
        packs_removed=len(dead),
        packs_repacked=len(thin),
        bytes_freed=freed,
        duration_s=world.elapsed_s() - began,
        problems=tuple(problems),
    )


def _hint() -> str:
    return _("run: kinebackup verify --full, then: kinebackup backup; both tell what is affected; then try again")


def _given_up(repository: Repository, problems: Sequence[Problem], remove: set[FileName]) -> set[FileName]:
    """Snapshots that cannot be read now and could not when a verification marked them: no passing fault of a cable.

    Raises ``CheckFailed`` for one that could not be read now and is not marked: what it needs is not known.
    """
    unreadable = {FileName(problem.path.rpartition("/")[2]) for problem in problems}
    unproven = unreadable - repository.damaged_names - remove
    if unproven:
        text = _("{count} snapshots cannot be read, so it is not known what they need, and nothing is deleted")
        raise CheckFailed(text.format(count=len(unproven)), _hint())
    return unreadable


def _mark(repository: Repository, kept: Sequence[NamedSnapshot], cancel: CancelToken) -> Marks:
    refused: list[Problem] = []
    walk = ReferenceWalk(repository, cancel, refused.append)
    for named in kept:
        walk.add(named)
    # In a pack that is marked as damaged, or gone, a directory is lost for good, and with it the way to what it held.
    unproven = [blob_id for blob_id in walk.unreadable if repository.index.has(blob_id)]
    unknown_packs = repository.present.keys() - repository.index.packs().keys() - repository.damaged_names
    if walk.missing and unknown_packs:
        unproven += walk.missing
    if refused or unproven:
        text = _("{count} folders or files of snapshots that stay cannot be followed, so nothing is deleted")
        raise CheckFailed(text.format(count=len(refused) + len(unproven)), _hint())
    return walk.marks


def _uses(repository: Repository, marks: Marks) -> dict[FileName, _Use]:
    uses = {name: _Use() for name in repository.present}
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


def _worth_repacking(repository: Repository, name: FileName, use: _Use) -> bool:
    return use.used < use.total * REPACK_BELOW or name in repository.damaged_names


def _clear_markers(repository: Repository) -> None:
    """Of packs and snapshots that are there no more."""
    there = {*repository.present, *repository.list_names("snapshots")}
    stale = [name for name in repository.list_names("damaged") if name not in there]
    if stale:
        _remove(repository, "damaged", stale)


def _remove(repository: Repository, directory: str, names: Sequence[str]) -> None:
    for name in names:
        repository.store.remove(f"{directory}/{name}")
    repository.store.sync_directories([directory])


def _drop_packs(repository: Repository, packs: Collection[FileName], world: Environment) -> None:
    """Take packs out of the index, then off the drive."""
    if not packs:
        return
    listed = repository.list_names("index")
    keep = repository.present.keys() - set(packs)
    written = {write_index(repository, plain, world.entropy) for plain in merge(repository.index.tables, keep)}
    _remove(repository, "index", [name for name in listed if name not in written])
    for name in packs:
        repository.store.remove(pack.path_of(name))
        repository.store.remove(f"damaged/{name}")
        repository.present.pop(name, None)
    # Else a repacking run would list, with its own packs, those of an interrupted run that have just gone.
    repository.unlisted = [item for item in repository.unlisted if item.name in repository.present]
    repository.store.sync_directories(sorted({f"packs/{name[:2]}" for name in packs}))


def _repack(
    repository: Repository,
    thin: Sequence[FileName],
    uses: dict[FileName, _Use],
    world: Environment,
    cancel: CancelToken,
    monitor: Monitor,
) -> int:
    """Copy what is needed out of thin packs and drop them, batch by batch; returns the bytes won."""
    monitor.phase("repack", files=len(thin))
    won = 0
    batch: list[FileName] = []
    size = 0
    for name in [*thin, None]:
        if name is not None:
            batch.append(name)
            size += uses[name].used
        if batch and (name is None or size >= _BATCH_BYTES):
            cancel.check()
            won += _repack_batch(repository, batch, uses, world, cancel)
            monitor.advance(files=len(batch))
            batch, size = [], 0
    return won


def _repack_batch(
    repository: Repository,
    batch: Sequence[FileName],
    uses: dict[FileName, _Use],
    world: Environment,
    cancel: CancelToken,
) -> int:
    before = sum(repository.present[name] for name in batch)
    packer = PackPipeline(repository, world.entropy, read_back=True, cancel=cancel)
    reader = BlobReader(repository)
    stuck: set[FileName] = set()
    tables = list(repository.index.tables)
    try:
        for name in batch:
            for number, place in sorted(uses[name].places, key=lambda p: tables[p[0]].location(p[1]).segment.record):
                kind, blob_id = tables[number].location(place).segment.kind, tables[number].id_at(place)
                try:
                    packer.put(Kind(kind), blob_id, reader.read(Kind(kind), blob_id))
                except Damaged:
                    stuck.add(name)  # a damaged pack stays as long as something needs what can still be read of it
    except BaseException:
        packer.stop()
        raise
    written = packer.finish()
    gone = [name for name in batch if name not in stuck]
    _drop_packs(repository, gone, world)
    return before - sum(repository.present.get(name, 0) for name in batch) - written
