"""What may be said to a person outside a terminal: the kinds of notices, and how each of them behaves.

Owns: the list, and for each kind its urgency, its buttons and what makes it obsolete. Does not know: the words
(texts/notices.py has them), the desktop, or when a notice is due (reminders.py and the daemon's machine do).

A notice carries a drive's label and numbers, never the name of a file, a folder or a patient: lock screens show it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Literal

NOBODY: Final = ""


class NoticeKind(StrEnum):
    """The values cross D-Bus to the agent of the desktop: they do not change."""

    # reminders: what only hands can do
    PLUG_IN_FIRST = "plug-in-first"  # drive
    PLUG_IN = "plug-in"  # drive, days
    OVERDUE = "overdue"  # drive, days
    UNPLUG = "unplug"  # drive
    UNPLUG_TAKE_HOME = "unplug-take-home"  # drive
    ROTATE = "rotate"  # drive: the one to take home; other: the one to bring
    BRING_BACK = "bring-back"  # drive, days
    TEST_WITH_CODE = "test-with-code"
    # what goes on
    READY = "ready"  # drive: plugged in, waits to be told
    UP_TO_DATE = "up-to-date"  # drive: plugged in, nothing is due
    WORKING = "working"  # drive: for long
    SAFE = "safe"  # drive: saved, may be unplugged
    SAFE_TAKE_HOME = "safe-take-home"  # drive
    SAFE_NOT_SAVED = "safe-not-saved"  # drive: may be unplugged, holds no new backup
    # what went wrong
    PULLED = "pulled"  # drive: unplugged too early
    BUSY = "busy"  # drive, program: cannot be taken over
    STILL_BUSY = "still-busy"  # drive, program: cannot be let go
    NOT_MOUNTED = "not-mounted"  # drive
    IMPOSTOR = "impostor"  # drive: something claims to be it
    REFUSED = "refused"  # drive
    BACKUP_FAILED = "backup-failed"  # drive
    PRUNE_FAILED = "prune-failed"  # drive
    CHECK_NOT_DONE = "check-not-done"  # drive
    DRIVE_FULL = "drive-full"  # drive
    DRIVE_FAILED = "drive-failed"  # drive
    SAVED_WITH_PROBLEMS = "saved-with-problems"  # drive, count
    SOURCE_SUSPICIOUS = "source-suspicious"
    SOURCE_SYNCED = "source-synced"
    SETTINGS_UNREADABLE = "settings-unreadable"
    DAMAGE_FOUND = "damage-found"  # drive
    RESTORE_TEST_FAILED = "restore-test-failed"  # drive
    ALARM = "alarm"


Urgency = Literal["low", "normal", "critical"]

Ends = Literal[
    "plugged-in",  # a drive of the practice was plugged in: the reminder has been obeyed
    "unplugged",  # that drive was
    "work-done",  # that drive is being let go
    "acknowledged",  # stays until somebody has seen it
    "lifted",  # the alarm was lifted, which a button of a notification cannot do
]


class Button(StrEnum):
    """What a person may answer to a notice."""

    BACK_UP_NOW = "back-up-now"
    LATER = "later"
    EJECT = "eject"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How a kind of notice is shown, and what makes it obsolete."""

    urgency: Urgency
    ends: Ends
    buttons: tuple[Button, ...] = (Button.DONE,)


_LATER: Final = (Button.LATER, Button.DONE)
_EJECT: Final = (Button.EJECT, Button.LATER)

BEHAVIOUR: Final[Mapping[NoticeKind, Behaviour]] = {
    NoticeKind.PLUG_IN_FIRST: Behaviour("normal", "plugged-in", (Button.LATER,)),
    NoticeKind.PLUG_IN: Behaviour("normal", "plugged-in", (Button.LATER,)),
    NoticeKind.OVERDUE: Behaviour("critical", "plugged-in", (Button.LATER,)),
    NoticeKind.UNPLUG: Behaviour("normal", "unplugged", _EJECT),
    NoticeKind.UNPLUG_TAKE_HOME: Behaviour("normal", "unplugged", _EJECT),
    NoticeKind.ROTATE: Behaviour("normal", "acknowledged", _LATER),
    NoticeKind.BRING_BACK: Behaviour("normal", "plugged-in", (Button.LATER,)),
    NoticeKind.TEST_WITH_CODE: Behaviour("normal", "acknowledged", _LATER),
    NoticeKind.READY: Behaviour("normal", "unplugged", (Button.BACK_UP_NOW, Button.EJECT)),
    NoticeKind.UP_TO_DATE: Behaviour("low", "unplugged", (Button.BACK_UP_NOW, Button.EJECT)),
    NoticeKind.WORKING: Behaviour("low", "work-done", ()),
    NoticeKind.SAFE: Behaviour("normal", "unplugged"),
    NoticeKind.SAFE_TAKE_HOME: Behaviour("normal", "unplugged"),
    NoticeKind.SAFE_NOT_SAVED: Behaviour("normal", "unplugged"),
    NoticeKind.PULLED: Behaviour("critical", "plugged-in"),
    NoticeKind.BUSY: Behaviour("normal", "unplugged", (Button.BACK_UP_NOW,)),
    NoticeKind.STILL_BUSY: Behaviour("critical", "unplugged", (Button.EJECT,)),
    NoticeKind.NOT_MOUNTED: Behaviour("critical", "acknowledged"),
    NoticeKind.IMPOSTOR: Behaviour("critical", "acknowledged"),
    NoticeKind.REFUSED: Behaviour("critical", "acknowledged"),
    NoticeKind.BACKUP_FAILED: Behaviour("critical", "acknowledged"),
    NoticeKind.PRUNE_FAILED: Behaviour("normal", "acknowledged"),
    NoticeKind.CHECK_NOT_DONE: Behaviour("normal", "acknowledged"),
    NoticeKind.DRIVE_FULL: Behaviour("critical", "acknowledged"),
    NoticeKind.DRIVE_FAILED: Behaviour("critical", "acknowledged"),
    NoticeKind.SAVED_WITH_PROBLEMS: Behaviour("normal", "acknowledged"),
    NoticeKind.SOURCE_SUSPICIOUS: Behaviour("critical", "acknowledged"),
    NoticeKind.SOURCE_SYNCED: Behaviour("normal", "acknowledged"),
    NoticeKind.SETTINGS_UNREADABLE: Behaviour("critical", "acknowledged"),
    NoticeKind.DAMAGE_FOUND: Behaviour("critical", "acknowledged"),
    NoticeKind.RESTORE_TEST_FAILED: Behaviour("critical", "acknowledged"),
    NoticeKind.ALARM: Behaviour("critical", "lifted", ()),
}

REMINDERS: Final = frozenset(
    {
        NoticeKind.PLUG_IN_FIRST,
        NoticeKind.PLUG_IN,
        NoticeKind.OVERDUE,
        NoticeKind.UNPLUG,
        NoticeKind.UNPLUG_TAKE_HOME,
        NoticeKind.ROTATE,
        NoticeKind.BRING_BACK,
        NoticeKind.TEST_WITH_CODE,
    }
)
"""Kinds that are said again and again until obeyed: each at most once a day."""

FAMILY: Final[Mapping[NoticeKind, NoticeKind]] = {
    NoticeKind.PLUG_IN_FIRST: NoticeKind.PLUG_IN,
    NoticeKind.OVERDUE: NoticeKind.PLUG_IN,
    NoticeKind.UNPLUG_TAKE_HOME: NoticeKind.UNPLUG,
}
"""Kinds that ask for the same thing in other words: one a day of all of them together, snoozed together."""


@dataclass(frozen=True, slots=True)
class NoticeKey:
    """What makes two notices the same: of each kind and drive, at most one is active."""

    kind: NoticeKind
    drive: str


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice, without its words. What does not apply to its kind is empty or 0."""

    kind: NoticeKind
    drive: str = NOBODY
    other: str = ""
    days: int = 0
    program: str = ""
    count: int = 0

    @property
    def key(self) -> NoticeKey:
        """Which notice it is, whatever else it says."""
        return NoticeKey(self.kind, self.drive)

    @property
    def behaviour(self) -> Behaviour:
        """How it is shown and what ends it."""
        return BEHAVIOUR[self.kind]


@dataclass(frozen=True, slots=True)
class ActiveNotice:
    """A notice that a person has not dealt with yet, and since when (aware)."""

    notice: Notice
    since: datetime


def family(kind: NoticeKind) -> NoticeKind:
    """The kind under which a reminder is counted and snoozed."""
    return FAMILY.get(kind, kind)
