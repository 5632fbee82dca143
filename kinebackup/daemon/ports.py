"""What the loop of the daemon gives to and takes from its surroundings.

Owns: the contracts between the loop (loop.py), those who ask it or listen to it, and those who act for it. Does not
know: any of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kinebackup.daemon.decide.actions import Ending
from kinebackup.daemon.decide.events import AttachmentId, Device, Event, JobId, KnownDrive
from kinebackup.model import CancelToken, NotOurs, Progress, Report
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import ActiveNotice, NoticeKey, NoticeKind
from kinebackup.policy.phases import Phase
from kinebackup.worker.protocol import Failure, JobRequest


@dataclass(frozen=True, slots=True)
class EnrolledDrive:
    """An enrolled drive and its phase. ``job`` and ``progress`` are None where no job runs."""

    id: str
    label: str
    phase: Phase
    job: JobId | None = None
    kind: JobKind | None = None
    progress: Progress | None = None


class Listener(Protocol):
    """Told what the daemon does, with labels for drives.

    Called in the daemon's event loop; MUST return at once and MUST NOT raise.
    """

    def notice_shown(self, active: ActiveNotice) -> None:
        """A notice, new or in the place of the one of the same kind and drive."""

    def notice_withdrawn(self, kind: NoticeKind, drive: str) -> None:
        """That notice is obsolete."""

    def phase_changed(self, drive: str, phase: Phase) -> None:
        """A drive went on to another phase. A job begins with the phase that it belongs to."""

    def progressed(self, drive: str, kind: JobKind, progress: Progress) -> None:
        """A job goes on; at most a few times a second."""

    def job_ended(self, drive: str, job: JobId, kind: JobKind, ending: Ending) -> None:
        """A job ended; its report, if it made one, can be asked for already."""


class Daemon(Protocol):
    """What can be asked of the loop, in its own event loop. Nothing here waits for a drive."""

    def post(self, event: Event) -> None:
        """Something happened. It is processed after what was posted before."""

    def now(self) -> datetime:
        """The time for an event."""

    def drives(self) -> tuple[EnrolledDrive, ...]:
        """Every enrolled drive, sorted by label."""

    def notices(self) -> tuple[ActiveNotice, ...]:
        """The active notices, with labels for drives, oldest first: an agent that has just started shows them."""

    def key_of(self, kind: NoticeKind, label: str) -> NoticeKey | None:
        """By which the machine knows the notice of that kind and label; None where no drive is called so."""

    def status_document(self) -> dict[str, object]:
        """What ``kinebackup status --json`` prints, with the phase of each drive. No name of a file or a folder."""

    def last_report(self, drive: str, kind: JobKind) -> Report | None:
        """How the latest job of this kind on this drive went, since the daemon started. Holds names of files."""

    def reload(self) -> None:
        """The enrolled drives or the configuration changed: read them again."""

    def listen(self, listener: Listener) -> None:
        """Tell this listener of everything from now on."""


class Mounter(Protocol):
    """Where drives are mounted, for this process alone. One place for each attachment of a drive."""

    async def mount(self, attachment: AttachmentId, device: Device) -> None:
        """Raises ``drives.mounting.MountFailed``."""

    async def unmount(self, attachment: AttachmentId, device: Device) -> bool:
        """Sync and unmount, wherever it is mounted, and if it is at all. Raises ``drives.unmounting.StillMounted``.

        False where it is unmounted, but did not take all that was written.
        """

    async def detach(self, attachment: AttachmentId) -> None:
        """The device is gone: drop what is left of its mount."""

    async def power_off(self, device: Device) -> bool:
        """Stop the drive; False where it cannot be, which is harmless."""

    def folder(self, attachment: AttachmentId) -> str:
        """Where the drive of that attachment is mounted."""


class Worker(Protocol):
    """Does the long work, in threads. None of its methods raises."""

    async def identify(self, drive: str, folder: str) -> NotOurs | None:
        """Whether the drive mounted there is that drive of this practice; None where it is."""

    async def run(
        self, request: JobRequest, cancel: CancelToken, progress: Callable[[Progress], None]
    ) -> Report | Failure:
        """Run the job to its end. ``progress`` is called in the caller's event loop."""


class Inhibitor(Protocol):
    """Keeps the computer awake. Quick, and never raises: a computer that cannot promise it still gets its backup."""

    def hold(self) -> None:
        """Neither sleep nor shut down, from now on."""

    def release(self) -> None:
        """The computer may sleep again."""


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What this computer's memory says: the drives, and when the recovery code was last tried."""

    drives: Sequence[KnownDrive]
    last_code_test: datetime | None
