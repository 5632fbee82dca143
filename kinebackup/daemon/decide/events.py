"""What can happen to the daemon: every event, as a value with its own time.

Owns: the closed union ``Event``. Does not know: where events come from, or what follows from them (machine.py).

A ``drive`` is the id of a drive, which is that of its repository: labels are for people, who may change them.

An *attachment* is the time from a drive's appearance to its disappearance; what answers a request names the attachment
of the request, so that an answer that comes after the drive was pulled and plugged in again is recognised. Jobs have
numbers for the same reason. Every ``StartJob`` is answered by exactly one ``JobFinished``, ``JobFailed`` or
``JobCancelled``, also where the drive has gone meanwhile: until then nothing else is started on that drive.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NewType

from kinebackup.model import Health, JobFailure, MountFailure, NotOurs, Place, Report
from kinebackup.policy.notices import NoticeKind
from kinebackup.policy.schedule import History, TickKind

ANY_DRIVE: Final = ""

AttachmentId = NewType("AttachmentId", int)
JobId = NewType("JobId", int)

SourceFinding = Literal["sound", "suspicious", "synced"]


@dataclass(frozen=True, slots=True)
class Device:
    """A filesystem that udev speaks of. Texts are empty and the number 0 where the kernel says nothing."""

    node: str
    fs_uuid: str
    part_uuid: str
    serial: str
    disk_sequence: int


@dataclass(frozen=True, slots=True)
class KnownDrive:
    """An enrolled drive, with what is remembered of it. Empty identifiers were not known when it was enrolled.

    ``label``: only for the order in which people see drives. ``health``: whether it is ageing.
    """

    id: str
    label: str
    place: Place
    fs_uuid: str
    part_uuid: str
    serial: str
    history: History
    health: Health = "good"


@dataclass(frozen=True, slots=True)
class _Happened:
    """``time`` is aware, and that of the computer's clock: it may be earlier than that of the event before."""

    time: datetime

    def __post_init__(self) -> None:
        if self.time.tzinfo is None:
            raise ValueError("an event without a time zone")


@dataclass(frozen=True, slots=True)
class _OfDrive(_Happened):
    drive: str


@dataclass(frozen=True, slots=True)
class _OfAttachment(_OfDrive):
    attachment: AttachmentId


@dataclass(frozen=True, slots=True)
class _OfJob(_OfDrive):
    job: JobId


@dataclass(frozen=True, slots=True)
class DrivesKnown(_Happened):
    """Which drives are enrolled, with their history: at the start, and after another process changed it."""

    drives: tuple[KnownDrive, ...]
    last_code_test: datetime | None


@dataclass(frozen=True, slots=True)
class DriveAppeared(_Happened):
    """A filesystem on a USB drive is there: found at the start, or added.

    The watcher reports a ``DriveVanished`` that it missed before the device that took the other's place.
    """

    device: Device


@dataclass(frozen=True, slots=True)
class DriveChanged(_Happened):
    """The kernel says that a device is not what it was: unlocked, formatted, another card in the reader."""

    device: Device


@dataclass(frozen=True, slots=True)
class DriveVanished(_Happened):
    """That device is gone."""

    device: Device


@dataclass(frozen=True, slots=True)
class Mounted(_OfAttachment):
    """Answers ``Mount``: mounted, in the daemon's namespace only."""


@dataclass(frozen=True, slots=True)
class MountFailed(_OfAttachment):
    """Answers ``Mount``. ``program`` keeps the drive busy, where that is known."""

    reason: MountFailure
    program: str = ""


@dataclass(frozen=True, slots=True)
class Authenticated(_OfAttachment):
    """Answers ``Authenticate``: the header on the drive is that of this drive of this practice."""


@dataclass(frozen=True, slots=True)
class Refused(_OfAttachment):
    """Answers ``Authenticate``: nothing may be written there."""

    reason: NotOurs


@dataclass(frozen=True, slots=True)
class HealthSeen(_OfDrive):
    """After a job: what was found wrong on that drive so far makes it this."""

    health: Health


@dataclass(frozen=True, slots=True)
class JobProgress(_OfJob):
    """The job is alive."""


@dataclass(frozen=True, slots=True)
class JobFinished(_OfJob):
    """The job came to its end; the report says whether that is a good one.

    ``problems``: how many of its problems are more than notes.
    """

    report: Report
    problems: int = 0


@dataclass(frozen=True, slots=True)
class JobFailed(_OfJob):
    """The job could not go on."""

    reason: JobFailure


@dataclass(frozen=True, slots=True)
class JobCancelled(_OfJob):
    """The job stopped as asked."""


@dataclass(frozen=True, slots=True)
class Unmounted(_OfAttachment):
    """Answers ``Unmount``: synced, unmounted, and in no mount table of this computer any more.

    Not ``complete``: it is unmounted, but did not take all that was written.
    """

    complete: bool = True


@dataclass(frozen=True, slots=True)
class UnmountFailed(_OfAttachment):
    """Answers ``Unmount``: still mounted somewhere."""

    program: str = ""


@dataclass(frozen=True, slots=True)
class PoweredOff(_OfAttachment):
    """Answers ``PowerOff``. The kernel forgets the device, so nobody can see any more whether it is plugged in."""


@dataclass(frozen=True, slots=True)
class PowerOffRefused(_OfAttachment):
    """Answers ``PowerOff``: the bridge cannot, which is harmless."""


@dataclass(frozen=True, slots=True)
class SourcesChecked(_Happened):
    """Somebody looked at the folders that are saved."""

    finding: SourceFinding


@dataclass(frozen=True, slots=True)
class Tick(_Happened):
    """The scheduler: it is time to look whether this is due. A tick too many does no harm."""

    what: TickKind


@dataclass(frozen=True, slots=True)
class BackUpNow(_Happened):
    """A person asks for a backup; of any drive: to the one that is here."""

    drive: str = ANY_DRIVE


@dataclass(frozen=True, slots=True)
class RestoreTestNow(_Happened):
    """A person asks for a restore test; of any drive: the one that is here."""

    drive: str = ANY_DRIVE


@dataclass(frozen=True, slots=True)
class Eject(_Happened):
    """A person wants to unplug; any drive: the one that is here."""

    drive: str = ANY_DRIVE


@dataclass(frozen=True, slots=True)
class Snooze(_Happened):
    """*Plus tard*: not before that (aware) time."""

    kind: NoticeKind
    drive: str
    until: datetime


@dataclass(frozen=True, slots=True)
class Acknowledge(_Happened):
    """*C'est fait*, *Vu*: the notice has served."""

    kind: NoticeKind
    drive: str


@dataclass(frozen=True, slots=True)
class Suspending(_Happened):
    """The computer is about to sleep."""


@dataclass(frozen=True, slots=True)
class Resumed(_Happened):
    """The computer is awake again."""


@dataclass(frozen=True, slots=True)
class ClockJumped(_Happened):
    """The clock was set; ``time`` is the new one."""


@dataclass(frozen=True, slots=True)
class PowerChanged(_Happened):
    """From mains to battery, or back."""

    on_battery: bool


@dataclass(frozen=True, slots=True)
class ShutdownRequested(_Happened):
    """The daemon must end: stop what can be resumed, unmount, start nothing."""


@dataclass(frozen=True, slots=True)
class SettingsRead(_Happened):
    """The configuration and this computer's memory were read, or could not be: then no drive is recognised."""

    readable: bool


@dataclass(frozen=True, slots=True)
class MassChange(_Happened):
    """Many files changed at once, in the way in which ransomware changes them."""


@dataclass(frozen=True, slots=True)
class AlarmLifted(_Happened):
    """A person who may do so says that the mass change was wanted."""


JobEnded = JobFinished | JobFailed | JobCancelled

Event = (
    DrivesKnown
    | DriveAppeared
    | DriveChanged
    | DriveVanished
    | Mounted
    | MountFailed
    | Authenticated
    | Refused
    | HealthSeen
    | JobProgress
    | JobFinished
    | JobFailed
    | JobCancelled
    | Unmounted
    | UnmountFailed
    | PoweredOff
    | PowerOffRefused
    | SourcesChecked
    | Tick
    | BackUpNow
    | RestoreTestNow
    | Eject
    | Snooze
    | Acknowledge
    | Suspending
    | Resumed
    | ClockJumped
    | PowerChanged
    | ShutdownRequested
    | SettingsRead
    | MassChange
    | AlarmLifted
)
