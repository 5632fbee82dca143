"""Which notices stand, and which of them are on the screen.

Owns: what the agent knows of each notice, and what follows from what it hears; no input, no output, no clock of its
own. Does not know: words, connections, or how anything is shown.

A notice is taken off by the daemon only. What a person closes without pressing a button stays known there, and is not
acknowledged by it: a failure that somebody waved away comes back after four hours, which is at most twice in a working
day, and at the next login. The daily reminders do not: the daemon gives them again on the next day by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from kinebackup.policy.notices import BEHAVIOUR, Button, Notice, NoticeKind

COMES_BACK_AFTER_S: Final = 4 * 3600.0
"""A failure that was closed and not acknowledged."""

ONCE_MORE_AFTER_S: Final = 60.0

LATER: Final = timedelta(hours=1)
"""*Plus tard*. The daemon reminds once a day, at the practice's hour: of two reminders, this leaves out at most one.

Pressed in the morning, it comes back in the evening; pressed in the evening, on the next working day.
"""

DISMISSED: Final = 2
"""The reason of ``NotificationClosed`` that means a person's hand."""


@dataclass(frozen=True, slots=True)
class Key:
    """There is one notice of each kind and drive."""

    kind: NoticeKind
    drive: str


@dataclass(frozen=True, slots=True)
class Show:
    """Show what ``Board.to_show`` has under this key. Answered by ``Board.is_shown`` or ``Board.is_not_shown``."""

    key: Key


@dataclass(frozen=True, slots=True)
class Close:
    """Take this notification from the screen."""

    shown_id: int


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the daemon which button was pressed. Answered by ``Board.not_obeyed`` where it could not be."""

    button: Button
    key: Key


Effect = Show | Close | Tell


@dataclass(frozen=True, slots=True)
class Waiting:
    """To be shown as soon as somebody can show it, in the place of that notification where it is not 0."""

    replaces: int = 0


@dataclass(frozen=True, slots=True)
class Visible:
    """The server's number for it."""

    shown_id: int


@dataclass(frozen=True, slots=True)
class Quiet:
    """A person closed or answered it; None where it does not come back by itself.

    ``closed_id``: some servers say that a notification was closed first, and then which button did it.
    """

    until_s: float | None
    closed_id: int = 0


Sight = Waiting | Visible | Quiet


@dataclass(frozen=True, slots=True)
class ToShow:
    """A notice, and the number of the notification in whose place it comes, or 0."""

    notice: Notice
    replaces: int


@dataclass(slots=True)
class _Standing:
    notice: Notice
    sight: Sight


class Board:
    """All times are monotonic seconds. Methods return what is to be done, in that order."""

    def __init__(self) -> None:
        self._standing: dict[Key, _Standing] = {}

    @property
    def standing(self) -> Mapping[Key, Sight]:
        """Every notice that stands, oldest first."""
        return MappingProxyType({key: each.sight for key, each in self._standing.items()})

    # --- what the daemon says -----------------------------------------------------------------------------------------

    def replay(self, notices: Sequence[Notice]) -> list[Effect]:
        """These stand, and no others. What a person has closed and what is on the screen already is left alone."""
        now_stand = {key_of(notice) for notice in notices}
        effects = [effect for key in list(self._standing) if key not in now_stand for effect in self.withdraw(key)]
        for notice in notices:
            known = self._standing.get(key_of(notice))
            if known is None or known.notice != notice or isinstance(known.sight, Waiting):
                effects += self.stand(notice)
        return effects

    def stand(self, notice: Notice) -> list[Effect]:
        """The daemon says it now: it is shown, also where one of the same kind was closed."""
        key = key_of(notice)
        before = self._standing.pop(key, None)  # the latest is the last
        self._standing[key] = _Standing(notice, Waiting(_number(before.sight) if before else 0))
        return [Show(key)]

    def withdraw(self, key: Key) -> list[Effect]:
        """It is obsolete."""
        gone = self._standing.pop(key, None)
        shown_id = _number(gone.sight) if gone else 0
        return [Close(shown_id)] if shown_id else []

    # --- what the desktop says ----------------------------------------------------------------------------------------

    def to_show(self, key: Key) -> ToShow | None:
        """What is to be shown under that key; None where that has been done, or is not wanted any more."""
        standing = self._standing.get(key)
        if standing is None or not isinstance(standing.sight, Waiting):
            return None
        return ToShow(standing.notice, standing.sight.replaces)

    def is_shown(self, key: Key, shown_id: int) -> list[Effect]:
        """The server gave it that number."""
        standing = self._standing.get(key)
        if standing is None:  # withdrawn meanwhile
            return [Close(shown_id)]
        standing.sight = Visible(shown_id)
        return []

    def is_not_shown(self, key: Key, now_s: float) -> None:
        """There is a server, and it did not answer: it may be about to start. Once more in a minute."""
        standing = self._standing.get(key)
        if standing is not None:
            standing.sight = Quiet(now_s + ONCE_MORE_AFTER_S)

    def is_pressed(self, shown_id: int, button_key: str, now_s: float) -> list[Effect]:
        """Not every server takes a notification away when its button was pressed."""
        standing = self._visible(shown_id) or self._just_closed(shown_id)
        if standing is None:
            return []
        buttons = [each for each in standing.notice.behaviour.buttons if each.value == button_key]
        if not buttons:
            return []
        standing.sight = Quiet(_comes_back_s(standing.notice, now_s))
        return [Close(shown_id), Tell(buttons[0], key_of(standing.notice))]

    def is_closed(self, shown_id: int, reason: int, now_s: float, *, has_buttons: bool) -> list[Effect]:
        """By whatever; where there are no buttons, a hand that closes it is the only way to say *seen*."""
        standing = self._visible(shown_id)
        if standing is None:
            return []
        standing.sight = Quiet(_comes_back_s(standing.notice, now_s), shown_id)
        if not has_buttons and reason == DISMISSED and Button.DONE in standing.notice.behaviour.buttons:
            return [Tell(Button.DONE, key_of(standing.notice))]
        return []

    def server_is_new(self) -> list[Effect]:
        """Nothing of what was on the screen is there any more, and the numbers mean nothing."""
        for standing in self._standing.values():
            match standing.sight:
                case Quiet(until_s, _):
                    standing.sight = Quiet(until_s)
                case Visible() | Waiting():
                    standing.sight = Waiting()
        return self._show_waiting()

    def not_obeyed(self, key: Key) -> list[Effect]:
        """The daemon did not do what the button said: the question is still open."""
        standing = self._standing.get(key)
        if standing is None or not isinstance(standing.sight, Quiet):
            return []
        standing.sight = Waiting()
        return [Show(key)]

    # --- time ---------------------------------------------------------------------------------------------------------

    def is_late(self, now_s: float) -> list[Effect]:
        """Show again what was closed for long enough."""
        for standing in self._standing.values():
            match standing.sight:
                case Quiet(until_s, _) if until_s is not None and until_s <= now_s:
                    standing.sight = Waiting()
        return self._show_waiting()

    def next_s(self) -> float | None:
        """When to call ``is_late``; None where there is nothing to wait for."""
        sights = (each.sight for each in self._standing.values())
        return min(
            (each.until_s for each in sights if isinstance(each, Quiet) and each.until_s is not None), default=None
        )

    # --- the end ------------------------------------------------------------------------------------------------------

    def clear(self) -> list[Effect]:
        """Take everything from the screen: without the agent, buttons would lead nowhere."""
        return [effect for key in list(self._standing) for effect in self.withdraw(key)]

    def _show_waiting(self) -> list[Effect]:
        return [Show(key) for key, each in self._standing.items() if isinstance(each.sight, Waiting)]

    def _visible(self, shown_id: int) -> _Standing | None:
        for standing in self._standing.values():
            if standing.sight == Visible(shown_id):
                return standing
        return None

    def _just_closed(self, shown_id: int) -> _Standing | None:
        for standing in self._standing.values():
            match standing.sight:
                case Quiet(_, closed_id) if closed_id == shown_id and shown_id:
                    return standing
        return None


def key_of(notice: Notice) -> Key:
    """Under which a notice is known."""
    return Key(notice.kind, notice.drive)


def insists(kind: NoticeKind) -> bool:
    """Whether closing it is not enough: what is critical, and what ends only by being acknowledged."""
    behaviour = BEHAVIOUR[kind]
    return behaviour.urgency == "critical" or behaviour.ends in ("acknowledged", "lifted")


def _comes_back_s(notice: Notice, now_s: float) -> float | None:
    return now_s + COMES_BACK_AFTER_S if insists(notice.kind) else None


def _number(sight: Sight) -> int:
    """That of the notification on the screen, or 0."""
    match sight:
        case Visible(shown_id):
            return shown_id
        case Waiting(replaces):
            return replaces
        case Quiet():
            return 0
