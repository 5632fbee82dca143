"""What the daemon and the process of a job say to each other: a line of JSON each time.

Owns: the lines, in both directions. Does not know: processes or pipes.

To the job: one ``Order``, then nothing; the end of its input means "stop at the next safe point", whether the daemon
asked for it or is no more. From the job: ``Progress`` lines, then one ``Answer``.
"""

import os
from typing import Final

import msgspec

from kinebackup.archive.changes import Changes, Since, Trail
from kinebackup.bus.values import decode_report, encode_report, job_kind
from kinebackup.daemon.events import JobFailure, NotOurs, Report
from kinebackup.daemon.ports import Failure, JobOrder, Progress
from kinebackup.jobs.continuity import Attempt
from kinebackup.sources.journal import Mark

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""A report may name many files."""


class Touched(msgspec.Struct, frozen=True):
    """Directories of one source that have to be looked at, each with whether that holds for all below it."""

    source: bytes
    paths: list[tuple[bytes, bool]]


class Followed(msgspec.Struct, frozen=True):
    """What the journal of changes knows. ``snapshot`` None: look at everything, and ``compare`` with what it knows."""

    repository: str
    compare: bool
    snapshot: str | None = None
    touched: list[Touched] = []


class Left(msgspec.Struct, frozen=True):
    """What a backup leaves for the next one that follows the journal: see ``archive.changes.Trail``."""

    restless: list[bytes]
    differing: list[bytes]
    parent: str
    followed: bool


class Order(msgspec.Struct, frozen=True, tag="order"):
    """Without a job: only identify the drive."""

    job: JobOrder | None = None
    drive: str = ""
    folder: str = ""
    followed: Followed | None = None


class Made(msgspec.Struct, frozen=True, tag="made"):
    """How far the job is."""

    progress: Progress


class Identified(msgspec.Struct, frozen=True, tag="identified"):
    """The answer to an order without a job."""

    reason: NotOurs | None


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The job could not go on; without a cause, it stopped as asked."""

    cause: JobFailure | None


class Finished(msgspec.Struct, frozen=True, tag="finished"):
    """The job came to its end. ``report`` is JSON of its own, in ASCII (see ``bus.values``)."""

    kind: str
    report: str
    left: Left | None = None


Word = Order | Made | Identified | Failed | Finished


def line(word: Word) -> bytes:
    """With its line end."""
    return msgspec.json.encode(word) + b"\n"


def read(data: bytes) -> Word:
    """Raises ``ValueError`` for what is no line of these."""
    try:
        word: Word = msgspec.json.decode(data, type=Word)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    return word


def answer_of(result: Report | Failure, order: JobOrder, left: Left | None = None) -> Word:
    """How a job ended, to be sent."""
    if isinstance(result, Failure):
        return Failed(result.cause)
    return Finished(order.kind, encode_report(result), left)


def followed_of(attempt: Attempt) -> Followed:
    """What a journal knows for one backup, to be sent. Paths are bytes, which need not be text."""
    compare, since = attempt.known is not None, attempt.since
    if since is None:
        return Followed(attempt.repository, compare)
    touched = [
        Touched(os.fsencode(source), [(os.fsencode(path), whole) for path, whole in paths])
        for source, paths in since.changes.listing().items()
    ]
    return Followed(attempt.repository, compare, since.snapshot, touched)


def attempt_of(followed: Followed) -> Attempt:
    """The other direction. What only the journal's keeper needs is left empty."""
    changes = Changes(os.fsdecode(each.source) for each in followed.touched)
    for each in followed.touched:
        for path, whole in each.paths:
            changes.touch(os.fsdecode(path), whole=whole)
    since = None if followed.snapshot is None else Since(followed.snapshot, changes)
    return Attempt(followed.repository, Mark(0, 0), None, since, changes if followed.compare else None)


def left_of(trail: Trail) -> Left:
    """What a backup leaves, to be sent."""
    restless, differing = ([os.fsencode(path) for path in paths] for paths in (trail.restless, trail.differing))
    return Left(restless, differing, trail.parent, trail.followed)


def trail_of(left: Left) -> Trail:
    """The other direction."""
    restless, differing = (frozenset(map(os.fsdecode, paths)) for paths in (left.restless, left.differing))
    return Trail(restless, differing, left.parent, left.followed)


def result_of(word: Word) -> Report | Failure:
    """The other direction. Raises ``ValueError`` for a word that ends no job."""
    match word:
        case Failed(cause=cause):
            return Failure(cause)
        case Finished(kind=kind, report=report):
            return decode_report(job_kind(kind), report)
        case _:
            raise ValueError("no end of a job")
