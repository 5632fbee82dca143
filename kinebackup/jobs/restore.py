"""Restoring as a job: is the destination fit, what is meant, then the engine.

Owns: what a destination must not be, and the meaning of the paths that a person gives. Does not know: how files are
written (engine/restore/restore.py), or how the drive was opened.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from kinebackup.drives.judge_path import judge_restore_destination_at
from kinebackup.engine import (
    Lacking,
    LoadedRepository,
    NamedSnapshot,
    Overwrite,
    RestoreRequest,
    Whose,
    find_lacking,
    folder_as_snapshot,
    layout,
    restore_snapshot,
)
from kinebackup.errors import Damaged, KineError, Locked, NotFound, TargetRefused
from kinebackup.i18n import _
from kinebackup.jobs.browse import Browser
from kinebackup.jobs.lost_snapshots import LostFolders, joined, restore_lost_folders
from kinebackup.model import BlobId, CancelToken, Incomplete, Monitor, Problem, RestoreReport, folder_not_made
from kinebackup.policy.verdicts import TargetWarning
from kinebackup.practice.world import World


@dataclass(frozen=True, slots=True)
class RestoreJobRequest:
    """What a person asks for. ``paths``: absolute, or relative to the sources; none means everything.

    ``numeric_owner``: owners by number, whoever has that number here.
    """

    snapshot: str
    paths: Sequence[str]
    destination: str
    overwrite: Overwrite = "never"
    dry_run: bool = False
    whose: Whose = field(default_factory=Whose)  # which computer's snapshots are meant
    numeric_owner: bool = False
    salvage: bool = False


@dataclass(frozen=True, slots=True)
class Restored:
    """The snapshot that was meant, None where it is lost and only folders of it are left, and what came of it."""

    named: NamedSnapshot | None
    report: RestoreReport


def check_destination(path: str, world: World, *, allow_cloud: bool) -> tuple[TargetWarning, ...]:
    """What is to be said about a destination, which need not exist yet.

    Raises ``TargetRefused`` for one that a cloud synchronises, unless allowed, and for one inside a repository.
    """
    real = os.path.realpath(path)
    holder = _repository_around(real)
    if holder is not None:
        raise TargetRefused(
            _("{path} lies inside the backup {folder}").format(path=path, folder=holder),
            _("choose a folder of this computer"),
        )
    verdict = judge_restore_destination_at(real, system=world.system)
    if not verdict.accepted and not (allow_cloud and verdict.reason == "cloud"):
        hint = verdict.hint
        if verdict.reason == "cloud":
            hint = _("{hint}; --allow-cloud-destination restores there all the same").format(hint=hint)
        raise TargetRefused(verdict.message, hint)
    on_drive = _drive_around(real)
    if on_drive is None:
        return verdict.warnings
    unsealed = TargetWarning(
        _("{path} is on the backup drive").format(path=path),
        _("restored files are not encrypted there: move them soon"),
    )
    return (unsealed, *verdict.warnings)


def _parents(path: str) -> Sequence[str]:
    """The path itself and every folder above it."""
    found = [path]
    while os.path.dirname(found[-1]) != found[-1]:
        found.append(os.path.dirname(found[-1]))
    return found


def _is_repository(folder: str) -> bool:
    return any(os.path.exists(os.path.join(folder, name)) for name in layout.HEADER_COPIES)


def _repository_around(path: str) -> str | None:
    return next((p for p in _parents(path) if os.path.basename(p) == layout.FOLDER and _is_repository(p)), None)


def _drive_around(path: str) -> str | None:
    return next((p for p in _parents(path) if _is_repository(os.path.join(p, layout.FOLDER))), None)


def restore_files(
    repository: LoadedRepository,
    request: RestoreJobRequest,
    world: World,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> Restored:
    """Bring back what is asked for. ``check_destination`` has been called.

    Raises ``NotFound`` for an unknown snapshot or path, ``KineError`` where the destination cannot be used, ``Locked``
    where another process removed the snapshot meanwhile.
    """
    snapshots = repository.snapshots().readable
    try:
        named = repository.find_snapshot(request.snapshot, request.whose)
    except (NotFound, Damaged) as error:
        if not request.salvage or any(known.id.startswith(request.snapshot) for known in snapshots):
            raise
        lost = _salvage_lost(repository, request, snapshots, world, cancel=cancel, monitor=monitor)
        if lost is None:
            raise error from None
        return Restored(None, replace(lost, healed=repository.healed))
    browser = Browser(repository, cancel)
    wanted = [way for path in request.paths for way in browser.resolve(named.snapshot, path)]
    problems = [replace(each, snapshots=(named.id,)) for each in dict.fromkeys(browser.problems)]
    lacking = find_lacking(repository, named, wanted, snapshots)
    problems += [_problem_of(each, named, snapshots) for each in lacking]
    for problem in problems:
        monitor.problem(problem)
    if not request.dry_run:
        _make(request.destination)
    plan = RestoreRequest(
        snapshot=named,
        wanted=wanted,
        destination=request.destination,
        overwrite=request.overwrite,
        dry_run=request.dry_run,
        as_root=world.is_root,
        names=None if request.numeric_owner else world.names,
        salvage=request.salvage,
    )
    report = restore_snapshot(repository, plan, world.elapsed_s, cancel=cancel, monitor=monitor)
    if any(problem.kind == "damaged" for problem in report.problems) and repository.is_gone(named.id):
        raise Locked(
            _("another KineBackup removed this backup while it was being restored"),
            _("what is there is whole; restore the rest from another backup: kinebackup snapshots"),
        )
    report = replace(
        report,
        problems=(*problems, *report.problems),
        incomplete=tuple(Incomplete(each.path, each.newest.id if each.newest else None) for each in lacking),
    )
    if request.salvage and report.folders_lost:  # what was in them may still be there, only without its name
        folders = LostFolders(plan)
        more = restore_lost_folders(repository, folders, snapshots, world, cancel=cancel, monitor=monitor)
        report = joined(report, more) or report
    return Restored(named, replace(report, healed=repository.healed))


def _salvage_lost(
    repository: LoadedRepository,
    request: RestoreJobRequest,
    snapshots: Sequence[NamedSnapshot],
    world: World,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> RestoreReport | None:
    """What is left of a snapshot whose own file is lost; None where nothing is that no other snapshot has."""
    if not request.dry_run:
        _make(request.destination)
    plan = RestoreRequest(
        snapshot=folder_as_snapshot(BlobId(b"")),
        wanted=(),
        destination=request.destination,
        overwrite=request.overwrite,
        dry_run=request.dry_run,
        as_root=world.is_root,
        salvage=True,
    )
    folders = LostFolders(plan, request.paths)
    report = restore_lost_folders(repository, folders, snapshots, world, cancel=cancel, monitor=monitor)
    if report is None:
        return None
    text = _("the file of this backup is lost: what came back are the folders that no other backup leads to")
    problem = Problem("missing", f"{layout.SNAPSHOTS}/{request.snapshot}", text)
    monitor.problem(problem)
    return replace(report, problems=(problem, *report.problems))


def _problem_of(lacking: Lacking, named: NamedSnapshot, snapshots: Sequence[NamedSnapshot]) -> Problem:
    newest = lacking.newest
    if lacking.note:
        text = _("it is of a kind that is not saved")
        return Problem("skipped", lacking.path, text, (named.id,))
    if lacking.carried:
        held = next((each for each in snapshots if each.snapshot.sequence == lacking.carried), None)
        text = _("this backup could not read it: it comes back as an earlier one has it")
        if held is not None:
            text = _("this backup could not read it: it comes back as it was on {time}").format(time=_time(held))
    else:
        text = _("this backup could not read it: it does not have it")
    if newest is not None and newest.snapshot.sequence != lacking.carried:
        text = _("{what}; the newest backup that has it is {name} of {time}").format(
            what=text, name=newest.id[:12], time=_time(newest)
        )
    elif newest is None:
        text = _("{what}; no other backup of this drive has it").format(what=text)
    return Problem("incomplete", lacking.path, text, (named.id,))


def _time(named: NamedSnapshot) -> str:
    return named.snapshot.time[:16].replace("T", " ")


def _make(destination: str) -> None:
    """A folder that is made for patient files is closed to others."""
    try:
        os.makedirs(destination, mode=0o700, exist_ok=True)
    except OSError as error:
        raise folder_not_made(destination, error, _("choose another place with --to")) from None
    if not os.access(destination, os.W_OK | os.X_OK):
        raise KineError(
            _("nothing may be written to {path}").format(path=destination), _("choose another place with --to")
        )
