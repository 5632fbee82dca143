"""Sleep and shutdown, as logind has them.

Owns: the inhibitor locks, and hearing that the computer sleeps and wakes. Does not know: what follows from it.

Two locks: one of mode "block" while a drive is at work, and one of mode "delay" always, for somebody may make the
computer sleep all the same: then there are a few seconds to stop and unmount.
"""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Final

from kinebackup.bus.connection import CONNECTION_ERRORS, disconnect, until_disconnected
from kinebackup.i18n import _

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

_NAME: Final = "org.freedesktop.login1"
_PATH: Final = "/org/freedesktop/login1"
_INTERFACE: Final = "org.freedesktop.login1.Manager"
_MATCH: Final = f"type='signal',sender='{_NAME}',interface='{_INTERFACE}',member='PrepareForSleep'"
_RETRY_S: Final = 60.0
_RETRY_AT_MOST_S: Final = 3600.0

log = logging.getLogger("kinebackup.daemon")


class Logind:
    """Implements ``ports.Inhibitor``. ``sleeping`` is awaited before the computer may sleep."""

    def __init__(
        self, sleeping: Callable[[], Awaitable[None]], woken: Callable[[], None], *, address: str | None = None
    ) -> None:
        self._sleeping = sleeping
        self._woken = woken
        self._address = address
        self._bus: MessageBus | None = None
        self._wanted = False
        self._block = -1
        self._delay = -1
        self._tasks: set[asyncio.Task[None]] = set()
        self._alive: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Connect, and connect again when the bus was restarted."""
        self._alive = asyncio.get_running_loop().create_task(self._stay_connected())

    async def stop(self) -> None:
        """Let go of every lock."""
        if self._alive is not None:
            self._alive.cancel()
        for task in self._tasks:
            task.cancel()
        self._block = _closed(self._block)
        self._delay = _closed(self._delay)
        bus, self._bus = self._bus, None
        if bus is not None:
            await disconnect(bus)

    def hold(self) -> None:
        """See ``ports.Inhibitor``."""
        self._wanted = True
        self._later(self._take_block())

    def release(self) -> None:
        """See ``ports.Inhibitor``."""
        self._wanted = False
        self._block = _closed(self._block)

    async def _stay_connected(self) -> None:
        wait_s = _RETRY_S
        while True:
            try:
                await self._connect()
                wait_s = _RETRY_S
                if self._bus is not None:
                    await until_disconnected(self._bus)
            except CONNECTION_ERRORS as error:
                log.info("logind cannot be reached: %s", type(error).__name__)
            self._bus = None
            self._block, self._delay = _closed(self._block), _closed(self._delay)
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, _RETRY_AT_MOST_S)

    async def _connect(self) -> None:
        from dbus_fast import BusType, Message
        from dbus_fast.aio import MessageBus

        self._bus = await MessageBus(self._address, BusType.SYSTEM, negotiate_unix_fd=True).connect()
        self._bus.add_message_handler(self._heard)
        await self._bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="AddMatch",
                signature="s",
                body=[_MATCH],
            )
        )
        await self._take_delay()
        if self._wanted:
            await self._take_block()

    async def _take_block(self) -> None:
        fd = await self._inhibit("shutdown:sleep:idle", "block")
        self._block = _closed(self._block)
        if self._wanted:
            self._block = fd
        else:
            _closed(fd)

    async def _take_delay(self) -> None:
        fd = await self._inhibit("sleep", "delay")
        _closed(self._delay)
        self._delay = fd

    async def _inhibit(self, what: str, mode: str) -> int:
        """The file descriptor of a lock, or -1 where logind gives none."""
        from dbus_fast import Message, MessageType

        if self._bus is None:
            return -1
        reply = await self._bus.call(
            Message(
                destination=_NAME,
                path=_PATH,
                interface=_INTERFACE,
                member="Inhibit",
                signature="ssss",
                body=[what, "KineBackup", _("a backup is under way"), mode],
            )
        )
        if reply is None or reply.message_type is not MessageType.METHOD_RETURN or not reply.unix_fds:
            return -1
        return int(reply.unix_fds[0])

    def _heard(self, message: "Message") -> bool:
        if message.member == "PrepareForSleep" and message.interface == _INTERFACE and message.body:
            self._later(self._prepare_for_sleep(message.sender or "", bool(message.body[0])))
        return False

    async def _prepare_for_sleep(self, sender: str, sleeps: bool) -> None:
        if sender != await self._owner():  # a signal can be sent to us alone, by anybody
            return
        if sleeps:
            await self._sleeping()
            self._delay = _closed(self._delay)
        else:
            self._woken()
            await self._take_delay()

    async def _owner(self) -> str:
        from dbus_fast import Message, MessageType

        if self._bus is None:
            return ""
        reply = await self._bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="GetNameOwner",
                signature="s",
                body=[_NAME],
            )
        )
        return str(reply.body[0]) if reply is not None and reply.message_type is MessageType.METHOD_RETURN else ""

    def _later(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.info("logind did not answer: %s", type(task.exception()).__name__)


def _closed(fd: int) -> int:
    if fd >= 0:
        os.close(fd)
    return -1
