"""What the daemon and the process of a job say to each other: a line of JSON each time.

Owns: the lines, in both directions. Does not know: processes or pipes.

To the job: one ``JobMessage``, then nothing; the end of its input means "stop at the next safe point", whether the
daemon asked for it or is no more. From the job: ``ProgressMessage`` lines, then one of the messages that end a job.
"""

import os
from dataclasses import dataclass
from typing import Final

import msgspec

from kinebackup.bus.values import decode_report, encode_report
from kinebackup.change_journal.cursors import TrackedBackup
from kinebackup.change_journal.journal import Cursor
from kinebackup.engine import Changes, ChangesSince, TrackingResult
from kinebackup.model import JobFailure, NotOurs, Progress, Report
from kinebackup.policy.job_kinds import JobKind, job_kind

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""A report may name many files."""


@dataclass(frozen=True, slots=True)
class JobRequest:
    """One job to run on the drive that is mounted at ``folder``. ``drive`` is the id of its repository."""

    drive: str
    folder: str
    kind: JobKind
    one_in: int = 1


@dataclass(frozen=True, slots=True)
class Failure:
    """A job that could not go on, or None for its cause where it stopped as asked."""

    cause: JobFailure | None


class DirtyDirs(msgspec.Struct, frozen=True):
    """Directories of one source that have to be looked at, each with whether that holds for all below it."""

    source: bytes
    paths: list[tuple[bytes, bool]]


class TrackedSince(msgspec.Struct, frozen=True):
    """What the journal of changes knows. ``snapshot`` None: look at everything, and ``compare`` with what it knows."""

    repository: str
    compare: bool
    snapshot: str | None = None
    touched: list[DirtyDirs] = []


class ResultMessage(msgspec.Struct, frozen=True):
    """What a backup leaves for the next one that follows the journal: see ``archive.changes.TrackingResult``."""

    always_rescan: list[bytes]
    changed_dirs: list[bytes]
    parent: str
    followed: bool


class JobMessage(msgspec.Struct, frozen=True, tag="order"):
    """Without a job: only identify the drive."""

    job: JobRequest | None = None
    drive: str = ""
    folder: str = ""
    followed: TrackedSince | None = None


class ProgressMessage(msgspec.Struct, frozen=True, tag="made"):
    """How far the job is."""

    progress: Progress


class IdentityMessage(msgspec.Struct, frozen=True, tag="identified"):
    """The answer to a request without a job."""

    reason: NotOurs | None


class FailureMessage(msgspec.Struct, frozen=True, tag="failed"):
    """The job could not go on; without a cause, it stopped as asked."""

    cause: JobFailure | None


class ReportMessage(msgspec.Struct, frozen=True, tag="finished"):
    """The job came to its end. ``report`` is JSON of its own, in ASCII (see ``bus.values``)."""

    kind: str
    report: str
    left: ResultMessage | None = None


Message = JobMessage | ProgressMessage | IdentityMessage | FailureMessage | ReportMessage


def encode(word: Message) -> bytes:
    """With its line end."""
    return msgspec.json.encode(word) + b"\n"


def decode(data: bytes) -> Message:
    """Raises ``ValueError`` for what is no line of these."""
    try:
        word: Message = msgspec.json.decode(data, type=Message)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    return word


def encode_answer(result: Report | Failure, request: JobRequest, left: ResultMessage | None = None) -> Message:
    """How a job ended, to be sent."""
    if isinstance(result, Failure):
        return FailureMessage(result.cause)
    return ReportMessage(request.kind, encode_report(result), left)


def encode_tracking(tracked: TrackedBackup) -> TrackedSince:
    """What a journal knows for one backup, to be sent. Paths are bytes, which need not be text."""
    compare, since = tracked.known is not None, tracked.since
    if since is None:
        return TrackedSince(tracked.repository, compare)
    touched = [
        DirtyDirs(os.fsencode(source), [(os.fsencode(path), whole) for path, whole in paths])
        for source, paths in since.changes.listing().items()
    ]
    return TrackedSince(tracked.repository, compare, since.snapshot, touched)


def decode_tracking(followed: TrackedSince) -> TrackedBackup:
    """The other direction. What only the journal's keeper needs is left empty."""
    changes = Changes(os.fsdecode(each.source) for each in followed.touched)
    for each in followed.touched:
        for path, whole in each.paths:
            changes.touch(os.fsdecode(path), whole=whole)
    since = None if followed.snapshot is None else ChangesSince(followed.snapshot, changes)
    return TrackedBackup(followed.repository, Cursor(0, 0), None, since, changes if followed.compare else None)


def encode_tracking_result(trail: TrackingResult) -> ResultMessage:
    """What a backup leaves, to be sent."""
    always_rescan, changed_dirs = (
        [os.fsencode(path) for path in paths] for paths in (trail.always_rescan, trail.changed_dirs)
    )
    return ResultMessage(always_rescan, changed_dirs, trail.parent, trail.followed)


def decode_tracking_result(left: ResultMessage) -> TrackingResult:
    """The other direction."""
    always_rescan, changed_dirs = (
        frozenset(map(os.fsdecode, paths)) for paths in (left.always_rescan, left.changed_dirs)
    )
    return TrackingResult(always_rescan, changed_dirs, left.parent, left.followed)


def decode_answer(word: Message) -> Report | Failure:
    """The other direction. Raises ``ValueError`` for a word that ends no job."""
    match word:
        case FailureMessage(cause=cause):
            return Failure(cause)
        case ReportMessage(kind=kind, report=report):
            return decode_report(job_kind(kind), report)
        case _:
            raise ValueError("no end of a job")
