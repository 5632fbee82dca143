"""In which phase a drive is, and what leads from one phase to the next.

Owns: the table of transitions, and the values that the daemon knows at any moment. Does not know: what an event means
for a drive, or what is done on entering a phase (machine.py).

The table is all there is: a sign that a phase does not list changes nothing. docs/MACHINE.md shows it as a picture.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from kinebackup.daemon.events import Device, JobId, KnownDrive, VisitId
from kinebackup.policy.notices import NoticeKind
from kinebackup.policy.reminders import Memory
from kinebackup.policy.schedule import JobKind, Rules


class Phase(StrEnum):
    """Where one drive stands."""

    ABSENT = "absent"
    APPEARED = "appeared"  # plugged in, not mounted, and nothing to do yet
    MOUNTING = "mounting"
    AUTHENTICATING = "authenticating"
    BACKING_UP = "backing up"
    VERIFYING = "verifying"
    TESTING = "testing"
    PRUNING = "pruning"
    STOPPING = "stopping"  # the job was asked to stop and has not yet
    UNMOUNTING = "unmounting"
    STUCK = "stuck"  # mounted, and somebody keeps it busy
    POWERING_OFF = "powering off"  # unmounted already
    SAFE = "safe to unplug"
    REFUSED = "refused"  # not mounted, and not to be written to


class Sign(StrEnum):
    """What an event comes down to for one drive."""

    PLUGGED_IN = "plugged in"
    PULLED = "pulled"
    BEGIN = "begin"
    MOUNTED = "mounted"
    NOT_MOUNTED = "not mounted"
    NOT_OURS = "not ours"
    BACKUP_NEXT = "backup next"
    VERIFY_NEXT = "verify next"
    TEST_NEXT = "test next"
    PRUNE_NEXT = "prune next"
    ENOUGH = "enough"  # no job is left, or none may be started
    STOP = "stop"
    EJECT = "eject"
    UNMOUNTED = "unmounted"  # and done with it
    UNMOUNTED_TO_WAIT = "unmounted, to wait"
    UNMOUNTED_AS_REFUSED = "unmounted, refused"
    NOT_UNMOUNTED = "not unmounted"
    POWERED_OFF = "powered off"
    POWER_OFF_REFUSED = "power-off refused"


_NEXT_JOB: Final[dict[Sign, Phase]] = {
    Sign.BACKUP_NEXT: Phase.BACKING_UP,
    Sign.VERIFY_NEXT: Phase.VERIFYING,
    Sign.TEST_NEXT: Phase.TESTING,
    Sign.PRUNE_NEXT: Phase.PRUNING,
    Sign.ENOUGH: Phase.UNMOUNTING,
    Sign.PULLED: Phase.ABSENT,
}
_AT_WORK: Final[dict[Sign, Phase]] = _NEXT_JOB | {Sign.STOP: Phase.STOPPING}

TABLE: Final[Mapping[Phase, Mapping[Sign, Phase]]] = MappingProxyType(
    {
        Phase.ABSENT: {Sign.PLUGGED_IN: Phase.APPEARED},
        Phase.APPEARED: {
            Sign.BEGIN: Phase.MOUNTING,
            Sign.EJECT: Phase.UNMOUNTING,
            Sign.PULLED: Phase.ABSENT,
        },
        Phase.MOUNTING: {
            Sign.MOUNTED: Phase.AUTHENTICATING,
            Sign.NOT_MOUNTED: Phase.APPEARED,
            Sign.ENOUGH: Phase.UNMOUNTING,
            Sign.PULLED: Phase.ABSENT,
        },
        Phase.AUTHENTICATING: _NEXT_JOB | {Sign.NOT_OURS: Phase.UNMOUNTING},
        Phase.BACKING_UP: _AT_WORK,
        Phase.VERIFYING: _AT_WORK,
        Phase.TESTING: _AT_WORK,
        Phase.PRUNING: _AT_WORK,
        Phase.STOPPING: {Sign.ENOUGH: Phase.UNMOUNTING, Sign.PULLED: Phase.ABSENT},
        Phase.UNMOUNTING: {
            Sign.UNMOUNTED: Phase.POWERING_OFF,
            Sign.UNMOUNTED_TO_WAIT: Phase.APPEARED,
            Sign.UNMOUNTED_AS_REFUSED: Phase.REFUSED,
            Sign.NOT_UNMOUNTED: Phase.STUCK,
            Sign.PULLED: Phase.ABSENT,
        },
        Phase.STUCK: {Sign.EJECT: Phase.UNMOUNTING, Sign.PULLED: Phase.ABSENT},
        Phase.POWERING_OFF: {
            Sign.POWERED_OFF: Phase.SAFE,
            Sign.POWER_OFF_REFUSED: Phase.SAFE,
            Sign.PULLED: Phase.ABSENT,
        },
        Phase.SAFE: {Sign.BEGIN: Phase.MOUNTING, Sign.PULLED: Phase.ABSENT},
        Phase.REFUSED: {Sign.PULLED: Phase.ABSENT},
    }
)

JOB_PHASES: Final = frozenset({Phase.BACKING_UP, Phase.VERIFYING, Phase.TESTING, Phase.PRUNING})
HAS_JOB: Final = JOB_PHASES | {Phase.STOPPING}
AT_WORK: Final = HAS_JOB | {Phase.MOUNTING, Phase.AUTHENTICATING, Phase.UNMOUNTING}
"""One drive at a time is at work: there is one worker, and the sources are read once."""

WAITING: Final = frozenset({Phase.APPEARED, Phase.SAFE})
"""Plugged in, not mounted: work can begin."""

NEEDS_UNMOUNT: Final = HAS_JOB | {Phase.AUTHENTICATING, Phase.UNMOUNTING, Phase.STUCK}
"""Pulled now, something may be lost that had not reached the drive."""

SIGN_OF_JOB: Final[Mapping[JobKind, Sign]] = MappingProxyType(
    {
        "backup": Sign.BACKUP_NEXT,
        "verify-written": Sign.VERIFY_NEXT,
        "verify": Sign.VERIFY_NEXT,
        "restore-test": Sign.TEST_NEXT,
        "prune": Sign.PRUNE_NEXT,
    }
)

NO_VISIT: Final = VisitId(0)
NO_MEMORY: Final = Memory()

Then = Literal["power-off", "wait", "refuse"]
Outcome = Literal["nothing", "saved", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """The job that runs on a drive."""

    id: JobId
    kind: JobKind
    started: datetime


@dataclass(frozen=True, slots=True)
class DriveState:
    """One enrolled drive. Everything after ``visit`` is about this visit.

    ``dead_job``: the drive was pulled while that job ran, and its thread has not reported yet; it outlives the visit.
    ``plan``: the jobs still to do, the next one first. ``halted``: no further job before the drive has been unmounted.
    ``then``: what follows when it is. ``powered_off``: the kernel may forget a device that is still plugged in.
    """

    known: KnownDrive
    phase: Phase = Phase.ABSENT
    dead_job: JobId | None = None
    visit: VisitId = NO_VISIT
    device: Device | None = None
    plan: tuple[JobKind, ...] = ()
    by_person: bool = False
    job: Job | None = None
    halted: bool = False
    then: Then = "power-off"
    outcome: Outcome = "nothing"
    since: datetime | None = None
    powered_off: bool = False


@dataclass(frozen=True, slots=True)
class Shown:
    """A notice that the desktop shows, or will show at the next login."""

    kind: NoticeKind
    drive: str


@dataclass(frozen=True, slots=True)
class State:
    """Everything the daemon knows. ``memory``, ``shown`` and ``alarm`` must be kept over a restart.

    ``drives`` are sorted by label.
    """

    rules: Rules
    drives: tuple[DriveState, ...] = ()
    next_visit: int = 1
    next_job: int = 1
    memory: Memory = NO_MEMORY
    shown: frozenset[Shown] = frozenset()
    alarm: bool = False
    asleep: bool = False
    ending: bool = False
    on_battery: bool = False
    inhibiting: bool = False
