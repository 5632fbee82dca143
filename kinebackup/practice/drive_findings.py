"""What opening a drive showed beside the state of its repository: of its keys, the run before, what is remembered.

Owns: these findings as values, and the words for them. Does not know: what is decided upon them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from kinebackup.engine import LockHolder, MissingSnapshots, Slot, UnreadableRemoval, kind_text, problem_of
from kinebackup.i18n import _
from kinebackup.model import Problem

_NAMED: Final = 10


@dataclass(frozen=True, slots=True)
class OlderKeySlots:
    """The drive shows an older generation of its key slots than this computer has seen on it."""


@dataclass(frozen=True, slots=True)
class BackupsGone:
    """Backups that should be on the drive are not there, and nobody removed them."""

    missing: MissingSnapshots

    def newer_than(self, sequence: int) -> bool:
        """Whether one of them is newer than the snapshot of that number, or may be."""
        numbers = [each.sequence for each in self.missing.named] + [last for _first, last in self.missing.numbers]
        return 0 in numbers or max(numbers, default=0) > sequence


@dataclass(frozen=True, slots=True)
class RemovalUnknown:
    """A removal record does not open: what it named cannot be told from what was lost."""

    record: UnreadableRemoval


@dataclass(frozen=True, slots=True)
class RunCutOff:
    """The run before held the lock to its end; what it left is found by this one."""

    left: LockHolder


@dataclass(frozen=True, slots=True)
class KeysMerged:
    """Two computers changed the keys while they could not see each other's drive. Nobody is locked out by that."""


@dataclass(frozen=True, slots=True)
class KeysChanged:
    """Keys that were changed on another computer have been taken over from the drive."""

    added: tuple[Slot, ...]
    removed: tuple[Slot, ...]


@dataclass(frozen=True, slots=True)
class KeysRefused:
    """The drive's newer keys are not taken over, nor written to another drive: they would lock the person out."""

    why: Literal["no-person", "impossible"]


@dataclass(frozen=True, slots=True)
class KeysNotKept:
    """The drive's newer keys could not be written on this computer, by no fault of the drive."""

    reason: str


@dataclass(frozen=True, slots=True)
class HeaderFromMemory:
    """No copy of the drive's header was right for its files: it was opened by what this computer knows of it."""


@dataclass(frozen=True, slots=True)
class HeaderFromExport:
    """The same, and it was opened by a header that a person gave."""


@dataclass(frozen=True, slots=True)
class HeaderAltered:
    """The header opened, and it is not what its writer wrote: the drive may be read, and nothing more."""


HeaderFinding = HeaderFromMemory | HeaderFromExport | HeaderAltered
KeyFinding = KeysMerged | KeysChanged | KeysRefused | KeysNotKept
DriveFinding = OlderKeySlots | BackupsGone | RemovalUnknown | RunCutOff | KeyFinding | HeaderFinding


def drive_problem(found: DriveFinding) -> Problem:
    """The words for it. ``path`` names the part of the repository that it is about."""
    match found:
        case OlderKeySlots():
            return Problem("rolled-back", "header", _("the drive shows older key slots than it had"))
        case BackupsGone(missing=missing):
            message = _("backups that were on the drive are not there any more: {names}")
            ids = tuple(each.id for each in missing.named)
            return Problem("rolled-back", "snapshots", message.format(names=_names(missing)), ids)
        case RemovalUnknown(record=record):
            return problem_of(record)
        case RunCutOff(left=left):
            message = _(
                "an earlier run did not end by itself ({work}, process {pid} on {host}, since {since}); "
                "this one goes on"
            )
            return Problem(
                "healed", "lock", message.format(work=left.work, pid=left.pid, host=left.host, since=left.since)
            )
        case HeaderFromMemory():
            message = _("no copy of the drive's header can be used: it was opened by what this computer knows of it")
            return Problem("healed", "header", message)
        case HeaderFromExport():
            message = _("no copy of the drive's header can be used: it was opened by the one of the key export")
            return Problem("healed", "header", message)
        case HeaderAltered():
            message = _("the drive's header was altered; it still opens the backups to be read, and nothing is written")
            return Problem("damaged", "header", message)
        case KeysMerged():
            message = _(
                "the keys were changed on two computers at once; all of them are kept, see: kinebackup key list"
            )
            return Problem("healed", "header", message)
        case KeysChanged(added=added, removed=removed):
            return Problem("keys-changed", "header", _changes(added, removed))
        case KeysRefused(why=why):
            return Problem("keys-refused", "header", _refusal(why))
        case KeysNotKept(reason=reason):
            return Problem("computer", "/", _("{reason}, so new keys are not noted on it").format(reason=reason))
        case _:
            assert_never(found)


def _names(missing: MissingSnapshots) -> str:
    """By what they are called where they are given up: the beginning of an id, or a number."""
    names = [each.id[:12] for each in missing.named]
    names += [str(first) if first == last else f"{first}-{last}" for first, last in missing.numbers]
    more = [_("{count} more").format(count=len(names) - _NAMED)] if len(names) > _NAMED else []
    return ", ".join([*names[:_NAMED], *more])


def _changes(added: Sequence[Slot], removed: Sequence[Slot]) -> str:
    def listed(slots: Sequence[Slot]) -> str:
        return ", ".join(f"{kind_text(slot.kind)} {slot.id}" for slot in slots)

    if not removed:
        message = _("keys were added on another computer: {added}; if nobody did that, see: kinebackup key list")
    elif not added:
        message = _("keys were removed on another computer: {removed}; if nobody did that, see: kinebackup key list")
    else:
        message = _(
            "keys were changed on another computer, added: {added}, removed: {removed}; "
            "if nobody did that, see: kinebackup key list"
        )
    return message.format(added=listed(added), removed=listed(removed))


def _refusal(why: Literal["no-person", "impossible"]) -> str:
    match why:
        case "no-person":
            return _("the drive's newer keys have neither a passphrase nor a recovery code, so they are not taken over")
        case "impossible":
            return _("the drive's keys and those of this computer cannot be put together, so both stay as they are")
    assert_never(why)
