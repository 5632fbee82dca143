"""What the loop of the daemon gives to and takes from its surroundings.

Owns: the contracts between the loop (loop.py) and those who ask it or listen to it. Does not know: any of them.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kinebackup.daemon.actions import Ending
from kinebackup.daemon.events import Event, JobId, Report
from kinebackup.daemon.states import Phase
from kinebackup.policy.notices import Notice, NoticeKind
from kinebackup.policy.schedule import JobKind


@dataclass(frozen=True, slots=True)
class ShownNotice:
    """A notice that a person has not dealt with yet, and since when."""

    notice: Notice
    since: datetime


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. Totals are 0 where they are not known."""

    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0


@dataclass(frozen=True, slots=True)
class DriveNow:
    """Where one enrolled drive stands this moment. ``job`` and ``progress`` are None where no job runs."""

    label: str
    phase: Phase
    job: JobId | None = None
    kind: JobKind | None = None
    progress: Progress | None = None


class Listener(Protocol):
    """Hears what the daemon does. Called in the daemon's event loop; MUST return at once and MUST NOT raise."""

    def notice_shown(self, shown: ShownNotice) -> None:
        """A notice, new or in the place of the one of the same kind and drive."""

    def notice_withdrawn(self, kind: NoticeKind, drive: str) -> None:
        """That notice is obsolete."""

    def phase_changed(self, drive: str, phase: Phase) -> None:
        """A drive went on to another phase; JobStarted is the phase that the job belongs to."""

    def progressed(self, drive: str, kind: JobKind, progress: Progress) -> None:
        """A job goes on; at most a few times a second."""

    def job_ended(self, drive: str, job: JobId, kind: JobKind, ending: Ending) -> None:
        """A job ended; its report, if it made one, can be asked for already."""


class Daemon(Protocol):
    """What can be asked of the loop, in its own event loop. Nothing here waits for a drive."""

    def post(self, event: Event) -> None:
        """Something happened. It is judged after what was posted before."""

    def now(self) -> datetime:
        """The time for an event."""

    def drives(self) -> tuple[DriveNow, ...]:
        """Every enrolled drive, sorted by label."""

    def shown(self) -> tuple[ShownNotice, ...]:
        """The notices that still stand, oldest first: an agent that has just started shows them."""

    def status_document(self) -> dict[str, object]:
        """What ``kinebackup status --json`` prints, and where each drive stands. No name of a file or a folder."""

    def last_report(self, drive: str, kind: JobKind) -> Report | None:
        """How the latest job of this kind on this drive went, since the daemon started. Holds names of files."""

    def reload(self) -> None:
        """The enrolled drives or the configuration changed: read them again."""

    def listen(self, listener: Listener) -> None:
        """Tell this listener of everything from now on."""
