"""Each run in this computer's memory: when it began, how it ended.

Owns: turning the end of a job, good or bad, into its record. Does not know: what the job does.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TypeVar

from kinebackup.errors import Cancelled, CheckFailed, Damaged, Locked
from kinebackup.i18n import _
from kinebackup.model import FileName, Problem, Report
from kinebackup.policy.job_kinds import JOB_KINDS, JobKind
from kinebackup.practice.access import PresentDrive
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.world import World
from kinebackup.state.records import RunCounts, RunResult

Told = TypeVar("Told", bound=Report)


@dataclass(slots=True)
class RunNote:
    """What a job fills in before it ends well."""

    result: RunResult = "cancelled"
    snapshot: FileName | None = None
    counts: RunCounts = field(default_factory=RunCounts)


@contextlib.contextmanager
def recorded(kind: JobKind, drive: PresentDrive, computer: ComputerKeys | None, world: World) -> Iterator[RunNote]:
    """Keep the record of one run. A drive that this computer does not know leaves none."""
    note = RunNote()
    if computer is None or drive.record is None:
        yield note
        return
    run = computer.state.begin_run(drive.record.repository, kind, world.now())
    try:
        yield note
    except BaseException as error:
        note.result = _result_of(error, kind)
        raise
    finally:
        computer.state.finish_run(run, world.now(), note.result, snapshot=note.snapshot, counts=note.counts)


def with_own_troubles(report: Told, computer: ComputerKeys | None) -> Told:
    """The report, and what kept this computer from noting the run: its own affair, and no drive's."""
    trouble = computer.state.untold_trouble() if computer is not None else None
    if trouble is None:
        return report
    message = _("{reason}, so this run is not noted on it").format(reason=trouble.message)
    return replace(report, problems=(*report.problems, Problem("computer", "/", message)))


def _result_of(error: BaseException, kind: JobKind) -> RunResult:
    """A check that was kept from running has proven nothing, good or bad: only damage makes it a failed one."""
    if isinstance(error, (Cancelled, Locked, KeyboardInterrupt)):
        return "cancelled"
    if JOB_KINDS[kind].is_check and not isinstance(error, (Damaged, CheckFailed)):
        return "cancelled"
    return "failed"
