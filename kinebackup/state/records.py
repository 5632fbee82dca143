"""What this computer remembers, as values.

Owns: drives, runs and the summaries of checks. Does not know: how they are stored.

Nothing here names a patient, a file or a folder of the practice; ``Drive.folder`` is where a simulated drive lies.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, NewType

from kinebackup.model import FileName, Place
from kinebackup.policy.job_kinds import JobKind

RunId = NewType("RunId", int)

RunResult = Literal[
    "ok",
    "problems",  # finished, and some things did not go as they should
    "suspicious",  # a backup whose source was missing, empty or had shrunk
    "failed",
    "cancelled",
]

GOOD: Final[tuple[RunResult, ...]] = ("ok", "problems")
"""The results that count as done. One unreadable file must not make a drive look neglected; a shrunken source must."""


@dataclass(frozen=True, slots=True)
class Drive:
    """An enrolled drive. ``repository`` is 32 hex digits; the identifiers of the device are empty where it has none.

    ``header_generation`` is the newest that was seen: an older one on the drive means that it was rolled back.
    """

    label: str
    place: Place
    simulated: bool
    repository: str
    enrolled_at: datetime
    header_generation: int
    folder: str = ""
    fs_uuid: str = ""
    part_uuid: str = ""
    serial: str = ""
    model: str = ""


@dataclass(frozen=True, slots=True)
class RunCounts:
    """How much a run did. What does not apply to a kind of run stays 0. ``damage``: how much a backup met;
    ``files_lost``: how many files it lacks, or has as they were earlier. ``healed``: how many files of the drive were
    damaged, and came back. ``given_by``: how many other drives a repair could take from.
    """

    files: int = 0
    size_bytes: int = 0
    packs: int = 0
    snapshots: int = 0
    problems: int = 0
    damage: int = 0
    files_lost: int = 0
    healed: int = 0
    given_by: int = 0


@dataclass(frozen=True, slots=True)
class Run:
    """One job on one drive. ``ended`` and ``result`` are None while it runs, and for ever if the computer stopped."""

    id: RunId
    repository: str
    kind: JobKind
    started: datetime
    ended: datetime | None
    result: RunResult | None
    snapshot: FileName | None
    counts: RunCounts


@dataclass(frozen=True, slots=True)
class VerifiedSnapshot:
    """A snapshot all of which has been proven readable, and when last."""

    snapshot: FileName
    at: datetime


@dataclass(frozen=True, slots=True)
class PackCoverage:
    """How much of a drive has been checked. ``oldest_check`` is None where no pack has been."""

    total: int
    never_checked: int
    failed: tuple[FileName, ...]
    oldest_check: datetime | None
