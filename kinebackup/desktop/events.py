"""What the agent hears, from the daemon, from the desktop and from its clock, as values.

Owns: the closed union ``AgentEvent``. Does not know: who says it, or what follows.
"""

from dataclasses import dataclass

from kinebackup.desktop.board import Key
from kinebackup.policy.notices import Notice


@dataclass(frozen=True, slots=True)
class Replayed:
    """The daemon: these notices stand, oldest first, and no others."""

    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class Said:
    """The daemon: a notice, new or said again."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class TakenBack:
    """The daemon: that notice is obsolete."""

    key: Key


@dataclass(frozen=True, slots=True)
class NotObeyed:
    """The daemon could not do what a button said; the texts of the ``KineError``."""

    key: Key
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class ServerCame:
    """The desktop: something shows notifications now, under that unique name of the bus."""

    owner: str


@dataclass(frozen=True, slots=True)
class Pressed:
    """The desktop: a button of that notification was pressed."""

    shown_id: int
    button_key: str


@dataclass(frozen=True, slots=True)
class Closed:
    """The desktop: that notification is not on the screen any more. ``reason`` as the specification numbers them."""

    shown_id: int
    reason: int


@dataclass(frozen=True, slots=True)
class TimeToLook:
    """The clock: something may have been closed for long enough."""


AgentEvent = Replayed | Said | TakenBack | NotObeyed | ServerCame | Pressed | Closed | TimeToLook
