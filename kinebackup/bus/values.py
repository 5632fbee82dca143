"""What crosses the bus, as values, and how each is put into the bus's own types and read back.

Owns: that translation, in both directions. Does not know: connections, the daemon or the desktop.

What comes from the bus is not trusted: what does not have its shape raises ``ValueError``.
"""

import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from kinebackup.model import Report
from kinebackup.policy.job_kinds import JOB_KINDS, JobKind
from kinebackup.policy.notices import ActiveNotice, Notice, NoticeKind
from kinebackup.policy.phases import Phase

MOST_BYTES: Final = 8 * 1024 * 1024
"""A longer report leaves out its last problems: a system bus refuses messages of 32 MiB, and closes the connection."""

_FARTHEST: Final = 253_402_300_799  # 9999-12-31T23:59:59Z, the last second that ``datetime`` knows


@dataclass(frozen=True, slots=True)
class DriveAtWork:
    """An enrolled drive and its phase. ``phase`` is a value of ``policy.phases.Phase``; no job is 0 and empty."""

    label: str
    phase: str
    job: int = 0
    kind: str = ""

    @property
    def plugged_in(self) -> bool:
        """Whether the daemon sees its device."""
        return self.phase != Phase.ABSENT


@dataclass(frozen=True, slots=True)
class JobProgress:
    """How far a job is. Totals are 0 where they are not known."""

    drive: str
    kind: str
    files_done: int
    files_total: int
    bytes_done: int
    bytes_total: int


@dataclass(frozen=True, slots=True)
class JobEnd:
    """How one job ended; ``ending`` is a value of ``daemon.decide.actions.Ending``."""

    drive: str
    job: int
    kind: str
    ending: str


def notice_kind(text: str) -> NoticeKind:
    """Raises ``ValueError`` for a kind that this KineBackup does not know."""
    return NoticeKind(text)


def encode_notice(notice: Notice, since: datetime) -> list[Any]:
    """A struct of ``NOTICE_SIGNATURE``."""
    return [
        notice.kind.value,
        _sendable(notice.drive),
        _sendable(notice.other),
        notice.days,
        _sendable(notice.program),
        notice.count,
        int(since.timestamp()),
    ]


def decode_notice(body: Any) -> ActiveNotice:
    """The other direction."""
    kind, drive, other, days, program, count, since = _fields(body, str, str, str, int, str, int, int)
    notice = Notice(notice_kind(kind), drive, other=other, days=days, program=program, count=count)
    return ActiveNotice(notice, moment(since))


def decode_drive(body: Any) -> DriveAtWork:
    """A struct of ``DRIVE_SIGNATURE``."""
    return DriveAtWork(*_fields(body, str, str, int, str))


def decode_progress(body: Any) -> JobProgress:
    """The arguments of ``Progressed``."""
    return JobProgress(*_fields(body, str, str, int, int, int, int))


def decode_job_end(body: Any) -> JobEnd:
    """The arguments of ``JobEnded``."""
    return JobEnd(*_fields(body, str, int, str, str))


def moment(unix_s: int) -> datetime:
    """A time of the bus, in UTC. Raises ``ValueError`` for one that no calendar has."""
    if not 0 <= unix_s <= _FARTHEST:
        raise ValueError("a time that no calendar has")
    return datetime.fromtimestamp(unix_s, UTC)


def encode_report(report: Report) -> str:
    """JSON in ASCII: a byte of a name that is no UTF-8 is a lone surrogate, which a string of the bus cannot hold."""
    while len(text := json.dumps(asdict(report))) > MOST_BYTES and report.problems:
        report = replace(report, problems=report.problems[: len(report.problems) // 2])
    return text


def decode_report(kind: JobKind, text: str) -> Report:
    """The other direction."""
    try:
        return msgspec.convert(json.loads(text), type=JOB_KINDS[kind].report)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from error


def _sendable(text: str) -> str:
    """A string of the bus is UTF-8 without NUL (D-Bus specification, "Basic types"); programs have any name."""
    return text.encode("utf-8", "replace").decode().replace("\0", "?")


def _fields(body: Any, *types: type) -> tuple[Any, ...]:
    if not isinstance(body, list | tuple) or len(body) != len(types):
        raise ValueError("a message of another shape")
    if not all(type(value) is expected for value, expected in zip(body, types, strict=True)):
        raise ValueError("a message of another shape")
    return tuple(body)
