"""What may be said to a person outside a terminal: the kinds of notices, and how each of them behaves.

Owns: the list, and one row for each kind: how it is shown, what makes it obsolete, whether it reminds, what a command
makes of it. Does not know: the words (texts/notices.py has them), the desktop's calls, or when a notice is due
(reminders.py and the daemon's machine do).

A notice carries a drive's label and numbers, never the name of a file, a folder or a patient: lock screens show it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final, Literal

from kinebackup.errors import CheckFailed, DriveFailed, KineError, TargetRefused

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
    PLUG_IN_BOTH = "plug-in-both"  # drive: the one that lost something; other: one that may have it
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
    DRIVE_AGES = "drive-ages"  # drive: to be replaced, and in use until then
    SAVED_WITH_PROBLEMS = "saved-with-problems"  # drive, count
    SOURCE_SUSPICIOUS = "source-suspicious"
    SOURCE_SYNCED = "source-synced"
    SETTINGS_UNREADABLE = "settings-unreadable"
    DAMAGE_FOUND = "damage-found"  # drive
    RESTORE_TEST_FAILED = "restore-test-failed"  # drive
    ALARM = "alarm"


Urgency = Literal["low", "normal", "critical"]

Ends = Literal[
    "any-plugged-in",  # a drive of the practice was plugged in, whichever: that is what the reminder asks for
    "plugged-in",  # that drive was
    "unplugged",  # that drive was
    "work-done",  # that drive is being let go
    "acknowledged",  # stays until somebody has seen it
    "lifted",  # the alarm was lifted, which a button of a notification cannot do
]


Category = Literal[
    "device",
    "device.added",
    "device.error",
    "device.removed",
    "transfer",
    "transfer.complete",
    "transfer.error",
]
"""Desktop Notifications Specification 1.2, "Categories"."""


class Button(StrEnum):
    """What a person may answer to a notice."""

    BACK_UP_NOW = "back-up-now"
    LATER = "later"
    EJECT = "eject"
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Reminder:
    """Said again and again until it is done, each family at most once a day.

    A family asks for the same thing in other words; it is counted and snoozed under the kind ``family``. ``per_drive``:
    drives are counted one by one; otherwise it is said once for the whole practice.
    """

    family: NoticeKind
    per_drive: bool = False


@dataclass(frozen=True, slots=True)
class Behaviour:
    """One row: how a kind of notice is shown, and what makes it obsolete.

    ``reminder``: None for what is said when it happens. ``error``: what the command that waits for the work ends with,
    where this notice says why there was none; None where it does not.
    """

    urgency: Urgency
    ends: Ends
    category: Category
    buttons: tuple[Button, ...] = (Button.DONE,)
    reminder: Reminder | None = None
    error: type[KineError] | None = None


_LATER: Final = (Button.LATER, Button.DONE)
_EJECT: Final = (Button.EJECT, Button.LATER)
_BACK_UP: Final = (Button.BACK_UP_NOW, Button.EJECT)
_PLUG_IN: Final = Reminder(NoticeKind.PLUG_IN)
_UNPLUG: Final = Reminder(NoticeKind.UNPLUG, per_drive=True)

BEHAVIOUR: Final[Mapping[NoticeKind, Behaviour]] = MappingProxyType(
    {
        NoticeKind.PLUG_IN_FIRST: Behaviour("normal", "any-plugged-in", "device", (Button.LATER,), reminder=_PLUG_IN),
        NoticeKind.PLUG_IN: Behaviour("normal", "any-plugged-in", "device", (Button.LATER,), reminder=_PLUG_IN),
        NoticeKind.OVERDUE: Behaviour("critical", "any-plugged-in", "device", (Button.LATER,), reminder=_PLUG_IN),
        NoticeKind.UNPLUG: Behaviour("normal", "unplugged", "device", _EJECT, reminder=_UNPLUG),
        NoticeKind.UNPLUG_TAKE_HOME: Behaviour("normal", "unplugged", "device", _EJECT, reminder=_UNPLUG),
        NoticeKind.ROTATE: Behaviour("normal", "acknowledged", "device", _LATER, reminder=Reminder(NoticeKind.ROTATE)),
        NoticeKind.BRING_BACK: Behaviour(
            "normal", "plugged-in", "device", (Button.LATER,), reminder=Reminder(NoticeKind.BRING_BACK, per_drive=True)
        ),
        NoticeKind.TEST_WITH_CODE: Behaviour(
            "normal", "acknowledged", "device", _LATER, reminder=Reminder(NoticeKind.TEST_WITH_CODE)
        ),
        NoticeKind.PLUG_IN_BOTH: Behaviour(
            "normal", "acknowledged", "device", _LATER, reminder=Reminder(NoticeKind.PLUG_IN_BOTH, per_drive=True)
        ),
        NoticeKind.READY: Behaviour("normal", "unplugged", "device.added", _BACK_UP),
        NoticeKind.UP_TO_DATE: Behaviour("low", "unplugged", "device.added", _BACK_UP),
        NoticeKind.WORKING: Behaviour("low", "work-done", "transfer", ()),
        NoticeKind.SAFE: Behaviour("normal", "unplugged", "transfer.complete"),
        NoticeKind.SAFE_TAKE_HOME: Behaviour("normal", "unplugged", "transfer.complete"),
        NoticeKind.SAFE_NOT_SAVED: Behaviour("normal", "unplugged", "device"),
        NoticeKind.PULLED: Behaviour("critical", "plugged-in", "device.removed", error=DriveFailed),
        NoticeKind.BUSY: Behaviour("normal", "unplugged", "device.error", (Button.BACK_UP_NOW,), error=KineError),
        NoticeKind.STILL_BUSY: Behaviour("critical", "unplugged", "device.error", (Button.EJECT,), error=KineError),
        NoticeKind.NOT_MOUNTED: Behaviour("critical", "acknowledged", "device.error", error=KineError),
        NoticeKind.IMPOSTOR: Behaviour("critical", "acknowledged", "device.error", error=TargetRefused),
        NoticeKind.REFUSED: Behaviour("critical", "acknowledged", "device.error", error=TargetRefused),
        NoticeKind.BACKUP_FAILED: Behaviour("critical", "acknowledged", "transfer.error", error=KineError),
        NoticeKind.PRUNE_FAILED: Behaviour("normal", "acknowledged", "transfer.error"),
        NoticeKind.CHECK_NOT_DONE: Behaviour("normal", "acknowledged", "transfer.error", error=KineError),
        NoticeKind.DRIVE_FULL: Behaviour("critical", "acknowledged", "device.error", error=DriveFailed),
        NoticeKind.DRIVE_FAILED: Behaviour("critical", "acknowledged", "device.error", error=DriveFailed),
        NoticeKind.DRIVE_AGES: Behaviour("normal", "acknowledged", "device.error"),
        NoticeKind.SAVED_WITH_PROBLEMS: Behaviour("normal", "acknowledged", "transfer.error"),
        NoticeKind.SOURCE_SUSPICIOUS: Behaviour("critical", "acknowledged", "transfer.error", error=KineError),
        NoticeKind.SOURCE_SYNCED: Behaviour("normal", "acknowledged", "transfer.error"),
        NoticeKind.SETTINGS_UNREADABLE: Behaviour("critical", "acknowledged", "transfer.error"),
        NoticeKind.DAMAGE_FOUND: Behaviour("critical", "acknowledged", "transfer.error", error=CheckFailed),
        NoticeKind.RESTORE_TEST_FAILED: Behaviour("critical", "acknowledged", "transfer.error"),
        NoticeKind.ALARM: Behaviour("critical", "lifted", "transfer.error", (), error=KineError),
    }
)


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
