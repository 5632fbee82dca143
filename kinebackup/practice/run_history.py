"""Each run in this computer's memory: when it began, how it ended.

Owns: turning the end of a job, good or bad, into its record, and what it met into faults of the drive. Does not know:
what the job does.
"""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from kinebackup.errors import Cancelled, CheckFailed, Damaged, Locked, WriteRefused
from kinebackup.i18n import _
from kinebackup.model import FileName, HealedFile, Problem, Report
from kinebackup.policy.job_kinds import JOB_KINDS, JobKind
from kinebackup.practice.access import OpenDrive, PresentDrive
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.drive_faults import faults_in, note_faults
from kinebackup.practice.world import World
from kinebackup.state.records import RunCounts, RunResult

Told = TypeVar("Told", bound=Report)


@dataclass(slots=True)
class RunNote:
    """What a job fills in. ``problems``: those of its report."""

    result: RunResult = "cancelled"
    snapshot: FileName | None = None
    counts: RunCounts = field(default_factory=RunCounts)
    problems: Sequence[Problem] = ()
    _opened: OpenDrive | None = None

    def of(self, opened: OpenDrive) -> None:
        """What is healed on that drive is remembered, also where the run does not come to its end."""
        self._opened = opened

    @property
    def healed(self) -> tuple[HealedFile, ...]:
        """What was damaged on the drive, and came back, so far."""
        return self._opened.repository.healed if self._opened is not None else ()


@contextlib.contextmanager
def recorded(kind: JobKind, drive: PresentDrive, computer: ComputerKeys | None, world: World) -> Iterator[RunNote]:
    """Keep the record of one run. A drive that this computer does not know leaves none."""
    note = RunNote()
    if computer is None or drive.record is None:
        yield note
        return
    run = computer.state.begin_run(drive.record.repository, kind, world.now())
    refused = False
    try:
        yield note
    except BaseException as error:
        note.result = _result_of(error, kind)
        refused = isinstance(error, WriteRefused)
        raise
    finally:
        met = faults_in(note.healed, note.problems)
        note_faults(drive.record, computer, world, healed=note.healed, problems=note.problems, refused=refused)
        counts = replace(note.counts, healed=sum(kind == "healable" for kind in met.values()))
        computer.state.finish_run(run, world.now(), note.result, snapshot=note.snapshot, counts=counts)


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
