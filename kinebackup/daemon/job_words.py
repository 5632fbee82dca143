"""What the daemon and the process of a job say to each other: a line of JSON each time.

Owns: the lines, in both directions. Does not know: processes or pipes.

To the job: one ``Order``, then nothing; the end of its input means "stop at the next safe point", whether the daemon
asked for it or is no more. From the job: ``Progress`` lines, then one ``Answer``.
"""

from typing import Final

import msgspec

from kinebackup.bus.values import decode_report, encode_report, job_kind
from kinebackup.daemon.events import JobFailure, NotOurs, Report
from kinebackup.daemon.ports import Failure, JobOrder, Progress

MAX_LINE_BYTES: Final = 64 * 1024 * 1024
"""A report may name many files."""


class Order(msgspec.Struct, frozen=True, tag="order"):
    """``kind`` None: only identify the drive."""

    job: JobOrder | None = None
    drive: str = ""
    folder: str = ""


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


def answer_of(result: Report | Failure, order: JobOrder) -> Word:
    """How a job ended, to be sent."""
    if isinstance(result, Failure):
        return Failed(result.cause)
    return Finished(order.kind, encode_report(result))


def result_of(word: Word) -> Report | Failure:
    """The other direction. Raises ``ValueError`` for a word that ends no job."""
    match word:
        case Failed(cause=cause):
            return Failure(cause)
        case Finished(kind=kind, report=report):
            return decode_report(job_kind(kind), report)
        case _:
            raise ValueError("no end of a job")
