"""The daemon as its surroundings see it (``ports.Daemon``), where a test says what it does and reads what it was told.

Owns: what was posted, who listens. Does not know: machine, drives or the bus.
"""

from datetime import UTC, datetime

from kinebackup.daemon.decide.events import Event
from kinebackup.daemon.ports import EnrolledDrive, Listener
from kinebackup.model import Report
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import ActiveNotice, NoticeKey, NoticeKind

NOW = datetime(2030, 3, 6, 17, 30, tzinfo=UTC)


class RecordedDaemon:
    """Does nothing of its own."""

    def __init__(self, *drives: EnrolledDrive) -> None:
        self.posted: list[Event] = []
        self.reloads = 0
        self.enrolled = drives
        self.active: tuple[ActiveNotice, ...] = ()
        self.reports: dict[tuple[str, JobKind], Report] = {}
        self.document: dict[str, object] = {"protected": True}
        self.listeners: list[Listener] = []

    def post(self, event: Event) -> None:
        self.posted.append(event)

    def now(self) -> datetime:
        return NOW

    def drives(self) -> tuple[EnrolledDrive, ...]:
        return self.enrolled

    def notices(self) -> tuple[ActiveNotice, ...]:
        return self.active

    def key_of(self, kind: NoticeKind, label: str) -> NoticeKey | None:
        enrolled = [drive.id for drive in self.enrolled if drive.label == label]
        forgotten = [active.notice.drive for active in self.active if active.notice.drive == label]
        return next((NoticeKey(kind, drive) for drive in (*enrolled, *forgotten)), None)

    def status_document(self) -> dict[str, object]:
        return self.document

    def last_report(self, drive: str, kind: JobKind) -> Report | None:
        return self.reports.get((drive, kind))

    def reload(self) -> None:
        self.reloads += 1

    def listen(self, listener: Listener) -> None:
        self.listeners.append(listener)
