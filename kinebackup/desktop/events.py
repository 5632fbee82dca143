"""What happens to the agent: events from the daemon, from the desktop and from its clock.

Owns: the closed union ``AgentEvent``. Does not know: what follows from each.
"""

from dataclasses import dataclass

from kinebackup.policy.notices import Notice, NoticeKey


@dataclass(frozen=True, slots=True)
class ActiveNotices:
    """The daemon: these notices are active, the oldest first, and no others."""

    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class NoticeShown:
    """The daemon: a notice, new or sent again."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class NoticeWithdrawn:
    """The daemon: that notice is obsolete."""

    key: NoticeKey


@dataclass(frozen=True, slots=True)
class AnswerFailed:
    """The daemon could not do what a button said; the texts of the ``KineError``."""

    key: NoticeKey
    message: str
    hint: str


@dataclass(frozen=True, slots=True)
class ServerAppeared:
    """The desktop: something shows notifications now, under that unique name of the bus."""

    owner: str


@dataclass(frozen=True, slots=True)
class ButtonPressed:
    """The desktop: a button of that notification was pressed."""

    shown_id: int
    button_key: str


@dataclass(frozen=True, slots=True)
class NotificationClosed:
    """The desktop: that notification is not on the screen any more. ``reason`` as the specification numbers them."""

    shown_id: int
    reason: int


@dataclass(frozen=True, slots=True)
class TimerFired:
    """The clock: something may have been closed for long enough."""


AgentEvent = (
    ActiveNotices
    | NoticeShown
    | NoticeWithdrawn
    | AnswerFailed
    | ServerAppeared
    | ButtonPressed
    | NotificationClosed
    | TimerFired
)
