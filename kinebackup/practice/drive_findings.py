"""What opening a drive showed beside the state of its repository: of its keys, the run before, what is remembered.

Owns: these findings as values, and the words for them. Does not know: what is decided upon them.
"""

from dataclasses import dataclass
from typing import assert_never

from kinebackup.engine import LockHolder
from kinebackup.i18n import _
from kinebackup.model import Problem


@dataclass(frozen=True, slots=True)
class OlderKeySlots:
    """The drive shows an older generation of its key slots than this computer has seen on it."""


@dataclass(frozen=True, slots=True)
class BackupsGone:
    """Backups that this computer has seen on the drive are not there: it was put back to an older state."""


@dataclass(frozen=True, slots=True)
class RunCutOff:
    """The run before held the lock to its end; what it left is found by this one."""

    left: LockHolder


@dataclass(frozen=True, slots=True)
class KeysMerged:
    """Two computers changed the keys while they could not see each other's drive. Nobody is locked out by that."""


DriveFinding = OlderKeySlots | BackupsGone | RunCutOff | KeysMerged


def drive_problem(found: DriveFinding) -> Problem:
    """The words for it. ``path`` names the part of the repository that it is about."""
    match found:
        case OlderKeySlots():
            return Problem("rolled-back", "header", _("the drive shows older key slots than it had"))
        case BackupsGone():
            return Problem("rolled-back", "snapshots", _("backups that were on the drive are not there any more"))
        case RunCutOff(left=left):
            message = _(
                "an earlier run did not end by itself ({work}, process {pid} on {host}, since {since}); "
                "this one goes on"
            )
            return Problem(
                "healed", "lock", message.format(work=left.work, pid=left.pid, host=left.host, since=left.since)
            )
        case KeysMerged():
            message = _(
                "the keys were changed on two computers at once; all of them are kept, see: kinebackup key list"
            )
            return Problem("healed", "header", message)
        case _:
            assert_never(found)
