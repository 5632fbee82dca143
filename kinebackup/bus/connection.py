"""One connection to the system bus: made, watched, ended.

Owns: what the library's connection needs beside itself. Does not know: who uses it for what.
"""

import asyncio
import contextlib
import socket
from typing import Any, Final

from dbus_fast import BusType, DBusFastError
from dbus_fast.aio import MessageBus

CONNECTION_ERRORS: Final = (OSError, EOFError, TimeoutError, DBusFastError)
"""What connecting and calling may raise where the bus is missing, refuses or ends."""

PATIENCE_S: Final = 10.0


async def connect(address: str | None = None) -> MessageBus:
    """To the system bus; where none is named, ``DBUS_SYSTEM_BUS_ADDRESS`` says which. Raises ``CONNECTION_ERRORS``."""
    bus = MessageBus(bus_address=address, bus_type=BusType.SYSTEM, auth_timeout=PATIENCE_S)
    async with asyncio.timeout(PATIENCE_S):
        await bus.connect()
    # The library ends its connection when the socket's buffer is full for a moment, which a flood of requests from any
    # local user brings about: it takes that for an error. Told that nothing was sent, it waits and sends it later.
    writer: Any = bus._writer  # private; tests/daemon/test_bus_service.py sends a flood, and would notice
    writer.sock = _PatientSocket(writer.sock)
    return bus


async def until_disconnected(bus: MessageBus) -> None:
    """Shielded: the library's own future must not be cancelled with who waits for it."""
    with contextlib.suppress(OSError, EOFError):
        await asyncio.shield(bus.wait_for_disconnect())  # type: ignore[no-untyped-call]  # no annotation there


async def disconnect(bus: MessageBus) -> None:
    """Returns when the socket is closed, or after ``PATIENCE_S``."""
    if bus.connected:
        bus.disconnect()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE_S):
            await until_disconnected(bus)


class _PatientSocket:
    """A socket as the library's writer uses it, for which a full buffer is no error."""

    def __init__(self, wrapped: socket.socket) -> None:
        self._wrapped = wrapped

    def send(self, data: memoryview) -> int:
        try:
            return self._wrapped.send(data)
        except BlockingIOError:
            return 0

    def sendmsg(self, buffers: list[memoryview], ancillary: Any = ()) -> int:
        return self._wrapped.sendmsg(buffers, ancillary)
