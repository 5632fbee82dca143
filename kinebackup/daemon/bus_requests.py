"""What each request of the bus means for the daemon, and who may make it.

Owns: the checks of arguments, the right that each request needs, the answers. Does not know: connections, or how a
right is proven.

Arguments are checked before anybody is asked for a password, and again afterwards: by then the drive may have gone.
"""

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import msgspec

from kinebackup.bus import names
from kinebackup.bus.values import encode_notice, encode_report, moment, notice_kind
from kinebackup.daemon.decide.events import Acknowledge, AlarmLifted, BackUpNow, Eject, RestoreTestNow, Snooze
from kinebackup.daemon.ports import Daemon, EnrolledDrive
from kinebackup.policy.job_kinds import job_kind
from kinebackup.policy.notices import NOBODY, NoticeKey, NoticeKind
from kinebackup.policy.phases import Phase

_SNOOZE_AT_MOST: Final = timedelta(days=31)
"""The machine allows less; what lies beyond this is no date that a person chose."""


class Refusal(Exception):
    """A request that is answered with an error of the bus. ``text`` is for the author of the client."""

    def __init__(self, error: str, text: str) -> None:
        super().__init__(text)
        self.error = error
        self.text = text


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the unique name of the connection, and whether the person there may be asked for a password."""

    name: str
    interactive: bool


May = Callable[[Caller, str], Awaitable[bool]]
"""Whether a caller may do a polkit action."""

IsRoot = Callable[[Caller], Awaitable[bool]]


class Requests:
    """Answers the methods of the interface: each takes the caller and its arguments, and returns the reply's body."""

    def __init__(self, daemon: Daemon, may: May, is_root: IsRoot) -> None:
        self._daemon = daemon
        self._may = may
        self._is_root = is_root

    async def answer(self, caller: Caller, member: str, body: list[Any]) -> list[Any]:
        """``body`` has the types that the interface says. Raises ``Refusal``, and ``KineError`` of the daemon."""
        match member, body:
            case "Status", []:
                document = msgspec.to_builtins(self._daemon.status_document())
                return [json.dumps(document)]
            case "Notices", []:
                return [[encode_notice(each.notice, each.since) for each in self._daemon.notices()]]
            case "Drives", []:
                return [[_drive(each) for each in self._daemon.drives()]]
            case (("BackUpNow" | "TestRestore"), [drive]):
                await self._work(caller, member, drive)
            case "Eject", [drive]:
                await self._eject(caller, drive)
            case "Snooze", [kind, drive, until_unix]:
                await self._snooze(caller, kind, drive, until_unix)
            case "Acknowledge", [kind, drive]:
                await self._acknowledge(caller, kind, drive)
            case "LiftAlarm", []:
                await self._need(caller, names.ACTION_LIFT_ALARM)
                self._daemon.post(AlarmLifted(self._daemon.now()))
            case "LastReport", [drive, kind]:
                return [await self._last_report(caller, drive, kind)]
            case "Reload", []:
                await self._need_root(caller)
                self._daemon.reload()
            case _:
                raise Refusal(names.ERROR_INVALID_ARGUMENT, f"{member} is not understood")
        return []

    async def _work(self, caller: Caller, member: str, drive: str) -> None:
        self._ready_for_work(drive)
        await self._need(caller, names.ACTION_WORK)
        chosen = self._ready_for_work(drive)
        now = self._daemon.now()
        self._daemon.post(BackUpNow(now, chosen.id) if member == "BackUpNow" else RestoreTestNow(now, chosen.id))

    async def _eject(self, caller: Caller, drive: str) -> None:
        self._present(drive)
        await self._need(caller, names.ACTION_EJECT)
        self._daemon.post(Eject(self._daemon.now(), self._present(drive).id))

    async def _snooze(self, caller: Caller, kind: str, drive: str, until_unix: int) -> None:
        key = self._notice(kind, drive)
        try:
            until = moment(until_unix)
        except ValueError as error:
            raise Refusal(names.ERROR_INVALID_ARGUMENT, str(error)) from error
        if not timedelta(0) < until - self._daemon.now() <= _SNOOZE_AT_MOST:
            raise Refusal(names.ERROR_INVALID_ARGUMENT, "until_unix must lie in the next 31 days")
        await self._need(caller, names.ACTION_ANSWER)
        self._daemon.post(Snooze(self._daemon.now(), key.kind, key.drive, until))

    async def _acknowledge(self, caller: Caller, kind: str, drive: str) -> None:
        key = self._notice(kind, drive)
        await self._need(caller, names.ACTION_ANSWER)
        self._daemon.post(Acknowledge(self._daemon.now(), key.kind, key.drive))

    async def _last_report(self, caller: Caller, drive: str, kind: str) -> str:
        """Root only: it holds the names of files."""
        await self._need_root(caller)
        enrolled = self._enrolled(drive)
        try:
            known = job_kind(kind)
        except ValueError as error:
            raise Refusal(names.ERROR_INVALID_ARGUMENT, str(error)) from error
        report = self._daemon.last_report(enrolled.id, known)
        if report is None:
            raise Refusal(names.ERROR_NO_REPORT, f"no {known} of {drive!r} has come to its end")
        return encode_report(report)

    # --- checks -------------------------------------------------------------------------------------------------------

    def _notice(self, kind: str, label: str) -> NoticeKey:
        """A drive that was forgotten meanwhile may still have a notice."""
        try:
            known = notice_kind(kind)
        except ValueError as error:
            raise Refusal(names.ERROR_INVALID_ARGUMENT, str(error)) from error
        if not label:
            return NoticeKey(known, NOBODY)
        key = self._daemon.key_of(known, label)
        if key is None:
            raise _unknown(label)
        return key

    def _enrolled(self, label: str) -> EnrolledDrive:
        for drive in self._daemon.drives():
            if drive.label == label:
                return drive
        raise _unknown(label)

    def _present(self, label: str) -> EnrolledDrive:
        """The drive of that label; without one, the only one that is plugged in."""
        if label:
            drive = self._enrolled(label)
            if drive.phase is Phase.ABSENT:
                raise Refusal(names.ERROR_NOT_PLUGGED_IN, f"{label!r} is not plugged in")
            return drive
        here = [drive for drive in self._daemon.drives() if drive.phase is not Phase.ABSENT]
        usable = [drive for drive in here if drive.phase is not Phase.REFUSED] or here
        if not usable:
            raise Refusal(names.ERROR_NOT_PLUGGED_IN, "no drive is plugged in")
        if len(usable) > 1:
            raise Refusal(names.ERROR_SEVERAL_DRIVES, "several drives are plugged in")
        return usable[0]

    def _ready_for_work(self, label: str) -> EnrolledDrive:
        drive = self._present(label)
        if drive.phase is Phase.REFUSED:
            raise Refusal(names.ERROR_REFUSED, f"{drive.label!r} was refused; it must be plugged in again")
        if any(each.notice.kind is NoticeKind.ALARM for each in self._daemon.notices()):
            raise Refusal(names.ERROR_ALARM, "the alarm has not been lifted")
        return drive

    async def _need(self, caller: Caller, action: str) -> None:
        if not await self._may(caller, action):
            raise Refusal(names.ERROR_NOT_AUTHORIZED, f"not authorised for {action}")

    async def _need_root(self, caller: Caller) -> None:
        if not await self._is_root(caller):
            raise Refusal(names.ERROR_NOT_AUTHORIZED, "for root only")


def _unknown(label: str) -> Refusal:
    return Refusal(names.ERROR_NOT_FOUND, f"no drive is called {label[:80]!r}")


def _drive(drive: EnrolledDrive) -> list[Any]:
    return [drive.label, drive.phase.value, drive.job or 0, drive.kind or ""]
