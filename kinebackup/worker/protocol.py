"""What the daemon and the process of a job say to each other: a line of JSON each time.

Owns: the messages, in both directions. Does not know: processes or pipes.

To the process: one request, then nothing; the end of its input means "stop at the next safe point", whether the daemon
asked for it or is no more. From the process: ``ProgressMessage`` lines, then one message that answers the request.

Paths are bytes, which need not be text.
"""

import os
from dataclasses import dataclass
from typing import Final

import msgspec

from kinebackup.bus.values import decode_report, encode_report
from kinebackup.change_journal.tracking import TrackedBackup
from kinebackup.engine import Changes, ChangesSince, TrackingResult
from kinebackup.model import JobFailure, NotOurs, Progress, Report
from kinebackup.policy.job_kinds import JobKind, job_kind

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""A report may name many files."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One job to run on the drive that is mounted at ``folder``. ``drive`` is the id of its repository.

    ``one_in`` is for "verify": read one pack in so many. ``other`` and ``other_folder`` are for "repair": the drive
    that gives what this one has lost.
    """

    drive: str
    folder: str
    kind: JobKind
    one_in: int = 1
    other: str = ""
    other_folder: str = ""


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that could not go on, or None for its cause where it stopped as asked."""

    cause: JobFailure | None


class DirtyFolders(msgspec.Struct, frozen=True):
    """Folders of one source that have to be looked at, each with whether that holds for all below it."""

    source: bytes
    paths: list[tuple[bytes, bool]]


class TrackedMessage(msgspec.Struct, frozen=True):
    """A ``TrackedBackup``. ``snapshot`` None: look at everything, and ``compare`` it with what the journal claims."""

    repository: str
    compare: bool
    snapshot: str | None = None
    dirty: list[DirtyFolders] = []


class TrackingResultMessage(msgspec.Struct, frozen=True):
    """A ``TrackingResult``: what a backup leaves for the next one that follows the journal."""

    always_rescan: list[bytes]
    changed_dirs: list[bytes]
    parent: str
    followed: bool


class IdentifyMessage(msgspec.Struct, frozen=True, tag="identify"):
    """A request: is what is mounted there that drive of this practice? Answered by ``IdentityMessage``."""

    drive: str
    folder: str


class RunMessage(msgspec.Struct, frozen=True, tag="run"):
    """A request: run that job. Answered by ``ReportMessage`` or ``FailureMessage``."""

    job: JobRequest
    tracked: TrackedMessage | None = None


class ProgressMessage(msgspec.Struct, frozen=True, tag="progress"):
    """How far the job is."""

    progress: Progress


class IdentityMessage(msgspec.Struct, frozen=True, tag="identity"):
    """Why it is not that drive; None where it is."""

    reason: NotOurs | None


class FailureMessage(msgspec.Struct, frozen=True, tag="failure"):
    """The job could not go on; without a cause, it stopped as asked."""

    cause: JobFailure | None


class ReportMessage(msgspec.Struct, frozen=True, tag="report"):
    """The job came to its end. ``report`` is JSON of its own, in ASCII (see ``bus.values``)."""

    kind: str
    report: str
    tracking: TrackingResultMessage | None = None


Request = IdentifyMessage | RunMessage
Answer = IdentityMessage | FailureMessage | ReportMessage
Message = Request | ProgressMessage | Answer


def encode(message: Message) -> bytes:
    """With its line end."""
    return msgspec.json.encode(message) + b"\n"


def decode(line: bytes) -> Message:
    """Raises ``ValueError`` for what is no line of these."""
    try:
        message: Message = msgspec.json.decode(line, type=Message)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    return message


def encode_result(
    result: Report | Failure, request: JobRequest, tracking: TrackingResultMessage | None = None
) -> Answer:
    """How a job ended."""
    if isinstance(result, Failure):
        return FailureMessage(result.cause)
    return ReportMessage(request.kind, encode_report(result), tracking)


def decode_result(message: Message) -> Report | Failure:
    """The other direction. Raises ``ValueError`` for a message that ends no job."""
    match message:
        case FailureMessage(cause=cause):
            return Failure(cause)
        case ReportMessage(kind=kind, report=report):
            return decode_report(job_kind(kind), report)
        case _:
            raise ValueError("no end of a job")


def encode_tracked(tracked: TrackedBackup) -> TrackedMessage:
    """What is known of the changes, for one backup."""
    compare, since = tracked.known is not None, tracked.since
    if since is None:
        return TrackedMessage(tracked.repository, compare)
    dirty = [
        DirtyFolders(os.fsencode(source), [(os.fsencode(path), whole) for path, whole in paths])
        for source, paths in since.changes.listing().items()
    ]
    return TrackedMessage(tracked.repository, compare, since.snapshot, dirty)


def decode_tracked(message: TrackedMessage) -> TrackedBackup:
    """The other direction."""
    changes = Changes(os.fsdecode(each.source) for each in message.dirty)
    for each in message.dirty:
        for path, whole in each.paths:
            changes.touch(os.fsdecode(path), whole=whole)
    since = None if message.snapshot is None else ChangesSince(message.snapshot, changes)
    return TrackedBackup(message.repository, since, changes if message.compare else None)


def encode_tracking_result(result: TrackingResult) -> TrackingResultMessage:
    """What a backup leaves."""
    return TrackingResultMessage(
        [os.fsencode(path) for path in result.always_rescan],
        [os.fsencode(path) for path in result.changed_dirs],
        result.parent,
        result.followed,
    )


def decode_tracking_result(message: TrackingResultMessage) -> TrackingResult:
    """The other direction."""
    return TrackingResult(
        frozenset(map(os.fsdecode, message.always_rescan)),
        frozenset(map(os.fsdecode, message.changed_dirs)),
        message.parent,
        message.followed,
    )
