"""The kinds of jobs that run on a drive, and everything that differs from one kind to the next, side by side.

Owns: the list, and one row for each kind. Does not know: how a job is done (worker/run.py), or when it is due
(schedule.py).

Whoever lists kinds of jobs derives the list from here: a new kind is one name, one row, and its branch in
worker/run.py, which mypy asks for.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from kinebackup.model import BackupReport, PruneReport, RepairReport, Report, RestoreTestReport, VerifyReport
from kinebackup.policy.notices import NoticeKind
from kinebackup.policy.phases import Phase

JobKind = Literal[
    "backup",
    "verify-written",  # only what the backups before it wrote: says nothing about the rest of the drive
    "verify",
    "restore-test",
    "prune",
    "repair",  # from another drive that is plugged in at the same time
]
"""The names of D-Bus, of the command line's JSON and of the run history: they do not change."""


@dataclass(frozen=True, slots=True)
class JobTraits:
    """One row.

    ``phase`` and ``trigger``: where the drive is while it runs, and what leads there (a value of
    ``daemon.decide.table.Trigger``). ``saves``: without it there is no new backup to rely on. ``is_check``: it proves
    something about what is on the drive, and proves nothing where it could not run. ``notice_of_defect``: what is said
    where it fails for a reason that has no notice of its own. ``progress_phase``: the phase of its ``Monitor`` that
    takes long, which names the bar of the command line.
    """

    report: type[Report]
    phase: Phase
    trigger: str
    notice_of_defect: NoticeKind
    progress_phase: str
    saves: bool = False
    is_check: bool = False


JOB_KINDS: Final[Mapping[JobKind, JobTraits]] = MappingProxyType(
    {
        "backup": JobTraits(
            report=BackupReport,
            phase=Phase.BACKING_UP,
            trigger="backup next",
            notice_of_defect=NoticeKind.BACKUP_FAILED,
            progress_phase="backup",
            saves=True,
        ),
        "verify-written": JobTraits(
            report=VerifyReport,
            phase=Phase.VERIFYING,
            trigger="verify next",
            notice_of_defect=NoticeKind.CHECK_NOT_DONE,
            progress_phase="verify",
            saves=True,
            is_check=True,
        ),
        "verify": JobTraits(
            report=VerifyReport,
            phase=Phase.VERIFYING,
            trigger="verify next",
            notice_of_defect=NoticeKind.CHECK_NOT_DONE,
            progress_phase="verify",
            is_check=True,
        ),
        "restore-test": JobTraits(
            report=RestoreTestReport,
            phase=Phase.TESTING,
            trigger="test next",
            notice_of_defect=NoticeKind.CHECK_NOT_DONE,
            progress_phase="restore-test",
            is_check=True,
        ),
        "prune": JobTraits(
            report=PruneReport,
            phase=Phase.PRUNING,
            trigger="prune next",
            notice_of_defect=NoticeKind.PRUNE_FAILED,
            progress_phase="mark",
        ),
        "repair": JobTraits(
            report=RepairReport,
            phase=Phase.REPAIRING,
            trigger="repair next",
            notice_of_defect=NoticeKind.CHECK_NOT_DONE,
            progress_phase="repair",
        ),
    }
)


def job_kind(text: str) -> JobKind:
    """Raises ``ValueError`` for a kind that there is not."""
    for kind in JOB_KINDS:
        if text == kind:
            return kind
    raise ValueError(f"no kind of job: {text!r}")
