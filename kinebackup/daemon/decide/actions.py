"""What the daemon can do: every action, as a value.

Owns: the closed union ``Action`` and what each must be answered with. Does not know: how anything is done, or when.
"""

from dataclasses import dataclass
from typing import Literal

from kinebackup.daemon.decide.events import AttachmentId, Device, JobId
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import Notice, NoticeKind

Ending = Literal["good", "with-problems", "bad", "failed", "again", "cancelled", "interrupted"]
"""*bad*: it came to its end and found or did what must not be. *again*: the drive was full, and the same job follows as
soon as old backups have made room. *interrupted*: the drive was pulled."""


@dataclass(frozen=True, slots=True)
class Mount:
    """Mount that very device (its ``disk_sequence`` must still be the same), for the daemon alone.

    Answered by ``Mounted`` or ``MountFailed``.
    """

    drive: str
    attachment: AttachmentId
    device: Device


@dataclass(frozen=True, slots=True)
class Authenticate:
    """Judge the place and the header; write nothing. Answered by ``Authenticated`` or ``Refused``."""

    drive: str
    attachment: AttachmentId


@dataclass(frozen=True, slots=True)
class Lender:
    """A drive that is plugged in and has no work: it gives what another one has lost, and is only read."""

    drive: str
    attachment: AttachmentId
    device: Device


@dataclass(frozen=True, slots=True)
class StartJob:
    """Run a job in the worker. Answered by ``JobFinished``, ``JobFailed`` or ``JobCancelled``, exactly once.

    ``one_in`` is for "verify": read one pack in so many. "verify-written" reads what the last backup wrote.
    ``lender`` is for "repair": it is mounted for as long as the job runs, and unmounted before the answer.
    """

    drive: str
    attachment: AttachmentId
    job: JobId
    kind: JobKind
    one_in: int = 1
    lender: Lender | None = None


@dataclass(frozen=True, slots=True)
class CancelJob:
    """Ask the job to stop at its next safe point. The answer is the job's own."""

    drive: str
    job: JobId


@dataclass(frozen=True, slots=True)
class Unmount:
    """Sync, unmount, and look that no mount table has the device, wherever it was mounted and if it was at all.

    Answered by ``Unmounted`` or ``UnmountFailed``.
    """

    drive: str
    attachment: AttachmentId
    device: Device


@dataclass(frozen=True, slots=True)
class Detach:
    """The device is gone: drop what is left of its mount. Not answered."""

    drive: str
    attachment: AttachmentId


@dataclass(frozen=True, slots=True)
class PowerOff:
    """Stop the drive, if its bridge can. Answered by ``PoweredOff`` or ``PowerOffRefused``."""

    drive: str
    attachment: AttachmentId
    device: Device


@dataclass(frozen=True, slots=True)
class Notify:
    """Show a notice; one of the same kind and drive is replaced."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take a notice back: it is obsolete, or was acknowledged."""

    kind: NoticeKind
    drive: str


@dataclass(frozen=True, slots=True)
class InhibitSleep:
    """Keep the computer from sleeping and shutting down."""


@dataclass(frozen=True, slots=True)
class ReleaseSleep:
    """The computer may sleep."""


@dataclass(frozen=True, slots=True)
class Record:
    """How one job ended: exactly one for each ``StartJob``."""

    drive: str
    job: JobId
    kind: JobKind
    ending: Ending


@dataclass(frozen=True, slots=True)
class Log:
    """One line for the journal. ``what`` is a fixed text, so that no name of the practice gets there."""

    what: str
    drive: str = ""


Action = (
    Mount
    | Authenticate
    | StartJob
    | CancelJob
    | Unmount
    | Detach
    | PowerOff
    | Notify
    | Withdraw
    | InhibitSleep
    | ReleaseSleep
    | Record
    | Log
)
