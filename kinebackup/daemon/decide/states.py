"""What the daemon knows at any moment.

Owns: the values. Does not know: what leads from one to the next (table.py for one drive, machine.py for all).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from kinebackup.daemon.decide.events import AttachmentId, Device, JobId, KnownDrive
from kinebackup.daemon.decide.table import ABSENT, Intent, Position
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import ActiveNotice, NoticeKey
from kinebackup.policy.phases import Phase
from kinebackup.policy.reminders import Memory
from kinebackup.policy.schedule import Rules

NO_ATTACHMENT: Final = AttachmentId(0)
NO_MEMORY: Final = Memory()

Outcome = Literal["nothing", "saved", "failed"]

Room = Literal[
    "enough",
    "wanted",  # a backup found the drive full: it comes again after the prune that is planned before it
    "made",  # that prune has ended well: what does not fit now does not fit
]


@dataclass(frozen=True, slots=True)
class Job:
    """The job that runs on a drive. ``lender``: the id of the drive that is read for it; empty where there is none."""

    id: JobId
    kind: JobKind
    started: datetime
    lender: str = ""


@dataclass(frozen=True, slots=True)
class DriveState:
    """One enrolled drive. ``phase`` and ``intent`` are its position in the table; the rest is data of no end.

    ``plan``: the jobs still to do, the next one first. ``requested``: a person asked for them, so the drive goes before
    others, and the battery is no reason to pause; it says when a trigger is fired, never where one leads.
    ``saved``: the id of the snapshot of the last backup. ``room``: whether old backups make way for the next one.
    ``orphaned_job``: the drive was pulled while that job ran, and its process has not reported yet. It outlives the
    attachment, and nothing begins before it is over.
    ``repaired_with``: the attachment of the drive with which a repair was planned, so that it is planned once; None
    where none was. ``held``: it is kept for the repair of another drive.
    All but ``orphaned_job`` and ``known`` is about this attachment.
    """

    known: KnownDrive
    phase: Phase = ABSENT.phase
    intent: Intent = ABSENT.intent
    orphaned_job: JobId | None = None
    attachment: AttachmentId = NO_ATTACHMENT
    device: Device | None = None
    plan: tuple[JobKind, ...] = ()
    requested: bool = False
    job: Job | None = None
    outcome: Outcome = "nothing"
    saved: str = ""
    since: datetime | None = None
    room: Room = "enough"
    repaired_with: AttachmentId | None = None
    held: bool = False

    @property
    def position(self) -> Position:
        """Its position in the table."""
        return Position(self.phase, self.intent)


@dataclass(frozen=True, slots=True)
class State:
    """Everything the daemon knows. ``memory``, ``notices`` and ``alarm`` must be kept over a restart.

    ``drives`` are sorted by label. ``notices`` are the active ones, and this is the only place that has them.
    """

    rules: Rules
    drives: tuple[DriveState, ...] = ()
    next_attachment: int = 1
    next_job: int = 1
    memory: Memory = NO_MEMORY
    notices: tuple[ActiveNotice, ...] = ()
    alarm: bool = False
    asleep: bool = False
    ending: bool = False
    on_battery: bool = False
    inhibiting: bool = False

    def notice(self, key: NoticeKey) -> ActiveNotice | None:
        """The active notice of that kind and drive."""
        return next((each for each in self.notices if each.notice.key == key), None)
