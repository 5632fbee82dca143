"""What the daemon must remember over a restart: what was said, which notices are active, whether the alarm is on.

Owns: that value, and its place and form in this computer's memory. Does not know: when it changes (loop.py does).

Without it, a restart would repeat the reminders of the day and forget a failure that nobody has seen yet.
"""

import logging
from dataclasses import dataclass, field
from typing import Final

import msgspec

from kinebackup.config import Config
from kinebackup.errors import KineError
from kinebackup.policy.notices import ActiveNotice
from kinebackup.policy.reminders import Memory
from kinebackup.state.state_db import StateDb

_NAME: Final = "daemon"

log = logging.getLogger("kinebackup.daemon")


@dataclass(frozen=True, slots=True)
class PersistentState:
    """The part of the daemon's state that outlives it.

    ``shown``: the active notices, with ids of drives; ``labels``: what people call those drives, by id.
    """

    memory: Memory = field(default_factory=Memory)
    shown: tuple[ActiveNotice, ...] = ()
    alarm: bool = False
    labels: dict[str, str] = field(default_factory=dict)


def encode(persistent: PersistentState) -> str:
    """As JSON."""
    return msgspec.json.encode(persistent).decode()


def decode(text: str | None) -> PersistentState:
    """Nothing where there is nothing, or what an older or newer KineBackup wrote: a reminder too many does no harm."""
    if text is None:
        return PersistentState()
    try:
        return msgspec.json.decode(text, type=PersistentState)
    except (msgspec.MsgspecError, ValueError):
        return PersistentState()


def read_persistent(config: Config | None) -> PersistentState:
    """What was kept before the last restart; nothing where that cannot be read."""
    if config is None:
        return PersistentState()
    try:
        with StateDb(config.paths.state) as state:
            return decode(state.stored_value(_NAME)) if state.exists else PersistentState()
    except KineError as error:
        log.warning("what was shown before the restart is not known: %s", error.message)
        return PersistentState()


def write_persistent(config: Config | None, persistent: PersistentState) -> None:
    """Remember it. A full disk must not end the daemon: at worst, a reminder is repeated."""
    if config is None:
        return
    try:
        with StateDb(config.paths.state) as state:
            if state.exists:
                state.store_value(_NAME, encode(persistent))
            if trouble := state.untold_trouble():
                log.warning("what is shown cannot be kept over a restart: %s", trouble.message)
    except KineError as error:
        log.warning("what is shown cannot be kept over a restart: %s", error.message)
