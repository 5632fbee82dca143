"""A server of notifications that can do what a test says, and notes what it was asked.

Owns: org.freedesktop.Notifications on a bus of the tests. Does not know: screens.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated, Any

from dbus_fast import BusType, Message
from dbus_fast.aio import MessageBus
from dbus_fast.annotations import DBusInt32, DBusSignature, DBusStr, DBusUInt32
from dbus_fast.service import ServiceInterface, dbus_method

NAME = "org.freedesktop.Notifications"
PATH = "/org/freedesktop/Notifications"


@dataclass(frozen=True, slots=True)
class Noted:
    """What ``Notify`` was called with; ``hints`` without the bus's types."""

    app: str
    replaces: int
    icon: str
    summary: str
    body: str
    actions: tuple[str, ...]
    hints: tuple[tuple[str, object], ...]
    timeout_ms: int


class NotedServer(ServiceInterface):
    """Its numbers begin at 1. ``shown`` is what is on its screen; ``answers_after``: so many steps of the loop it
    takes to say the number."""

    def __init__(self, *capabilities: str) -> None:
        super().__init__(NAME)
        self.capabilities = capabilities
        self.notes: list[Noted] = []
        self.shown: dict[int, Noted] = {}
        self.answers_after = 0
        self._bus: MessageBus | None = None
        self._next_id = 1

    @dbus_method(name="GetCapabilities")
    def get_capabilities(self) -> Annotated[list[str], DBusSignature("as")]:
        return list(self.capabilities)

    @dbus_method(name="Notify")
    async def notify(
        self,
        app: DBusStr,
        replaces: DBusUInt32,
        icon: DBusStr,
        summary: DBusStr,
        body: DBusStr,
        actions: Annotated[list[str], DBusSignature("as")],
        hints: Annotated[dict[str, Any], DBusSignature("a{sv}")],
        timeout_ms: DBusInt32,
    ) -> DBusUInt32:
        plain = tuple(sorted((name, hint.value) for name, hint in hints.items()))
        noted = Noted(app, replaces, icon, summary, body, tuple(actions), plain, timeout_ms)
        self.notes.append(noted)
        shown_id = replaces
        if not shown_id:
            shown_id, self._next_id = self._next_id, self._next_id + 1
        self.shown[shown_id] = noted
        for _step in range(self.answers_after):
            await asyncio.sleep(0)
        return shown_id

    @dbus_method(name="CloseNotification")
    def close_notification(self, shown_id: DBusUInt32) -> None:
        self.shown.pop(shown_id, None)
        self._signal("NotificationClosed", "uu", shown_id, 3)

    def press(self, shown_id: int, button_key: str) -> None:
        """A person presses that button; this server leaves the notification where it is."""
        self._signal("ActivationToken", "us", shown_id, "token")
        self._signal("ActionInvoked", "us", shown_id, button_key)

    def dismiss(self, shown_id: int, reason: int = 2) -> None:
        """A person closes it, or time."""
        self.shown.pop(shown_id, None)
        self._signal("NotificationClosed", "uu", shown_id, reason)

    @asynccontextmanager
    async def on(self, address: str) -> AsyncIterator["NotedServer"]:
        """On that bus until the block ends, with an empty screen."""
        bus = await MessageBus(bus_address=address, bus_type=BusType.SESSION).connect()
        bus.export(PATH, self)
        await bus.request_name(NAME)
        self._bus, self.shown, self._next_id = bus, {}, 1
        try:
            yield self
        finally:
            self._bus = None
            bus.unexport(PATH, self)
            bus.disconnect()
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library gives no annotation

    def _signal(self, member: str, signature: str, *body: Any) -> None:
        assert self._bus is not None
        self._bus.send(Message.new_signal(PATH, NAME, member, signature, list(body)))
