"""One verification of a drive: what to read first, how much, and what it proves.

Owns: the order, the budget where none is given, what is remembered. Does not know: how a pack is checked.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from kinebackup.engine import Budget, Condition, DriveChanged, LoadedRepository, Secret, Verification
from kinebackup.model import CancelToken, FileName, Monitor, Problem, VerifyReport
from kinebackup.policy.job_kinds import JobKind
from kinebackup.practice.access import OpenDrive, PresentDrive, open_to_read
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.drive_faults import health_of
from kinebackup.practice.drive_files import drive_file_problems
from kinebackup.practice.drive_findings import BackupsGone, drive_problem
from kinebackup.practice.run_history import recorded, with_own_troubles
from kinebackup.practice.world import World
from kinebackup.state.records import RunCounts
from kinebackup.state.state_db import StateDb

AT_LEAST_BYTES = 2 * 10**9  # half a minute on most USB drives: below that, a part is not worth the name
SHARE_OF_THE_REST = 10
ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class VerifyJobRequest:
    """``budget`` None: what was never verified, and a tenth of the rest, so that ten runs go over the whole drive.

    ``one_in``: instead, what was never verified, and a part in so many of the drive. ``new_only``: what was never
    verified and nothing else, which is how a backup is read back before somebody unplugs the drive. ``headers``: of a
    key export.
    """

    budget: Budget | None = None
    secret: Secret | None = None
    one_in: int | None = None
    new_only: bool = False
    headers: tuple[bytes, ...] = ()


@dataclass(slots=True)
class _Checked:
    good: list[FileName] = field(default_factory=list)
    bad: list[FileName] = field(default_factory=list)

    def note(self, name: FileName, ok: bool) -> None:
        (self.good if ok else self.bad).append(name)


def run_verify(
    drive: PresentDrive,
    computer: ComputerKeys | None,
    request: VerifyJobRequest,
    world: World,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> VerifyReport:
    """Verify that drive. Without this computer's memory of it, everything is read.

    Raises ``NotFound``, ``WrongKey``, ``DriveFailed``, ``Cancelled``, ``Damaged`` where the drive cannot even be
    opened, or ``Locked`` where another run goes on changing the drive, so that nothing can be said. What it changed
    once is looked at anew: sound is a drive of which all that is there at the end is.
    """
    kind: JobKind = "verify-written" if request.new_only else "verify"
    with (
        recorded(kind, drive, computer, world) as note,
        open_to_read(drive, computer, request.secret, request.headers) as opened,
    ):
        note.of(opened)
        state = computer.state if computer is not None and drive.record is not None else None
        repository, report = _verify(opened, state, request, world, cancel, monitor)
        _conclude(repository, report, state, world)
        note.result = "problems" if report.healable else report.result  # failed: something would not come back
        note.counts = RunCounts(size_bytes=report.bytes_read, packs=report.packs_checked, problems=len(report.problems))
        note.problems = report.problems
        report = with_own_troubles(report, computer)
    return replace(report, health=health_of(drive.record, computer, world))


def _verify(
    opened: OpenDrive,
    state: StateDb | None,
    request: VerifyJobRequest,
    world: World,
    cancel: CancelToken,
    monitor: Monitor,
) -> tuple[LoadedRepository, VerifyReport]:
    """The repository as it was at the end, and the report. A pack that has passed is not read again."""
    repository = opened.repository
    passed: set[FileName] = set()
    bytes_read = 0
    for attempt in range(ATTEMPTS):
        order = _order(repository, state)
        wanted = order[: _never_verified(order, repository, state)] if request.new_only else order
        checked = _Checked()
        run = Verification(
            repository,
            [name for name in wanted if name not in passed],
            _budget(request, repository, state, spent=bytes_read),
            checked.note,
            cancel=cancel,
            monitor=monitor,
        )
        try:
            with _remembered(checked, repository, state, world):
                report = run.run(world.elapsed_s, _noticed(opened, request))
        except DriveChanged as changed:
            if attempt == ATTEMPTS - 1:
                raise
            passed.update(changed.passed)
            bytes_read += changed.bytes_read
            repository = repository.again()
        else:
            done = report.packs_checked + len(passed & repository.packs.keys())
            total = max(len(order), done)  # a pack that does not open is read although it is not its turn
            return repository, replace(
                report,
                complete=done == total,
                packs_checked=done,
                packs_total=total,
                bytes_read=report.bytes_read + bytes_read,
            )
    raise AssertionError("the last attempt returns or raises")


def _noticed(opened: OpenDrive, request: VerifyJobRequest) -> list[Problem]:
    """A backup that is gone says nothing against what was written a minute ago: that backup has told of it. Nor do the
    texts for people, which it has just brought up to date.
    """
    if request.new_only:
        return [drive_problem(found) for found in opened.findings if not isinstance(found, BackupsGone)]
    return [*map(drive_problem, opened.findings), *drive_file_problems(opened.repository.store)]


def _order(repository: LoadedRepository, state: StateDb | None) -> list[FileName]:
    """Packs that should be there come first: what their absence means is reported like any damage. Then those that
    failed before: whether that was a loose cable or has been mended is what a person wants to know of a part.
    """
    missing = sorted(repository.index.packs().keys() - repository.packs.keys())
    rest = state.oldest_checked_first(repository.id, repository.packs) if state else sorted(repository.packs)
    return [*missing, *sorted(rest, key=lambda name: not _is_damaged(repository, name))]


def _is_damaged(repository: LoadedRepository, name: FileName) -> bool:
    return repository.conditions.of_pack(name) in (Condition.DAMAGED, Condition.LOST)


def _never_verified(order: Sequence[FileName], repository: LoadedRepository, state: StateDb | None) -> int:
    """How many of the first of these are missing, damaged, or were never read to the end."""
    if state is None:
        return len(order)
    urgent = sum(_is_damaged(repository, name) for name in order)
    sound = [name for name in repository.packs if not _is_damaged(repository, name)]
    return urgent + state.pack_coverage(repository.id, sound).never_checked


def _budget(request: VerifyJobRequest, repository: LoadedRepository, state: StateDb | None, *, spent: int) -> Budget:
    """``spent``: the bytes that were read before something changed."""
    budget = _whole_budget(request, repository, state)
    return budget if budget.size_bytes is None else replace(budget, size_bytes=max(1, budget.size_bytes - spent))


def _whole_budget(request: VerifyJobRequest, repository: LoadedRepository, state: StateDb | None) -> Budget:
    if request.budget is not None or request.new_only:
        return request.budget or Budget()
    if state is None:
        return Budget()
    sizes = repository.packs
    never_checked = state.pack_coverage(repository.id, sizes).never_checked
    never = sum(sizes[name] for name in state.oldest_checked_first(repository.id, sizes)[:never_checked])
    total = sum(sizes.values())
    if request.one_in is not None:
        return Budget(size_bytes=never + -(-total // request.one_in))
    return Budget(size_bytes=max(AT_LEAST_BYTES, never + (total - never) // SHARE_OF_THE_REST))


@contextlib.contextmanager
def _remembered(checked: _Checked, repository: LoadedRepository, state: StateDb | None, world: World) -> Iterator[None]:
    """Remember each pack that was read, also where the run is stopped: the next one goes on from there."""
    try:
        yield
    finally:
        if state is not None:
            now = world.now()
            state.record_pack_checks(repository.id, checked.good, now, ok=True)
            state.record_pack_checks(repository.id, checked.bad, now, ok=False)
            state.forget_packs_except(repository.id, [*repository.packs, *checked.bad])


def _conclude(repository: LoadedRepository, report: VerifyReport, state: StateDb | None, world: World) -> None:
    """Snapshots of which every part has been read once are proven, unless a problem touches them."""
    if state is None:
        return
    coverage = state.pack_coverage(repository.id, repository.packs)
    touched = {FileName(snapshot) for problem in report.problems for snapshot in problem.snapshots}
    state.forget_snapshots(repository.id, touched)
    if coverage.never_checked:
        return
    proven_at = world.now() if report.complete else coverage.oldest_check or world.now()
    for named in repository.snapshots().readable:
        if named.id not in touched:
            state.record_snapshot_verified(repository.id, named.id, proven_at)
