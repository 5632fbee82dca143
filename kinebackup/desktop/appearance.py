"""How a notice looks on this desktop: words, urgency, category, buttons.

Owns: the mapping from a notice to what org.freedesktop.Notifications takes, given what the server can do. Does not
know: connections, or which notices are active.

Source: Desktop Notifications Specification 1.2, "Categories", "Urgency Levels", "Markup" and "Hints".
"""

import html
import shlex
import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, assert_never

from kinebackup.i18n import _
from kinebackup.policy.notices import BEHAVIOUR, Button, Notice, Urgency
from kinebackup.texts.notices import button_text, notice_text

Icon = Literal["drive-removable-media", "dialog-warning", "dialog-error"]
"""Names of the Icon Naming Specification: every theme has them."""

STAYS: Final = 0
AS_THE_SERVER_LIKES: Final = -1

_URGENCY_BYTES: Final[dict[Urgency, int]] = {"low": 0, "normal": 1, "critical": 2}


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server of notifications says of itself. Other things that it can do are of no use here."""

    buttons: bool = True
    body: bool = True
    markup: bool = True

    @classmethod
    def of(cls, names: frozenset[str]) -> "Capabilities":
        """From the answer to ``GetCapabilities``."""
        return cls("actions" in names, "body" in names, "body-markup" in names)


@dataclass(frozen=True, slots=True)
class ShownButton:
    """A button: the key that comes back when it is pressed, and its label."""

    key: str
    label: str


@dataclass(frozen=True, slots=True)
class Appearance:
    """The arguments of ``Notify``. ``timeout_ms``: ``STAYS`` until closed, or ``AS_THE_SERVER_LIKES``."""

    summary: str
    body: str
    urgency: int
    category: str
    icon: Icon
    timeout_ms: int
    buttons: tuple[ShownButton, ...] = ()


def appearance_of(notice: Notice, can: Capabilities) -> Appearance:
    """The notice in the current language, on a server that can do that.

    There is no default action, some servers have none: every answer is a button. What is not merely of passing
    interest stays until somebody closes it: while a backup runs, nobody sits in front of the screen.
    """
    text = notice_text(notice)
    behaviour = BEHAVIOUR[notice.kind]
    body = text.body if can.buttons else " ".join(filter(None, (text.body, _by_hand(notice))))
    return _laid_out(
        Appearance(
            summary=text.title,
            body=body,
            urgency=_URGENCY_BYTES[behaviour.urgency],
            category=behaviour.category,
            icon=_icon(notice),
            timeout_ms=AS_THE_SERVER_LIKES if behaviour.urgency == "low" else STAYS,
            buttons=tuple(ShownButton(each.value, button_text(each)) for each in behaviour.buttons),
        ),
        can,
    )


def refusal_of(message: str, hint: str, can: Capabilities) -> Appearance:
    """The answer to a button that could not be obeyed, from the texts of a ``KineError``."""
    body = " ".join(_sentence(each) for each in (message, hint) if each)
    return _laid_out(
        Appearance(_("That did not work"), body, _URGENCY_BYTES["normal"], "", "dialog-warning", AS_THE_SERVER_LIKES),
        can,
    )


def _laid_out(wanted: Appearance, can: Capabilities) -> Appearance:
    summary, body = _plain(wanted.summary), _plain(wanted.body)
    if not can.body:  # all that can be shown is one line
        summary, body = f"{summary} – {body}" if body else summary, ""
    elif can.markup:
        body = html.escape(body, quote=False)
    return Appearance(
        summary=summary,
        body=body,
        urgency=wanted.urgency,
        category=wanted.category,
        icon=wanted.icon,
        timeout_ms=wanted.timeout_ms,
        buttons=wanted.buttons if can.buttons else (),
    )


def _by_hand(notice: Notice) -> str:
    """Instead of the first button, where there are none: what to type."""
    buttons = BEHAVIOUR[notice.kind].buttons
    match buttons[0] if buttons else None:
        case Button.BACK_UP_NOW:
            return _("In a terminal: {command}").format(
                command=f"kinebackup backup --drive {shlex.quote(notice.drive)}"
            )
        case Button.EJECT:
            return _("In a terminal: {command}").format(command=f"kinebackup drive eject {shlex.quote(notice.drive)}")
        case Button.LATER | Button.DONE | None:
            return ""
        case unknown:
            assert_never(unknown)


def _icon(notice: Notice) -> Icon:
    behaviour = BEHAVIOUR[notice.kind]
    if behaviour.ends in ("acknowledged", "lifted") and behaviour.urgency == "critical":
        return "dialog-error"
    return "dialog-warning" if behaviour.urgency == "critical" else "drive-removable-media"


def _plain(text: str) -> str:
    """One line without anything that cannot be seen: a program may be called what it likes, so as to look like us."""
    visible = "".join(" " if unicodedata.category(each)[0] == "C" else each for each in text)
    return " ".join(filter(None, visible.split(" ")))  # not split(): French keeps its no-break spaces


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
