"""In which position a drive is, and what leads from one position to the next.

Owns: the table of transitions. Does not know: what an event means for a drive (machine.py, attachments.py), or what is
done on entering a phase (transitions.py).

A position is a phase, which everybody may see, and an intent: what is to become of the drive. The table is all there
is: a trigger that a position does not list is not possible there, and changes nothing. docs/MACHINE.md shows it.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final, NamedTuple

from kinebackup.policy.job_kinds import JOB_KINDS, JobKind
from kinebackup.policy.phases import Phase


class Intent(StrEnum):
    """What is to become of a drive: it does its work, or it is on its way out, and to what end."""

    WORK = "work"
    LEAVE = "leave"  # unmount it and power it off
    WAIT = "wait"  # unmount it; it goes on with its plan when that is possible again
    REFUSE = "refuse"  # unmount it, and write nothing to it before it has been plugged in again


class Position(NamedTuple):
    """The key of the table."""

    phase: Phase
    intent: Intent


class Trigger(StrEnum):
    """What an event comes down to for one drive."""

    PLUGGED_IN = "plugged in"
    PULLED = "pulled"
    BEGIN = "begin"
    MOUNTED = "mounted"
    NOT_MOUNTED = "not mounted"
    NOT_OURS = "not ours"
    BACKUP_NEXT = "backup next"
    VERIFY_NEXT = "verify next"
    TEST_NEXT = "test next"
    PRUNE_NEXT = "prune next"
    REPAIR_NEXT = "repair next"
    ENOUGH = "enough"  # no job is left
    LEND = "lend"  # no job is left, and another drive is to be repaired with it
    WANTED = "wanted"  # a person asks for work on it
    PAUSE = "pause"  # the computer sleeps, runs on battery, or shuts down
    LET_GO = "let go"  # a person wants to unplug it, or nothing may be written any more
    TRY_AGAIN = "try again"
    UNMOUNTED = "unmounted"
    NOT_UNMOUNTED = "not unmounted"
    POWERED_OFF = "powered off"
    POWER_OFF_REFUSED = "power-off refused"


TRIGGER_OF_JOB: Final[Mapping[JobKind, Trigger]] = MappingProxyType(
    {kind: Trigger(traits.trigger) for kind, traits in JOB_KINDS.items()}
)
JOB_TRIGGERS: Final = tuple(dict.fromkeys(TRIGGER_OF_JOB.values()))

JOB_PHASES: Final = frozenset(traits.phase for traits in JOB_KINDS.values())
HAS_JOB: Final = JOB_PHASES | {Phase.STOPPING}
AT_WORK: Final = HAS_JOB | {Phase.MOUNTING, Phase.AUTHENTICATING, Phase.UNMOUNTING}
"""One drive at a time is at work: there is one worker, and the sources are read once."""

WAITING: Final = frozenset({Phase.APPEARED, Phase.SAFE})
"""Plugged in and not mounted."""

NEEDS_UNMOUNT: Final = HAS_JOB | {Phase.AUTHENTICATING, Phase.UNMOUNTING, Phase.STUCK}
"""Pulled now, something may be lost that had not reached the drive."""


def _position(phase: Phase, intent: Intent = Intent.WORK) -> Position:
    return Position(phase, intent)


ABSENT: Final = _position(Phase.ABSENT)
POWERED_OFF: Final = _position(Phase.SAFE, Intent.LEAVE)
"""It does not come back by itself, and that the kernel forgets it does not mean that it was pulled."""

_APPEARED: Final = _position(Phase.APPEARED)
_MOUNTING: Final = _position(Phase.MOUNTING)
_MOUNTING_TO_LEAVE: Final = _position(Phase.MOUNTING, Intent.LEAVE)
_MOUNTING_TO_WAIT: Final = _position(Phase.MOUNTING, Intent.WAIT)
_AUTHENTICATING: Final = _position(Phase.AUTHENTICATING)
_AUTHENTICATING_TO_LEAVE: Final = _position(Phase.AUTHENTICATING, Intent.LEAVE)
_AUTHENTICATING_TO_WAIT: Final = _position(Phase.AUTHENTICATING, Intent.WAIT)
_STOPPING_TO_LEAVE: Final = _position(Phase.STOPPING, Intent.LEAVE)
_STOPPING_TO_WAIT: Final = _position(Phase.STOPPING, Intent.WAIT)
_UNMOUNTING_TO_LEAVE: Final = _position(Phase.UNMOUNTING, Intent.LEAVE)
_UNMOUNTING_TO_WAIT: Final = _position(Phase.UNMOUNTING, Intent.WAIT)
_UNMOUNTING_AS_REFUSED: Final = _position(Phase.UNMOUNTING, Intent.REFUSE)
_STUCK_TO_LEAVE: Final = _position(Phase.STUCK, Intent.LEAVE)
_STUCK_TO_WAIT: Final = _position(Phase.STUCK, Intent.WAIT)
_STUCK_AS_REFUSED: Final = _position(Phase.STUCK, Intent.REFUSE)
_POWERING_OFF: Final = _position(Phase.POWERING_OFF, Intent.LEAVE)
_SAFE: Final = _position(Phase.SAFE)
_REFUSED: Final = _position(Phase.REFUSED, Intent.REFUSE)

_Row = dict[Trigger, Position]

_NEXT_JOB: Final[_Row] = {
    **{Trigger(traits.trigger): _position(traits.phase) for traits in JOB_KINDS.values()},
    Trigger.ENOUGH: _UNMOUNTING_TO_LEAVE,
    Trigger.LEND: _UNMOUNTING_TO_WAIT,
}
# On its way out a drive begins no job. Where none is left, there is nothing to come back for either.
_NO_JOB_BUT_LEAVE: Final[_Row] = dict.fromkeys((*JOB_TRIGGERS, Trigger.ENOUGH), _UNMOUNTING_TO_LEAVE)
_NO_JOB_BUT_WAIT: Final[_Row] = {
    **dict.fromkeys(JOB_TRIGGERS, _UNMOUNTING_TO_WAIT),
    Trigger.ENOUGH: _UNMOUNTING_TO_LEAVE,
}

_PLUGGED_IN: Final[Mapping[Position, _Row]] = {
    _APPEARED: {
        Trigger.BEGIN: _MOUNTING,
        Trigger.WANTED: _APPEARED,
        Trigger.LET_GO: _UNMOUNTING_TO_LEAVE,
    },
    _MOUNTING: {
        Trigger.MOUNTED: _AUTHENTICATING,
        Trigger.NOT_MOUNTED: _APPEARED,
        Trigger.WANTED: _MOUNTING,
        Trigger.PAUSE: _MOUNTING_TO_WAIT,
        Trigger.LET_GO: _MOUNTING_TO_LEAVE,
    },
    _MOUNTING_TO_LEAVE: {
        Trigger.MOUNTED: _UNMOUNTING_TO_LEAVE,
        Trigger.NOT_MOUNTED: _APPEARED,
        Trigger.WANTED: _MOUNTING_TO_WAIT,
        Trigger.LET_GO: _MOUNTING_TO_LEAVE,
    },
    _MOUNTING_TO_WAIT: {
        Trigger.MOUNTED: _UNMOUNTING_TO_WAIT,
        Trigger.NOT_MOUNTED: _APPEARED,
        Trigger.WANTED: _MOUNTING_TO_WAIT,
        Trigger.LET_GO: _MOUNTING_TO_LEAVE,
    },
    _AUTHENTICATING: {
        **_NEXT_JOB,
        Trigger.NOT_OURS: _UNMOUNTING_AS_REFUSED,
        Trigger.WANTED: _AUTHENTICATING,
        Trigger.PAUSE: _AUTHENTICATING_TO_WAIT,
        Trigger.LET_GO: _AUTHENTICATING_TO_LEAVE,
    },
    _AUTHENTICATING_TO_LEAVE: {
        **_NO_JOB_BUT_LEAVE,
        Trigger.NOT_OURS: _UNMOUNTING_AS_REFUSED,
        Trigger.WANTED: _AUTHENTICATING_TO_WAIT,
        Trigger.LET_GO: _AUTHENTICATING_TO_LEAVE,
    },
    _AUTHENTICATING_TO_WAIT: {
        **_NO_JOB_BUT_WAIT,
        Trigger.NOT_OURS: _UNMOUNTING_AS_REFUSED,
        Trigger.WANTED: _AUTHENTICATING_TO_WAIT,
        Trigger.LET_GO: _AUTHENTICATING_TO_LEAVE,
    },
    **{
        _position(phase): {
            **_NEXT_JOB,
            Trigger.WANTED: _position(phase),
            Trigger.PAUSE: _STOPPING_TO_WAIT,
            Trigger.LET_GO: _STOPPING_TO_LEAVE,
        }
        for phase in Phase
        if phase in JOB_PHASES
    },
    _STOPPING_TO_LEAVE: {
        **_NO_JOB_BUT_LEAVE,
        Trigger.WANTED: _STOPPING_TO_WAIT,
        Trigger.LET_GO: _STOPPING_TO_LEAVE,
    },
    _STOPPING_TO_WAIT: {
        **_NO_JOB_BUT_WAIT,
        Trigger.WANTED: _STOPPING_TO_WAIT,
        Trigger.LET_GO: _STOPPING_TO_LEAVE,
    },
    _UNMOUNTING_TO_LEAVE: {
        Trigger.UNMOUNTED: _POWERING_OFF,
        Trigger.NOT_UNMOUNTED: _STUCK_TO_LEAVE,
        Trigger.WANTED: _UNMOUNTING_TO_WAIT,
        Trigger.LET_GO: _UNMOUNTING_TO_LEAVE,
    },
    _UNMOUNTING_TO_WAIT: {
        Trigger.UNMOUNTED: _APPEARED,
        Trigger.NOT_UNMOUNTED: _STUCK_TO_WAIT,
        Trigger.WANTED: _UNMOUNTING_TO_WAIT,
        Trigger.LET_GO: _UNMOUNTING_TO_LEAVE,
    },
    _UNMOUNTING_AS_REFUSED: {
        Trigger.UNMOUNTED: _REFUSED,
        Trigger.NOT_UNMOUNTED: _STUCK_AS_REFUSED,
    },
    _STUCK_TO_LEAVE: {
        Trigger.TRY_AGAIN: _UNMOUNTING_TO_LEAVE,
        Trigger.WANTED: _UNMOUNTING_TO_WAIT,
        Trigger.LET_GO: _UNMOUNTING_TO_LEAVE,
    },
    _STUCK_TO_WAIT: {
        Trigger.TRY_AGAIN: _UNMOUNTING_TO_WAIT,
        Trigger.ENOUGH: _STUCK_TO_LEAVE,
        Trigger.WANTED: _UNMOUNTING_TO_WAIT,
        Trigger.LET_GO: _UNMOUNTING_TO_LEAVE,
    },
    _STUCK_AS_REFUSED: {
        Trigger.TRY_AGAIN: _UNMOUNTING_AS_REFUSED,
        Trigger.LET_GO: _UNMOUNTING_AS_REFUSED,
    },
    _POWERING_OFF: {
        Trigger.POWERED_OFF: POWERED_OFF,
        Trigger.POWER_OFF_REFUSED: _SAFE,
        Trigger.WANTED: _POWERING_OFF,
    },
    _SAFE: {Trigger.BEGIN: _MOUNTING, Trigger.WANTED: _SAFE},
    POWERED_OFF: {},
    _REFUSED: {},
}

TABLE: Final[Mapping[Position, Mapping[Trigger, Position]]] = MappingProxyType(
    {
        ABSENT: {Trigger.PLUGGED_IN: _APPEARED},
        **{position: {**row, Trigger.PULLED: ABSENT} for position, row in _PLUGGED_IN.items()},
    }
)
