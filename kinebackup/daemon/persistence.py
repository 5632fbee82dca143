"""What the daemon must remember over a restart: what was said, what stands, whether the alarm is on.

Owns: that value, and its form in this computer's memory. Does not know: when it is kept (loop.py does).

Without it, a restart would repeat the reminders of the day and forget a failure that nobody has seen yet.
"""

from dataclasses import dataclass, field
from typing import Final

import msgspec

from kinebackup.policy.notices import ActiveNotice
from kinebackup.policy.reminders import Memory

_NAME: Final = "daemon"


@dataclass(frozen=True, slots=True)
class PersistentState:
    """The part of the daemon's state that outlives it.

    ``shown``: the active notices, with ids of drives; ``labels``: what people call those drives, by id.
    """

    memory: Memory = field(default_factory=Memory)
    shown: tuple[ActiveNotice, ...] = ()
    alarm: bool = False
    labels: dict[str, str] = field(default_factory=dict)


def encode(kept: PersistentState) -> str:
    """As JSON."""
    return msgspec.json.encode(kept).decode()


def decode(text: str | None) -> PersistentState:
    """Nothing where there is nothing, or what an older or newer KineBackup wrote: a reminder too many does no harm."""
    if text is None:
        return PersistentState()
    try:
        return msgspec.json.decode(text, type=PersistentState)
    except (msgspec.MsgspecError, ValueError):
        return PersistentState()
