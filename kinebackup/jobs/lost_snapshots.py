"""What is left of a snapshot whose own file is lost: folders to which nothing leads any more.

Owns: which of them are restored, where, and how it is told. Does not know: how they are found or written.
"""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from kinebackup.engine import (
    BlobReader,
    LoadedRepository,
    NamedSnapshot,
    RestoreRequest,
    TreeReader,
    Way,
    find_orphans,
    folder_as_snapshot,
    restore_snapshot,
)
from kinebackup.errors import NotFound
from kinebackup.model import CancelToken, Monitor, Problem, RestoreReport, Salvaged
from kinebackup.practice.world import World

FOLDER: Final = "kinebackup-lost-{mark}"  # below the destination, for each
_MARK_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class LostFolders:
    """A request for them. ``plan``: what to do with each; ``paths``: only what lies there in it; none means all."""

    plan: RestoreRequest
    paths: Sequence[str] = ()


def restore_lost_folders(
    repository: LoadedRepository,
    request: LostFolders,
    snapshots: Iterable[NamedSnapshot],
    world: World,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> RestoreReport | None:
    """Each into a folder of its own below the destination. None where there is none, or none with one of the paths."""
    total: RestoreReport | None = None
    for blob_id in find_orphans(repository, snapshots, cancel):
        folder = FOLDER.format(mark=blob_id.hex()[:_MARK_DIGITS])
        named = folder_as_snapshot(blob_id)
        ways = _ways(repository, named, request.paths)
        if request.paths and not ways:
            continue
        destination = os.path.join(request.plan.destination, folder)
        plan = replace(request.plan, snapshot=named, wanted=ways, destination=destination)
        report = restore_snapshot(repository, plan, world.elapsed_s, cancel=cancel, monitor=monitor)
        total = joined(total, _below(folder, report))
    return total


def _ways(repository: LoadedRepository, named: NamedSnapshot, paths: Sequence[str]) -> list[Way]:
    trees = TreeReader(BlobReader(repository), lambda _problem: None)
    found: list[Way] = []
    for path in paths:
        try:
            found.append(trees.find(named.snapshot.root, path))
        except NotFound:
            continue
    return found


def _below(folder: str, report: RestoreReport) -> RestoreReport:
    """With paths as they are below the destination: those in the folder alone would mislead."""
    return replace(
        report,
        problems=tuple(Problem(p.kind, f"/{folder}{p.path}", p.message) for p in report.problems),
        salvaged=tuple(Salvaged(f"/{folder}{each.path}", each.holes) for each in report.salvaged),
    )


def joined(first: RestoreReport | None, second: RestoreReport | None) -> RestoreReport | None:
    """Both as one."""
    if first is None or second is None:
        return first or second
    return RestoreReport(
        files_restored=first.files_restored + second.files_restored,
        files_skipped=first.files_skipped + second.files_skipped,
        bytes_restored=first.bytes_restored + second.bytes_restored,
        duration_s=first.duration_s + second.duration_s,
        problems=first.problems + second.problems,
        owners_by_number=tuple(dict.fromkeys(first.owners_by_number + second.owners_by_number)),
        incomplete=first.incomplete + second.incomplete,
        salvaged=first.salvaged + second.salvaged,
        folders_lost=first.folders_lost + second.folders_lost,
    )
