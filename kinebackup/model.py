"""Values that several packages share.

Owns: reports, problems, progress, cancellation, and the errors that several packages raise in the same words. Does not
know: files, drives, keys or the screen.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NewType, Protocol

from kinebackup.errors import Cancelled, ConfigError, KineError, NotFound
from kinebackup.i18n import _

BlobId = NewType("BlobId", bytes)
"""First 16 bytes of the keyed BLAKE3 of a blob's plaintext (FORMAT.md §6)."""

FileName = NewType("FileName", str)
"""64 hex digits: the SHA-256 of a pack, index file or snapshot, and its name on the drive."""

REPOSITORY_FOLDER: Final = "KINEBACKUP"
"""The directory of a repository, at the top of a drive."""


@dataclass(frozen=True, slots=True)
class SeenSnapshot:
    """One that a computer has seen on a drive. ``sequence`` 0: its file could not be read, so its number is unknown.

    ``removed``: this computer or another one removed it on purpose.
    """

    id: FileName
    sequence: int
    removed: bool = False


Place = Literal["cabinet", "domicile"]

Health = Literal["good", "watch", "replace"]
"""Of a drive, by what was found wrong on it (policy/ageing.py)."""

Entropy = Callable[[int], bytes]
"""So many random bytes."""

ProblemKind = Literal[
    "unreadable",  # a file or directory of the source could not be read
    "uncertain",  # a file changed each time it was read
    "skipped",  # a socket, or a thing that is not to be saved
    "left-out",  # another file system, which would have to be configured
    "source-missing",
    "source-empty",
    "source-shrunk",
    "source-moved",  # its path leads elsewhere than before
    "damaged",  # bytes on the drive failed a check
    "missing",  # something on the drive that should be there is not
    "differs",  # a restored file is not what was saved
    "exists",  # a restore left a file of the destination alone
    "not-restored",
    "renamed",  # restored whole, under another name: its own is taken there, or impossible
    "incomplete",  # the snapshot lacks it, or has it as it was earlier: its backup could not read it
    "metadata",  # the content is right, an owner, mode, time or attribute is not
    "rolled-back",  # the drive shows an older state than this computer remembers
    "healed",
    "redundancy",  # the drive has no room, or had no time, for what repairs it when it is damaged
    "journal",  # a change that the journal of the sources had missed
    "clock",  # the time of this computer contradicts the drive
    "keys-changed",  # on another computer
    "keys-refused",  # the drive has newer keys, which would lock somebody out
    "newer",  # a backup that only a newer version of KineBackup can read
    "computer",  # this computer's own disk is full, read-only or fails: what is done is not noted on it
]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that did not go as it should; the run went on.

    ``path`` is a path of the source, or relative to the repository; ``snapshots`` are the ids that the problem affects.
    ``healable``: damage of the drive that the next backup mends by itself, so that nothing is lost.
    """

    kind: ProblemKind
    path: str
    message: str
    snapshots: tuple[str, ...] = ()
    healable: bool = False


@dataclass(frozen=True, slots=True)
class HealedFile:
    """A file of the repository that was damaged or gone, and came back by its parity. ``path``: in the repository.

    ``blocks``: how many blocks of 4096 bytes of it were wrong. ``rewritten``: the drive has it again as it was.
    """

    path: str
    blocks: int
    rewritten: bool = False


NOTES = frozenset({"skipped", "healed", "redundancy", "clock", "computer", "keys-changed", "newer"})
"""Kinds of problems that are reported and do not make a run end with problems."""


def counting(problems: Sequence[Problem]) -> int:
    """How many of these are more than notes."""
    return sum(problem.kind not in NOTES for problem in problems)


def only_healable(problems: Sequence[Problem]) -> bool:
    """Whether all that is more than a note is mended by the next backup, and there is such a thing."""
    told = [problem for problem in problems if problem.kind not in NOTES]
    return bool(told) and all(problem.healable for problem in told)


def damage_met(problems: Sequence[Problem]) -> int:
    """How many of a backup's problems are those of the drive: what was saved earlier may not come back whole."""
    return sum(problem.kind in ("damaged", "missing") for problem in problems)


@dataclass(frozen=True, slots=True)
class BackupReport:
    """What a backup did. ``snapshot`` is None where none was written (dry run, or nothing at all could be read).

    ``files_lost``: how many files of the sources are not in it as they are now: they lack, or an earlier backup's
    content stands in.
    """

    snapshot: str | None
    files_new: int
    files_changed: int
    files_unmodified: int
    files_removed: int
    bytes_read: int
    bytes_written: int
    duration_s: float
    suspicious: bool
    problems: tuple[Problem, ...] = ()
    files_lost: int = 0
    healed: tuple[HealedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Incomplete:
    """What a snapshot lacks, or has as it was earlier, and the id of the newest one that has it; None: no other has."""

    path: str
    newest_snapshot_with_it: str | None


@dataclass(frozen=True, slots=True)
class Salvaged:
    """A damaged file whose sound parts came back; ``holes``: offset and length of each stretch of zeros in it."""

    path: str
    holes: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """What a restore did; ``files_skipped`` were already there, or were left alone as asked.

    ``owners_by_number``: users and groups that this computer does not know by name.
    ``folders_lost``: lists of what is in a folder that could not be read.
    """

    files_restored: int
    files_skipped: int
    bytes_restored: int
    duration_s: float
    problems: tuple[Problem, ...] = ()
    owners_by_number: tuple[str, ...] = ()
    incomplete: tuple[Incomplete, ...] = ()
    salvaged: tuple[Salvaged, ...] = ()
    folders_lost: int = 0
    healed: tuple[HealedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class RestoreTestReport:
    """``result`` is "ok" only if at least one file was tested and none differed."""

    result: Literal["ok", "failed"]
    snapshot: str
    files_tested: int
    bytes_tested: int
    files_compared_with_source: int
    duration_s: float
    seed: int
    key_slot: str
    problems: tuple[Problem, ...] = ()
    healed: tuple[HealedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """``packs_checked`` were read to their last byte and authenticated; ``complete`` says whether all of the drive
    was. ``healable``: it failed, and the next backup mends all that is wrong. ``protected``: so many of the files that
    were read have sound parity, which heals them; ``unprotected``: so many have none. ``survives_bytes``: so much of a
    protected one may become unreadable at one place; None: all. ``health``: None where the drive is not known here.
    """

    result: Literal["ok", "failed"]
    complete: bool
    bytes_read: int
    packs_checked: int
    packs_total: int
    duration_s: float
    problems: tuple[Problem, ...] = ()
    healable: bool = False
    protected: int = 0
    unprotected: int = 0
    survives_bytes: int | None = None
    health: Health | None = None


@dataclass(frozen=True, slots=True)
class PruneReport:
    """What a prune removed, or (dry run) would remove. ``given_up``: ids and numbers of what was lost."""

    snapshots_kept: int
    snapshots_removed: tuple[str, ...]
    packs_removed: int
    packs_repacked: int
    bytes_freed: int
    duration_s: float
    problems: tuple[Problem, ...] = ()
    given_up: tuple[str, ...] = ()
    healed: tuple[HealedFile, ...] = ()


RepairSource = Literal[
    "parity",  # what the drive keeps beside each file for that
    "drive",  # what of it was still sound
    "other-drive",
    "computer",  # this computer knows what belongs there
]


@dataclass(frozen=True, slots=True)
class RepairedFile:
    """A file of the drive that is as it should be again, or whose contents are in a new one. ``path``: on the drive.

    ``kind``: header, text, index, snapshot, removal, pack or parity. ``parts``: of a pack, how many parts of backups
    were written anew.
    """

    kind: str
    path: str
    source: RepairSource
    parts: int = 0


@dataclass(frozen=True, slots=True)
class LostPart:
    """What a repair could not bring back. ``kind``: snapshot, removal, folder or file; ``path``: that of a file of the
    sources, or relative to the repository; ``snapshots``: the ids of those that lack it.
    """

    kind: str
    path: str
    message: str
    snapshots: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RepairReport:
    """What a repair did. ``snapshots``: so many can be read now. ``complete``: the whole drive was read, and not only
    what was known to be damaged. ``lost_count``: how many things are lost; ``lost`` names the first ten thousand.
    """

    drive: str
    from_drive: str | None
    snapshots: int
    complete: bool
    repaired: tuple[RepairedFile, ...]
    lost: tuple[LostPart, ...]
    lost_count: int
    bytes_read: int
    bytes_written: int
    duration_s: float
    problems: tuple[Problem, ...] = ()
    healed: tuple[HealedFile, ...] = ()

    @property
    def is_sound(self) -> bool:
        """Whether nothing is lost, and nothing is left to be mended."""
        return not self.lost_count and not counting(self.problems)


Report = BackupReport | VerifyReport | RestoreTestReport | PruneReport | RepairReport


NotOurs = Literal[
    "no-header",  # an enrolled filesystem without a repository
    "impostor",  # the header does not authenticate, or is another drive's
    "not-allowed",  # the target policy refuses the place
    "failed",  # the header could not be read
]


MountFailure = Literal[
    "busy",  # the desktop has it, and somebody works there
    "dirty",  # the filesystem must be repaired first
    "read-only",
    "failed",
]


JobFailure = Literal[
    "drive-full",
    "drive-failed",
    "damaged",
    "locked",  # another KineBackup works on the drive
    "source",  # there is nothing to save, or not what there was
    "refused",  # key or target
    "defect",  # anything else
]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is. Totals are 0 where they are not known."""

    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0


class Monitor(Protocol):
    """Follows a run. Called from several threads; MUST be quick and MUST NOT raise."""

    def phase(self, name: str, *, files: int = 0, size_bytes: int = 0) -> None:
        """A new part of the work begins; the totals are those expected, 0 where not known."""

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        """So much more is done."""

    def problem(self, problem: Problem) -> None:
        """Something went wrong that does not end the run."""


class SilentMonitor:
    """Ignores everything."""

    def phase(self, name: str, *, files: int = 0, size_bytes: int = 0) -> None:
        pass

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        pass

    def problem(self, problem: Problem) -> None:
        pass


def not_plugged_in(label: str) -> NotFound:
    """A drive that is known, and is not here."""
    return NotFound(
        _("the drive {label} is not plugged in").format(label=label),
        _("plug it in, wait until it appears, and try again"),
    )


def saved_already(inner: str, outer: str) -> ConfigError:
    """A source in another source: each file is saved once."""
    return ConfigError(
        _("{inner} lies inside {outer}, which is saved already").format(inner=inner, outer=outer),
        _("remove the [[sources]] of {inner}").format(inner=inner),
    )


def folder_not_made(path: str, error: OSError, hint: str = "") -> KineError:
    """A folder that KineBackup, or the person, needs."""
    return KineError(_("the folder {path} cannot be made ({reason})").format(path=path, reason=error.strerror), hint)


def stopped_as_asked() -> Cancelled:
    """What a run ends with that a person stopped."""
    return Cancelled(_("stopped as asked"), _("run the same command again to go on where it stopped"))


@dataclass(slots=True)
class CancelToken:
    """Asks a run to stop at the next safe point. May be set from a signal handler or another thread."""

    _event: threading.Event = field(default_factory=threading.Event)

    def cancel(self) -> None:
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise ``Cancelled`` if somebody asked to stop."""
        if self._event.is_set():
            raise stopped_as_asked()
