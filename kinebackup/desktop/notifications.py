"""The notifications of the desktop: org.freedesktop.Notifications on the session's bus.

Owns: that connection, the agent's own name on it, calls and signals. Does not know: what is shown, or what a button
means.

Source: Desktop Notifications Specification 1.2, "D-BUS Protocol".
"""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dbus_fast import Message, MessageFlag, MessageType, NameFlag, RequestNameReply, Variant
from dbus_fast.aio import MessageBus

from kinebackup.bus.connection import CONNECTION_ERRORS, PATIENCE_S, connect, disconnect, until_disconnected
from kinebackup.desktop.appearance import Appearance, Capabilities
from kinebackup.desktop.events import AgentEvent, ButtonPressed, NotificationClosed, ServerAppeared
from kinebackup.errors import KineError, Locked
from kinebackup.i18n import _

AGENT_NAME: Final = "org.kinebackup.Agent1"
"""Who has this name on a session's bus is the one agent there."""

_BUS: Final = "org.freedesktop.DBus"
_BUS_PATH: Final = "/org/freedesktop/DBus"
_SERVER: Final = "org.freedesktop.Notifications"
_SERVER_PATH: Final = "/org/freedesktop/Notifications"
_APP: Final = "KineBackup"


class AgentRuns(Locked):
    """Another agent shows this session's notifications already."""


class ServerAbsent(Exception):
    """Nothing shows notifications now, or it does not answer; ``ServerAppeared`` follows when that changes."""


@dataclass(frozen=True, slots=True)
class Placed:
    """A notification on the screen: its number, and the server that it is a number of."""

    shown_id: int
    server: str


def session_bus_address(environ: Mapping[str, str]) -> str:
    """The address of this session's bus; systemd gives each user one at a fixed place. Raises ``KineError``."""
    address = environ.get("DBUS_SESSION_BUS_ADDRESS", "")
    if address:
        return address
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    if runtime and Path(runtime, "bus").exists():
        return f"unix:path={runtime}/bus"
    raise _no_session(_("there is no desktop session here"))


def _no_session(message: str) -> KineError:
    return KineError(message, _("run the agent in the session of the person at the computer"))


class Notifications:
    """``on_event`` gets ``ServerAppeared``, ``ButtonPressed`` and ``NotificationClosed``, in the event loop."""

    def __init__(self, address: str, on_event: Callable[[AgentEvent], None]) -> None:
        self._address = address
        self._on_event = on_event
        self._bus: MessageBus | None = None
        self._server = ""
        self._can: Capabilities | None = None

    async def open(self) -> None:
        """Raises ``KineError`` without a session's bus, ``AgentRuns`` where another agent was earlier."""
        try:
            bus = self._bus = await connect(self._address)
            bus.add_message_handler(self._handle)
            await self._match(f"type='signal',sender='{_BUS}',member='NameOwnerChanged',arg0='{_SERVER}'")
            await self._match(f"type='signal',sender='{_SERVER}',interface='{_SERVER}'")
            async with asyncio.timeout(PATIENCE_S):
                reply = await bus.request_name(AGENT_NAME, NameFlag.DO_NOT_QUEUE)
        except (*CONNECTION_ERRORS, ServerAbsent) as error:
            await self.close()
            message = _("there is no desktop session to show notifications in ({reason})")
            raise _no_session(message.format(reason=error)) from error
        if reply is not RequestNameReply.PRIMARY_OWNER:
            await self.close()
            raise AgentRuns(
                _("another agent shows the notifications of this session already"),
                _("systemctl --user status kinebackup-agent shows it"),
            )
        with contextlib.suppress(ServerAbsent):  # it may come later, or be started by the first notification
            (owner,) = await self._call_bus("GetNameOwner", _SERVER)
            self._server = self._server or str(owner)  # what a signal said meanwhile is newer

    @property
    def server(self) -> str:
        """The unique name of the server that is on the bus, answering or not; empty where there is none."""
        return self._server

    async def until_lost(self) -> None:
        """Returns when the session's bus is gone: the person has left."""
        if self._bus is not None:
            await until_disconnected(self._bus)

    async def close(self) -> None:
        """End the connection."""
        bus, self._bus = self._bus, None
        if bus is not None:
            await disconnect(bus)

    async def capabilities(self) -> Capabilities:
        """Of the server that is there now; the bus starts one where it can. Raises ``ServerAbsent``."""
        if self._can is None:
            reply = await self._call_server("GetCapabilities")
            match reply.body:
                case [list(names)]:
                    can = Capabilities.of(frozenset(str(each) for each in names))
                case _:
                    raise ServerAbsent(_("the server of notifications says nothing of itself"))
            if reply.sender != self._server:  # another one came while this one answered
                return can
            self._can = can
        return self._can

    async def show(self, looks: Appearance, *, replaces: int = 0) -> Placed:
        """In the place of the notification of that number, where it is not 0. Raises ``ServerAbsent``."""
        hints = {"urgency": Variant("y", looks.urgency)}
        if looks.category:
            hints["category"] = Variant("s", looks.category)
        actions = [text for button in looks.buttons for text in (button.key, button.label)]
        body = [_APP, replaces, looks.icon, looks.summary, looks.body, actions, hints, looks.timeout_ms]
        reply = await self._call_server("Notify", "susssasa{sv}i", body)
        match reply.body:
            case [int(shown_id)]:
                return Placed(shown_id, reply.sender or "")
        raise ServerAbsent(_("the server of notifications gives no number"))

    async def take_away(self, shown_id: int) -> None:
        """Some servers answer with an error where it is not on the screen any more: that is as good."""
        with contextlib.suppress(ServerAbsent):
            await self._call_server("CloseNotification", "u", [shown_id], start=False)

    # --- how it is done -----------------------------------------------------------------------------------------------

    async def _call_server(
        self, member: str, signature: str = "", body: list[Any] | None = None, *, start: bool = True
    ) -> Message:

        return await self._call(
            Message(
                destination=_SERVER,
                path=_SERVER_PATH,
                interface=_SERVER,
                member=member,
                flags=MessageFlag.NONE if start else MessageFlag.NO_AUTOSTART,
                signature=signature,
                body=body or [],
            )
        )

    async def _call_bus(self, member: str, text: str) -> list[Any]:
        message = Message(destination=_BUS, path=_BUS_PATH, interface=_BUS, member=member, signature="s", body=[text])
        return (await self._call(message)).body

    async def _match(self, rule: str) -> None:
        await self._call_bus("AddMatch", rule)

    async def _call(self, message: Message) -> Message:
        if self._bus is None or not self._bus.connected:
            raise ServerAbsent(_("the bus of the session is gone"))
        try:
            async with asyncio.timeout(PATIENCE_S):
                reply = await self._bus.call(message)
        except CONNECTION_ERRORS as error:
            raise ServerAbsent(str(error)) from error
        if reply is None or reply.message_type is not MessageType.METHOD_RETURN:
            raise ServerAbsent(reply.error_name if reply is not None else _("the bus of the session is gone"))
        return reply

    def _handle(self, message: Message) -> None:
        """Rules of the bus do not keep others from sending us signals of the server's name: the sender must be it."""
        if message.message_type is not MessageType.SIGNAL:
            return
        match message.member, message.body:
            case "NameOwnerChanged", [name, _old, new] if message.sender == _BUS and name == _SERVER:
                self._server, self._can = new, None
                if new:
                    self._on_event(ServerAppeared(new))
            case "ActionInvoked", [int(shown_id), str(button_key)] if message.sender == self._server:
                self._on_event(ButtonPressed(shown_id, button_key))
            case "NotificationClosed", [int(shown_id), int(reason)] if message.sender == self._server:
                self._on_event(NotificationClosed(shown_id, reason))
