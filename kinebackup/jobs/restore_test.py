"""One restore test of a drive: files really brought back, to a private place that is empty again afterwards.

Owns: which snapshot is tested, the private places, what a success proves. Does not know: how files are restored or
compared.
"""

import contextlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from kinebackup.engine import Condition, RecoveryCode, RestoreTestRequest, Secret, Whose, problem_of, restore_test
from kinebackup.errors import NotFound
from kinebackup.i18n import _
from kinebackup.model import CancelToken, FileName, Monitor, Problem, RestoreTestReport
from kinebackup.practice.access import OpenDrive, PresentDrive, open_to_read
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.drive_findings import BackupsGone, drive_problem
from kinebackup.practice.run_history import recorded, with_own_troubles
from kinebackup.practice.world import World
from kinebackup.sources.private_folders import make_private_folder, sweep
from kinebackup.state.records import RunCounts

USUAL_FILES = 50
_PREFIX = "kinebackup-restore-test-"


@dataclass(frozen=True, slots=True)
class RestoreTestJobRequest:
    """``files`` None: all of them. ``seed`` None: a random one. ``scratch``: where private directories may be made."""

    scratch: Sequence[str]
    files: int | None = USUAL_FILES
    seed: int | None = None
    secret: Secret | None = None


def run_restore_test(
    drive: PresentDrive,
    computer: ComputerKeys | None,
    request: RestoreTestJobRequest,
    world: World,
    *,
    cancel: CancelToken,
    monitor: Monitor,
) -> RestoreTestReport:
    """Test the newest sound backup of this computer on that drive; where it has none, of any.

    With a secret, no key and no memory of this computer is used for it.

    Raises ``NotFound``, ``WrongKey``, ``DriveFailed``, ``Cancelled``, or ``Damaged`` where the drive cannot be opened
    at all.
    """
    seed = int.from_bytes(world.entropy(4), "big") if request.seed is None else request.seed
    with (
        recorded("restore-test", drive, computer, world) as note,
        open_to_read(drive, computer, request.secret) as opened,
    ):
        note.of(opened)
        if not opened.repository.snapshots().readable:
            report = _nothing_to_test(opened, seed)
        else:
            with private_places(request.scratch, world) as places:
                plan = RestoreTestRequest(
                    snapshot=opened.repository.find_snapshot("latest", _whose(computer)),
                    files=request.files,
                    seed=seed,
                    scratch=places,
                    key_slot=opened.key_slot,
                    # Files of this computer only: the same path on another one is another file.
                    compare_with_source=computer is not None and _is_of(computer, opened),
                    as_root=world.is_root,
                )
                report = restore_test(opened.repository, plan, world.elapsed_s, cancel=cancel, monitor=monitor)
        _remember(opened, computer, request, report, world)
        report = _with_doubts(report, opened, computer if request.secret is None else None)
        report = replace(report, healed=opened.repository.healed)
        note.problems = report.problems
        note.result = report.result
        note.snapshot = FileName(report.snapshot) if report.snapshot else None
        note.counts = RunCounts(
            files=report.files_tested, size_bytes=report.bytes_tested, problems=len(report.problems)
        )
        return with_own_troubles(report, computer)


def _is_of(computer: ComputerKeys, opened: OpenDrive) -> bool:
    return opened.repository.find_snapshot("latest", _whose(computer)).snapshot.machine == computer.machine


def _whose(computer: ComputerKeys | None) -> Whose:
    return Whose(computer.machine if computer else "")


def _with_doubts(report: RestoreTestReport, opened: OpenDrive, computer: ComputerKeys | None) -> RestoreTestReport:
    """A newer backup that cannot be read, or is gone, would not come back, however well an older one does.

    Whether an unreadable one is newer, only this computer's memory knows; a verification has reported it where it is
    marked, and then only the memory counts.
    """
    tested = next((s.snapshot.sequence for s in opened.repository.snapshots().readable if s.id == report.snapshot), 0)
    gone = [found for found in opened.findings if isinstance(found, BackupsGone) and found.newer_than(tested)]
    doubts = [drive_problem(found) for found in gone]
    unreadable = opened.repository.snapshots().unreadable
    seen = computer.state.snapshots.seen(opened.repository.id) if computer else ()
    newer = {each.id for each in seen if each.sequence > tested}
    doubts += [problem_of(each) for each in unreadable if each.condition is Condition.DOUBTFUL or each.name in newer]
    if not doubts or not report.snapshot:
        return report
    return replace(report, result="failed", problems=(*doubts, *report.problems))


def _nothing_to_test(opened: OpenDrive, seed: int) -> RestoreTestReport:
    """No backup, or none that can be read: nothing would come back."""
    problems = tuple(map(problem_of, opened.repository.snapshots().unreadable)) or (
        Problem("missing", "/", _("there is no backup on this drive")),
    )
    return RestoreTestReport(
        result="failed",
        snapshot="",
        files_tested=0,
        bytes_tested=0,
        files_compared_with_source=0,
        duration_s=0.0,
        seed=seed,
        key_slot=opened.key_slot,
        problems=problems,
    )


def _remember(
    opened: OpenDrive,
    computer: ComputerKeys | None,
    request: RestoreTestJobRequest,
    report: RestoreTestReport,
    world: World,
) -> None:
    if computer is None or opened.drive.record is None or not report.snapshot:
        return
    if report.result == "ok" and isinstance(request.secret, RecoveryCode):
        computer.state.record_code_test(world.now())
    snapshot, repository = FileName(report.snapshot), opened.repository.id
    if report.result == "failed":
        computer.state.forget_snapshots(repository, [snapshot])
    elif request.files is None and all(problem.kind == "incomplete" for problem in report.problems):
        computer.state.record_snapshot_verified(repository, snapshot, world.now())


@contextlib.contextmanager
def private_places(places: Sequence[str], world: World) -> Iterator[list[str]]:
    """A directory that only this user may enter in each of these places; at the end they are gone."""
    made: list[str] = []
    try:
        for place in places:
            sweep(place, _PREFIX)
            with contextlib.suppress(OSError):
                made.append(make_private_folder(place, _PREFIX, world.pid))
        if not made:
            raise NotFound(
                _("there is no private place to restore to for the test"),
                _("make room in /dev/shm or in the cache folder"),
            )
        yield made
    finally:
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
