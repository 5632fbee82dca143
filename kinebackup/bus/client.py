"""The daemon as its clients see it: questions, requests, and its signals.

Owns: one connection to the system bus, and the daemon's answers as values and errors. Does not know: the daemon itself,
what is done with its answers, or how they are shown.

For who listens, in an event loop; a command that asks once finds what it needs in query.py. The library of the bus is
imported when there is a bus only: most commands need none.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final, NoReturn

from kinebackup.bus import names
from kinebackup.bus.values import (
    DriveAtWork,
    JobEnd,
    JobProgress,
    decode_drive,
    decode_job_end,
    decode_notice,
    decode_progress,
    decode_report,
    notice_kind,
)
from kinebackup.errors import ConfigError, KineError, NotFound
from kinebackup.i18n import _
from kinebackup.model import Report, not_plugged_in
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import ActiveNotice, NoticeKind

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

_BUS: Final = "org.freedesktop.DBus"
_BUS_PATH: Final = "/org/freedesktop/DBus"
_ANSWER_S: Final = 10.0
_PERSON_S: Final = 150.0  # somebody may be asked for a password first


class DaemonAbsent(KineError):
    """No daemon answers: it does not run, or there is no system bus."""


class NotAuthorized(KineError):
    """This user may not ask that of the daemon."""


class DaemonListener:
    """Receives the daemon's signals; each method is one signal, and does nothing unless it is replaced.

    Called in the client's event loop; must return at once.
    """

    def notice_shown(self, notice: ActiveNotice) -> None:
        """A notice, new or in the place of the one of the same kind and drive."""

    def notice_withdrawn(self, kind: NoticeKind, drive: str) -> None:
        """That notice is obsolete."""

    def phase_changed(self, drive: str, phase: str) -> None:
        """A drive went on to another phase, a value of ``policy.phases.Phase``."""

    def progressed(self, progress: JobProgress) -> None:
        """A job goes on."""

    def job_ended(self, end: JobEnd) -> None:
        """A job ended; root may ask for its report."""

    def daemon_came(self) -> None:
        """The daemon was started, after it had been away: ask for everything again."""

    def daemon_left(self) -> None:
        """The daemon was stopped. It may come back on the same connection."""

    def connection_lost(self) -> None:
        """The bus itself is gone: make another client."""


class DaemonClient:
    """One connection. Every question raises ``DaemonAbsent`` where nobody answers.

    ``interactive``: where this user must prove who they are, the desktop may ask them.
    """

    def __init__(
        self, listener: DaemonListener | None = None, *, address: str | None = None, interactive: bool = True
    ) -> None:
        self._listener = listener or DaemonListener()
        self._address = address
        self._interactive = interactive
        self._bus: MessageBus | None = None
        self._owner = ""
        self._connection_watch: asyncio.Task[None] | None = None

    async def connect(self) -> None:
        """Raises ``DaemonAbsent`` where there is no bus. That no daemon runs yet is no error: see ``running``."""
        from kinebackup.bus.connection import CONNECTION_ERRORS, connect

        try:
            bus = await connect(self._address)
        except CONNECTION_ERRORS as error:
            raise _no_bus() from error
        self._bus = bus
        bus.add_message_handler(self._on_message)
        try:
            await self._match(f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{names.BUS_NAME}'")
            await self._match(f"type='signal',sender='{names.BUS_NAME}',interface='{names.INTERFACE}'")
            self._owner = await self._find_owner()
        except KineError:
            await self.close()
            raise
        self._connection_watch = asyncio.create_task(self._watch_connection(bus))

    async def close(self) -> None:
        """End the connection; no signal comes any more."""
        from kinebackup.bus.connection import disconnect

        bus, self._bus = self._bus, None
        if bus is not None:
            await disconnect(bus)
        if self._connection_watch is not None:
            self._connection_watch.cancel()
            await asyncio.gather(self._connection_watch, return_exceptions=True)
            self._connection_watch = None

    @property
    def running(self) -> bool:
        """Whether the daemon is on the bus now."""
        return bool(self._owner)

    # --- questions ----------------------------------------------------------------------------------------------------

    async def status(self) -> str:
        """What ``kinebackup status --json`` prints, with the phase of each drive."""
        return _text(await self._ask("Status"))

    async def notices(self) -> tuple[ActiveNotice, ...]:
        """The active notices, oldest first. Kinds that this KineBackup does not know are left out."""
        (body,) = await self._ask("Notices")
        return tuple(found for each in body if (found := _or_none(decode_notice, each)) is not None)

    async def drives(self) -> tuple[DriveAtWork, ...]:
        """Every enrolled drive, sorted by label."""
        (body,) = await self._ask("Drives")
        return tuple(decode_drive(each) for each in body)

    async def last_report(self, drive: str, kind: JobKind) -> Report:
        """For root: how the latest job of this kind went. Raises ``NotFound`` where it made no report."""
        return decode_report(kind, _text(await self._ask("LastReport", "ss", drive, kind)))

    # --- requests -----------------------------------------------------------------------------------------------------

    async def back_up_now(self, drive: str = "") -> None:
        """Without a label, to the drive that is plugged in. Raises ``NotFound``, ``ConfigError``, ``NotAuthorized``."""
        await self._ask("BackUpNow", "s", drive)

    async def test_restore(self, drive: str = "") -> None:
        """As ``back_up_now``."""
        await self._ask("TestRestore", "s", drive)

    async def eject(self, drive: str = "") -> None:
        """As ``back_up_now``; it is done when the drive's phase is "safe to unplug"."""
        await self._ask("Eject", "s", drive)

    async def snooze(self, kind: NoticeKind, drive: str, until: datetime) -> None:
        """*Later*: not before that (aware) time."""
        await self._ask("Snooze", "ssx", kind.value, drive, int(until.timestamp()))

    async def acknowledge(self, kind: NoticeKind, drive: str) -> None:
        """*Done*, *seen*."""
        await self._ask("Acknowledge", "ss", kind.value, drive)

    async def reload(self) -> None:
        """For root: the drives or the configuration changed."""
        await self._ask("Reload")

    # --- how it is done -----------------------------------------------------------------------------------------------

    async def _ask(self, member: str, signature: str = "", *body: Any) -> list[Any]:
        from dbus_fast import Message, MessageFlag

        flags = MessageFlag.NO_AUTOSTART
        if self._interactive:
            flags |= MessageFlag.ALLOW_INTERACTIVE_AUTHORIZATION
        message = Message(
            destination=names.BUS_NAME,
            path=names.OBJECT_PATH,
            interface=names.INTERFACE,
            member=member,
            flags=flags,
            signature=signature,
            body=list(body),
        )
        drive = body[0] if member in ("BackUpNow", "TestRestore", "Eject", "LastReport") else ""
        return await self._call(message, _PERSON_S if self._interactive else _ANSWER_S, drive)

    async def _call(self, message: "Message", patience_s: float, drive: str = "") -> list[Any]:
        from dbus_fast import MessageType

        from kinebackup.bus.connection import CONNECTION_ERRORS

        if self._bus is None or not self._bus.connected:
            raise _no_bus()
        try:
            async with asyncio.timeout(patience_s):
                reply = await self._bus.call(message)
        except TimeoutError as error:
            raise DaemonAbsent(
                _("the KineBackup service does not answer"), _("see what it says: journalctl -u kinebackup")
            ) from error
        except CONNECTION_ERRORS as error:
            raise _no_bus() from error
        if reply is None:  # the connection ended in between
            raise _no_bus()
        if reply.message_type is MessageType.ERROR:
            _raise(reply.error_name or "", drive, str(reply.body[0]) if reply.body else "")
        return list(reply.body)

    async def _bus_call(self, member: str, text: str) -> list[Any]:
        from dbus_fast import Message

        message = Message(destination=_BUS, path=_BUS_PATH, interface=_BUS, member=member, signature="s", body=[text])
        return await self._call(message, _ANSWER_S)

    async def _match(self, rule: str) -> None:
        await self._bus_call("AddMatch", rule)

    async def _find_owner(self) -> str:
        try:
            return _text(await self._bus_call("GetNameOwner", names.BUS_NAME))
        except DaemonAbsent:
            if self._bus is None or not self._bus.connected:
                raise
            return ""

    async def _watch_connection(self, bus: "MessageBus") -> None:
        from kinebackup.bus.connection import until_disconnected

        await until_disconnected(bus)
        self._owner = ""
        if self._bus is bus:  # else we closed it ourselves
            self._listener.connection_lost()

    def _on_message(self, message: "Message") -> None:
        """Rules of the bus do not keep others from sending us signals of the daemon's name: the sender must be it."""
        from dbus_fast import MessageType

        if message.message_type is not MessageType.SIGNAL:
            return
        if message.sender == _BUS and message.member == "NameOwnerChanged":
            self._owner_changed(message.body)
        elif message.sender == self._owner and message.interface == names.INTERFACE and self._owner:
            try:
                self._dispatch_signal(message.member or "", message.body)
            except ValueError:
                return  # of a newer daemon

    def _owner_changed(self, body: list[Any]) -> None:
        name, _old, new = body
        if name != names.BUS_NAME or new == self._owner:
            return
        before, self._owner = self._owner, new
        if before:
            self._listener.daemon_left()
        if new:
            self._listener.daemon_came()

    def _dispatch_signal(self, member: str, body: list[Any]) -> None:
        match member, body:
            case "NoticeShown", [notice]:
                self._listener.notice_shown(decode_notice(notice))
            case "NoticeWithdrawn", [str(kind), str(drive)]:
                self._listener.notice_withdrawn(notice_kind(kind), drive)
            case "PhaseChanged", [str(drive), str(phase)]:
                self._listener.phase_changed(drive, phase)
            case "Progressed", _:
                self._listener.progressed(decode_progress(body))
            case "JobEnded", _:
                self._listener.job_ended(decode_job_end(body))


def _text(body: list[Any]) -> str:
    return str(body[0]) if body else ""


def _or_none(decode: Callable[[Any], ActiveNotice], body: Any) -> ActiveNotice | None:
    try:
        return decode(body)
    except ValueError:
        return None


def _no_bus() -> DaemonAbsent:
    return DaemonAbsent(_("the KineBackup service does not run"), _("start it: systemctl start kinebackup"))


def _raise(error: str, drive: str, text: str) -> NoReturn:
    """The daemon's error as a person reads it."""
    match error:
        case names.ERROR_NOT_AUTHORIZED:
            raise NotAuthorized(_("you may not ask that of KineBackup"), _("run the command as root"))
        case names.ERROR_NOT_FOUND:
            raise NotFound(
                _("no drive is called {name}").format(name=drive), _("kinebackup drive list names the drives")
            )
        case names.ERROR_NO_REPORT:
            raise NotFound(_("that work left no report"), _("see what it says: journalctl -u kinebackup"))
        case names.ERROR_NOT_PLUGGED_IN if drive:
            raise not_plugged_in(drive)
        case names.ERROR_NOT_PLUGGED_IN:
            raise NotFound(_("no drive is plugged in"), _("plug one in, and try again"))
        case names.ERROR_SEVERAL_DRIVES:
            raise ConfigError(_("several drives are plugged in"), _("say which one: --drive LABEL"))
        case names.ERROR_REFUSED:
            raise KineError(
                _("nothing is written to the drive {label} as it is").format(label=drive),
                _("unplug it and plug it in again; kinebackup status says more"),
            )
        case names.ERROR_ALARM:
            raise KineError(
                _("many files have changed at once, so nothing is written to any drive"),
                _("plug in no drive and call for help; see: kinebackup status"),
            )
        case "org.freedesktop.DBus.Error.ServiceUnknown" | "org.freedesktop.DBus.Error.NameHasNoOwner":
            raise _no_bus()
        case "org.freedesktop.DBus.Error.NoReply" | "org.freedesktop.DBus.Error.Disconnected":
            raise _no_bus()
        case _:
            raise KineError(
                _("the KineBackup service answered with an error ({what})").format(what=text or error),
                _("see what it says: journalctl -u kinebackup"),
            )
