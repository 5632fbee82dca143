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

from kinebackup.daemon.decide.events import AttachmentId, Device, JobId, KnownDrive
from kinebackup.policy.job_kinds import JOB_KINDS, JobKind
from kinebackup.policy.notices import NoticeKey as NoticeKey
from kinebackup.policy.reminders import Memory
from kinebackup.policy.schedule import Rules


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


class Trigger(StrEnum):
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


TRIGGER_OF_JOB: Final[Mapping[JobKind, Trigger]] = MappingProxyType(
    {kind: Trigger(traits.trigger) for kind, traits in JOB_KINDS.items()}
)
JOB_PHASES: Final = frozenset(Phase(traits.phase) for traits in JOB_KINDS.values())

_NEXT_JOB: Final[dict[Trigger, Phase]] = {
    **{Trigger(traits.trigger): Phase(traits.phase) for traits in JOB_KINDS.values()},
    Trigger.ENOUGH: Phase.UNMOUNTING,
    Trigger.PULLED: Phase.ABSENT,
}
_AT_WORK: Final[dict[Trigger, Phase]] = _NEXT_JOB | {Trigger.STOP: Phase.STOPPING}

TABLE: Final[Mapping[Phase, Mapping[Trigger, Phase]]] = MappingProxyType(
    {
        Phase.ABSENT: {Trigger.PLUGGED_IN: Phase.APPEARED},
        Phase.APPEARED: {
            Trigger.BEGIN: Phase.MOUNTING,
            Trigger.EJECT: Phase.UNMOUNTING,
            Trigger.PULLED: Phase.ABSENT,
        },
        Phase.MOUNTING: {
            Trigger.MOUNTED: Phase.AUTHENTICATING,
            Trigger.NOT_MOUNTED: Phase.APPEARED,
            Trigger.ENOUGH: Phase.UNMOUNTING,
            Trigger.PULLED: Phase.ABSENT,
        },
        Phase.AUTHENTICATING: _NEXT_JOB | {Trigger.NOT_OURS: Phase.UNMOUNTING},
        Phase.BACKING_UP: _AT_WORK,
        Phase.VERIFYING: _AT_WORK,
        Phase.TESTING: _AT_WORK,
        Phase.PRUNING: _AT_WORK,
        Phase.STOPPING: {Trigger.ENOUGH: Phase.UNMOUNTING, Trigger.PULLED: Phase.ABSENT},
        Phase.UNMOUNTING: {
            Trigger.UNMOUNTED: Phase.POWERING_OFF,
            Trigger.UNMOUNTED_TO_WAIT: Phase.APPEARED,
            Trigger.UNMOUNTED_AS_REFUSED: Phase.REFUSED,
            Trigger.NOT_UNMOUNTED: Phase.STUCK,
            Trigger.PULLED: Phase.ABSENT,
        },
        Phase.STUCK: {Trigger.EJECT: Phase.UNMOUNTING, Trigger.PULLED: Phase.ABSENT},
        Phase.POWERING_OFF: {
            Trigger.POWERED_OFF: Phase.SAFE,
            Trigger.POWER_OFF_REFUSED: Phase.SAFE,
            Trigger.PULLED: Phase.ABSENT,
        },
        Phase.SAFE: {Trigger.BEGIN: Phase.MOUNTING, Trigger.PULLED: Phase.ABSENT},
        Phase.REFUSED: {Trigger.PULLED: Phase.ABSENT},
    }
)

HAS_JOB: Final = JOB_PHASES | {Phase.STOPPING}
AT_WORK: Final = HAS_JOB | {Phase.MOUNTING, Phase.AUTHENTICATING, Phase.UNMOUNTING}
"""One drive at a time is at work: there is one worker, and the sources are read once."""

WAITING: Final = frozenset({Phase.APPEARED, Phase.SAFE})
"""Plugged in, not mounted: work can begin."""

NEEDS_UNMOUNT: Final = HAS_JOB | {Phase.AUTHENTICATING, Phase.UNMOUNTING, Phase.STUCK}
"""Pulled now, something may be lost that had not reached the drive."""

NO_ATTACHMENT: Final = AttachmentId(0)
NO_MEMORY: Final = Memory()

AfterUnmount = Literal["power-off", "wait", "refuse"]
Outcome = Literal["nothing", "saved", "failed"]


@dataclass(frozen=True, slots=True)
class Job:
    """The job that runs on a drive."""

    id: JobId
    kind: JobKind
    started: datetime


@dataclass(frozen=True, slots=True)
class DriveState:
    """One enrolled drive. Everything after ``attachment`` is about this attachment.

    ``orphaned_job``: the drive was pulled while that job ran, and its process has not reported yet; it outlives the
    attachment. ``plan``: the jobs still to do, the next one first. ``halted``: no further job before the drive has been
    unmounted. ``after_unmount``: what follows when it is. ``powered_off``: the kernel may forget a device that is still
    plugged in.
    """

    known: KnownDrive
    phase: Phase = Phase.ABSENT
    orphaned_job: JobId | None = None
    attachment: AttachmentId = NO_ATTACHMENT
    device: Device | None = None
    plan: tuple[JobKind, ...] = ()
    user_requested: bool = False
    job: Job | None = None
    halted: bool = False
    after_unmount: AfterUnmount = "power-off"
    outcome: Outcome = "nothing"
    since: datetime | None = None
    powered_off: bool = False


@dataclass(frozen=True, slots=True)
class State:
    """Everything the daemon knows. ``memory``, ``shown`` and ``alarm`` must be kept over a restart.

    ``drives`` are sorted by label.
    """

    rules: Rules
    drives: tuple[DriveState, ...] = ()
    next_attachment: int = 1
    next_job: int = 1
    memory: Memory = NO_MEMORY
    shown: frozenset[NoticeKey] = frozenset()
    alarm: bool = False
    asleep: bool = False
    ending: bool = False
    on_battery: bool = False
    inhibiting: bool = False
