"""Which active notices are on the screen, which were closed, and when those come back.

Owns: the visibility of each notice, and what follows from an event; no input, no output, no clock of its own. Does not
know: which notices are active, words, connections, or how anything is shown.

The daemon owns the active notices: the board adds and removes one only when the daemon says so. What a person closes
without pressing a button stays active there: a failure that somebody waved away comes back after four hours, which is
at most twice in a working day, and at the next login. The daily reminders do not: the daemon sends them again on the
next day by itself.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from types import MappingProxyType
from typing import Final

from kinebackup.policy.notices import BEHAVIOUR, Button, Notice, NoticeKey, NoticeKind

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
class Show:
    """Show what ``Board.to_show`` has under this key. Answered by ``Board.is_shown`` or ``Board.is_not_shown``."""

    key: NoticeKey


@dataclass(frozen=True, slots=True)
class Close:
    """Take this notification from the screen."""

    shown_id: int


@dataclass(frozen=True, slots=True)
class Answer:
    """Send the daemon the button that was pressed. Answered by ``Board.answer_failed`` where that failed."""

    button: Button
    key: NoticeKey


Effect = Show | Close | Answer


@dataclass(frozen=True, slots=True)
class Waiting:
    """To be shown as soon as somebody can show it, in the place of that notification where it is not 0."""

    replaces: int = 0


@dataclass(frozen=True, slots=True)
class Visible:
    """The server's number for it."""

    shown_id: int


@dataclass(frozen=True, slots=True)
class Hidden:
    """A person closed or answered it; None where it does not come back by itself.

    ``closed_id``: some servers say that a notification was closed first, and then which button did it.
    """

    until_s: float | None
    closed_id: int = 0


Visibility = Waiting | Visible | Hidden


@dataclass(frozen=True, slots=True)
class ToShow:
    """A notice, and the number of the notification in whose place it comes, or 0."""

    notice: Notice
    replaces: int


@dataclass(slots=True)
class _Active:
    notice: Notice
    visibility: Visibility


class Board:
    """All times are monotonic seconds. Methods return what is to be done, in that order."""

    def __init__(self) -> None:
        self._active: dict[NoticeKey, _Active] = {}

    @property
    def active(self) -> Mapping[NoticeKey, Visibility]:
        """Where each active notice is now, the oldest first."""
        return MappingProxyType({key: each.visibility for key, each in self._active.items()})

    # --- from the daemon ---------------------------------------------------------------------------------------------

    def replay(self, notices: Sequence[Notice]) -> list[Effect]:
        """These are active, and no others. What a person has closed or what is on the screen already is left alone."""
        now_active = {notice.key for notice in notices}
        effects = [effect for key in list(self._active) if key not in now_active for effect in self.withdraw(key)]
        for notice in notices:
            known = self._active.get(notice.key)
            if known is None or known.notice != notice or isinstance(known.visibility, Waiting):
                effects += self.activate(notice)
        return effects

    def activate(self, notice: Notice) -> list[Effect]:
        """The daemon has just sent it: it is shown, also where one of the same kind was closed."""
        key = notice.key
        before = self._active.pop(key, None)  # the latest is the last
        self._active[key] = _Active(notice, Waiting(_number(before.visibility) if before else 0))
        return [Show(key)]

    def withdraw(self, key: NoticeKey) -> list[Effect]:
        """It is obsolete."""
        gone = self._active.pop(key, None)
        shown_id = _number(gone.visibility) if gone else 0
        return [Close(shown_id)] if shown_id else []

    # --- from the desktop --------------------------------------------------------------------------------------------

    def to_show(self, key: NoticeKey) -> ToShow | None:
        """What is to be shown under that key; None where that has been done, or is not wanted any more."""
        active = self._active.get(key)
        if active is None or not isinstance(active.visibility, Waiting):
            return None
        return ToShow(active.notice, active.visibility.replaces)

    def is_shown(self, key: NoticeKey, shown_id: int) -> list[Effect]:
        """The server gave it that number."""
        active = self._active.get(key)
        if active is None:  # withdrawn meanwhile
            return [Close(shown_id)]
        active.visibility = Visible(shown_id)
        return []

    def is_not_shown(self, key: NoticeKey, now_s: float) -> None:
        """There is a server, and it did not answer: it may be about to start. Once more in a minute."""
        active = self._active.get(key)
        if active is not None:
            active.visibility = Hidden(now_s + ONCE_MORE_AFTER_S)

    def is_pressed(self, shown_id: int, button_key: str, now_s: float) -> list[Effect]:
        """Not every server takes a notification away when its button was pressed."""
        active = self._visible(shown_id) or self._just_closed(shown_id)
        if active is None:
            return []
        buttons = [each for each in active.notice.behaviour.buttons if each.value == button_key]
        if not buttons:
            return []
        active.visibility = Hidden(_comes_back_s(active.notice, now_s))
        return [Close(shown_id), Answer(buttons[0], active.notice.key)]

    def is_closed(self, shown_id: int, reason: int, now_s: float, *, has_buttons: bool) -> list[Effect]:
        """Whatever closed it. Where there are no buttons, closing it by hand is the only way to acknowledge it."""
        active = self._visible(shown_id)
        if active is None:
            return []
        active.visibility = Hidden(_comes_back_s(active.notice, now_s), shown_id)
        if not has_buttons and reason == DISMISSED and Button.DONE in active.notice.behaviour.buttons:
            return [Answer(Button.DONE, active.notice.key)]
        return []

    def server_is_new(self) -> list[Effect]:
        """Nothing of what was on the screen is there any more, and the numbers mean nothing."""
        for active in self._active.values():
            match active.visibility:
                case Hidden(until_s, _):
                    active.visibility = Hidden(until_s)
                case Visible() | Waiting():
                    active.visibility = Waiting()
        return self._show_waiting()

    def answer_failed(self, key: NoticeKey) -> list[Effect]:
        """The daemon did not do what the button asks for: the notice is shown again."""
        active = self._active.get(key)
        if active is None or not isinstance(active.visibility, Hidden):
            return []
        active.visibility = Waiting()
        return [Show(key)]

    # --- time ---------------------------------------------------------------------------------------------------------

    def show_due(self, now_s: float) -> list[Effect]:
        """Show again what was closed for long enough."""
        for active in self._active.values():
            match active.visibility:
                case Hidden(until_s, _) if until_s is not None and until_s <= now_s:
                    active.visibility = Waiting()
        return self._show_waiting()

    def next_due_s(self) -> float | None:
        """When to call ``show_due``; None where there is nothing to wait for."""
        sights = (each.visibility for each in self._active.values())
        return min(
            (each.until_s for each in sights if isinstance(each, Hidden) and each.until_s is not None), default=None
        )

    # --- the end ------------------------------------------------------------------------------------------------------

    def clear(self) -> list[Effect]:
        """Take everything from the screen: without the agent, buttons would lead nowhere."""
        return [effect for key in list(self._active) for effect in self.withdraw(key)]

    def _show_waiting(self) -> list[Effect]:
        return [Show(key) for key, each in self._active.items() if isinstance(each.visibility, Waiting)]

    def _visible(self, shown_id: int) -> _Active | None:
        for active in self._active.values():
            if active.visibility == Visible(shown_id):
                return active
        return None

    def _just_closed(self, shown_id: int) -> _Active | None:
        for active in self._active.values():
            match active.visibility:
                case Hidden(_, closed_id) if closed_id == shown_id and shown_id:
                    return active
        return None


def insists(kind: NoticeKind) -> bool:
    """Whether closing it is not enough: what is critical, and what ends only by being acknowledged."""
    behaviour = BEHAVIOUR[kind]
    return behaviour.urgency == "critical" or behaviour.ends in ("acknowledged", "lifted")


def _comes_back_s(notice: Notice, now_s: float) -> float | None:
    return now_s + COMES_BACK_AFTER_S if insists(notice.kind) else None


def _number(visibility: Visibility) -> int:
    """That of the notification on the screen, or 0."""
    match visibility:
        case Visible(shown_id):
            return shown_id
        case Waiting(replaces):
            return replaces
        case Hidden():
            return 0
