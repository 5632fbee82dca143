"""Making a drive sound again: everything that its snapshots need comes to lie in sound files, or is named as lost.

Owns: the order of the steps, and what is reported. Does not know: other drives than the one it is given, or who asked.

A crash at any point loses nothing: what is healed is renamed over the damaged file, what is taken from elsewhere goes
into new packs, as a backup's does; index files are replaced when the new ones are durable, and a damaged pack goes only
when nothing needs it any more.
"""

from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final

from kinebackup.engine.environment import Environment
from kinebackup.engine.findings import problem_of
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.layout import (
    DAMAGED,
    INDEX,
    PACKS,
    PARITY_SUFFIX,
    REMOVALS,
    SNAPSHOTS,
    index_path,
    pack_path,
    parity_path,
    removal_path,
    snapshot_path,
)
from kinebackup.engine.format.snapshot import NamedSnapshot
from kinebackup.engine.prune.missing_snapshots import MissingSnapshots, find_missing_snapshots
from kinebackup.engine.repair.needed import NeededParts
from kinebackup.engine.repair.parts import PartReader, other_drive_failed
from kinebackup.engine.repair.survey import Survey, survey_packs, survey_small_files
from kinebackup.engine.repository.condition import Condition
from kinebackup.engine.repository.damage_markers import remove_markers
from kinebackup.engine.repository.files import write_file
from kinebackup.engine.repository.index_files import drop_packs, forget_lost_files
from kinebackup.engine.repository.inventory import read_named
from kinebackup.engine.repository.pack_pipeline import PackPipeline
from kinebackup.engine.repository.redundancy.completing import complete_parity
from kinebackup.engine.repository.references import trace
from kinebackup.engine.repository.repository import LoadedRepository, WritableRepository
from kinebackup.engine.repository.store import Store, Unlistable
from kinebackup.errors import Damaged, DriveFailed, NotFound
from kinebackup.i18n import _, ngettext
from kinebackup.model import (
    BlobId,
    CancelToken,
    FileName,
    LostPart,
    Monitor,
    Problem,
    RepairedFile,
    RepairReport,
    SeenSnapshot,
)

MOST_LOST: Final = 10_000  # named one by one; a longer list tells nobody more
_EVERYTHING: Final = 2**63

_KIND_OF: Final = {INDEX: "index", SNAPSHOTS: "snapshot", REMOVALS: "removal", PACKS: "pack"}


@dataclass(frozen=True, slots=True)
class RepairRequest:
    """``other``: another drive of the practice, called ``from_drive``, that gives what this one has lost.

    ``known_only``: what earlier runs found damaged is looked at, and not the whole drive. ``seen``: the snapshots that
    this computer remembers of it. ``on_checked`` is told of each pack that was read whether it is sound now.
    """

    drive: str
    from_drive: str | None = None
    other: LoadedRepository | None = None
    known_only: bool = False
    seen: Collection[SeenSnapshot] = ()
    on_checked: Callable[[FileName, bool], None] = lambda _name, _ok: None


@dataclass(slots=True)
class _Written:
    """What was written anew: of which packs, how many parts of each, and whether the other drive gave one of them."""

    size_bytes: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    from_other: set[str] = field(default_factory=set)
    lost: set[BlobId] = field(default_factory=set)


def repair_repository(
    repository: WritableRepository, request: RepairRequest, world: Environment, *, cancel: CancelToken, monitor: Monitor
) -> RepairReport:
    """Repair what can be repaired. Opening it to write has healed what was read until then.

    Raises ``DriveFailed``, ``OtherDriveFailed`` or ``Cancelled``; what was repaired until then stays.
    """
    began = world.elapsed_s()
    headers = repository.prepare()
    survey = Survey()
    repository = _surveyed(repository, request, survey, cancel, monitor)
    missing = find_missing_snapshots(repository, request.seen)
    taken = _snapshots_of(request.other, repository, missing)
    reader = PartReader(repository, request.other)
    needed = NeededParts(repository, reader, cancel)
    monitor.phase("mark")
    for named in (*reversed(repository.snapshots().readable), *(named for named, _data in taken)):
        needed.add(named.snapshot)
    written = _write_parts(repository, needed, reader, world, cancel, monitor)
    brought = _write_snapshots(repository, taken)
    damaged_index = repository.inventory.damaged_index_files
    forget_lost_files(repository, world.entropy)
    lost = _lost(repository, needed.lost | written.lost, find_missing_snapshots(repository, request.seen))
    if not lost and _knows_all(repository):
        drop_packs(repository, sorted(survey.bad & repository.packs.keys()), world.entropy)
    owed = _marked_parity(repository.store)
    told = complete_parity(repository, cancel, most_bytes=_EVERYTHING)
    cancel.check()
    mended_parity = sorted(owed - _marked_parity(repository.store))
    left = _left(repository)
    repaired = [
        *(RepairedFile("header", name, "drive") for name in headers),
        *(_healed_file(each.path) for each in repository.healed if each.rewritten),
        *(RepairedFile("index", index_path(name), "drive") for name in sorted(damaged_index)),
        *(RepairedFile("snapshot", snapshot_path(name), "other-drive") for name in brought),
        *(
            RepairedFile("pack", path, "other-drive" if path in written.from_other else "drive", parts)
            for path, parts in sorted(written.parts.items())
        ),
        *(RepairedFile("parity", parity_path(name), "drive") for name in mended_parity),
    ]
    return RepairReport(
        drive=request.drive,
        from_drive=request.from_drive,
        snapshots=len(repository.snapshots().readable),
        complete=not request.known_only,
        repaired=tuple(repaired),
        lost=tuple(lost[:MOST_LOST]),
        lost_count=len(lost),
        bytes_read=survey.bytes_read,
        bytes_written=written.size_bytes,
        duration_s=world.elapsed_s() - began,
        problems=(*left, *told),
        healed=repository.healed,
    )


# -- what is damaged -----------------------------------------------------------------------------------------------


def _surveyed(
    repository: WritableRepository, request: RepairRequest, survey: Survey, cancel: CancelToken, monitor: Monitor
) -> WritableRepository:
    """The repository as it is now known to be: what is damaged is marked, and what only seemed so is not any more."""
    if not request.known_only:
        survey_small_files(repository, survey)
    names = sorted(repository.packs)
    if request.known_only:
        names = [name for name in names if repository.conditions.of_pack(name) is not Condition.SOUND]
    survey_packs(repository, names, survey, request.on_checked, cancel=cancel, monitor=monitor)
    repository.snapshots_anew()
    return repository.load()


def _knows_all(repository: WritableRepository) -> bool:
    """Whether nothing may be needed that nobody can see."""
    files, removals = repository.snapshots(), repository.removals()
    known = files.whole and removals.whole and not files.unreadable and not removals.unreadable
    return known and not repository.inventory.has_unlistable_folders and bool(files.readable)


# -- what is written -----------------------------------------------------------------------------------------------


def _write_parts(
    repository: WritableRepository,
    needed: NeededParts,
    reader: PartReader,
    world: Environment,
    cancel: CancelToken,
    monitor: Monitor,
) -> _Written:
    """All that is wanted goes into new packs, as far as somebody has it."""
    written = _Written()
    if not needed.wanted:
        return written
    monitor.phase("repair", files=len(needed.wanted))
    pipeline = PackPipeline(repository, world.entropy, read_back=True, cancel=cancel)
    try:
        for blob_id, kind in needed.wanted.items():
            cancel.check()
            _write_part(repository, pipeline, reader, kind, blob_id, written)
            monitor.advance(files=1)
    except BaseException:
        pipeline.stop()
        raise
    written.size_bytes = pipeline.finish()
    return written


def _write_part(
    repository: WritableRepository,
    pipeline: PackPipeline,
    reader: PartReader,
    kind: Kind,
    blob_id: BlobId,
    written: _Written,
) -> None:
    lay_in = next((pack_path(at.pack) for at in repository.index.locations(blob_id)), PACKS)
    try:
        plain = reader.read(kind, blob_id)
    except Damaged:
        written.lost.add(blob_id)
        return
    if repository.index.claim(blob_id):
        pipeline.put(kind, blob_id, plain)
        written.parts[lay_in] = written.parts.get(lay_in, 0) + 1
        if blob_id in reader.from_other:
            written.from_other.add(lay_in)


def _snapshots_of(
    other: LoadedRepository | None, repository: WritableRepository, missing: MissingSnapshots
) -> list[tuple[NamedSnapshot, bytes]]:
    """Snapshots that this drive should have. Only a copy of it has them: each drive's are sealed for it alone."""
    if other is None or other.id != repository.id:
        return []
    files = repository.snapshots()
    awaited = {each.id for each in missing.named} | {each.name for each in files.unreadable if each.is_damage}
    there = {named.id for named in files.readable}
    found: list[tuple[NamedSnapshot, bytes]] = []
    try:
        for named in other.snapshots().readable:
            if named.id not in there and (named.id in awaited or missing.has_number(named.snapshot.sequence)):
                with suppress(Damaged, NotFound):
                    found.append((named, read_named(other.store, snapshot_path(named.id))))
    except DriveFailed as error:
        raise other_drive_failed(error) from error
    return found


def _write_snapshots(repository: WritableRepository, taken: Sequence[tuple[NamedSnapshot, bytes]]) -> list[FileName]:
    """What they need is durable by now, as far as there is any; the names of those that are on the drive again."""
    brought: list[FileName] = []
    with repository.changing_snapshots():
        for named, data in taken:
            path = snapshot_path(named.id)
            with suppress(Damaged):  # a folder stands in its place, with something in it
                write_file(repository.store, path, data)
                repository.parity.owe_copy(path, data)
                brought.append(named.id)
    if brought:
        remove_markers(repository.store, brought)
        repository.snapshots_anew()
    return brought


# -- what is told --------------------------------------------------------------------------------------------------


def _healed_file(path: str) -> RepairedFile:
    return RepairedFile(_KIND_OF.get(path.partition("/")[0], "file"), path, "parity")


def _lost(repository: WritableRepository, blobs: Collection[BlobId], missing: MissingSnapshots) -> list[LostPart]:
    """Backups that are gone or do not open, then what those that open lack, by path."""
    files = repository.snapshots()
    lost = [
        LostPart("snapshot", snapshot_path(each.name), each.reason, (each.name,))
        for each in files.unreadable
        if each.is_damage
    ]
    gone = _("this backup is not on the drive any more")
    lost += [LostPart("snapshot", snapshot_path(each.id), gone, (each.id,)) for each in missing.named]
    nameless = missing.count - len(missing.named)
    if nameless > 0:
        text = ngettext(
            "{count} more backup is not on the drive any more",
            "{count} more backups are not on the drive any more",
            nameless,
        )
        lost.append(LostPart("snapshot", SNAPSHOTS, text.format(count=nameless)))
    lost += [LostPart("removal", removal_path(each.name), each.reason) for each in repository.removals().unreadable]
    found = trace(repository, files.readable, blobs)
    of_file = _("a part of this file is nowhere any more; the next backup saves it again if it still exists")
    of_folder = _("the list of what is in this folder is nowhere any more; the next backup makes it again")
    for path, names in sorted(found.paths.items()):
        is_folder = path in found.folders
        lost.append(
            LostPart("folder" if is_folder else "file", path, of_folder if is_folder else of_file, tuple(names))
        )
    return lost


def _left(repository: WritableRepository) -> list[Problem]:
    """What is wrong with the drive all the same: what the drive refuses, or what had no room."""
    inventory = repository.load().inventory
    problems = [problem_of(found) for found in inventory.findings if not inventory.is_known(found)]
    message = _("it is damaged and can be read all the same, but could not be written to the drive again")
    problems += [
        Problem("damaged", each.path, message, healable=True)
        for each in repository.healed
        if not each.rewritten and not each.path.startswith(PACKS)
    ]
    return problems


def _marked_parity(store: Store) -> set[FileName]:
    """Parity files that a verification, or this run, found bad."""
    try:
        infos = store.list_files(DAMAGED)
    except Unlistable as error:
        infos = error.found
    suffix = PARITY_SUFFIX
    return {FileName(info.name.removesuffix(suffix)) for info in infos if info.name.endswith(suffix)}
