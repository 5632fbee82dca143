"""What is asked of udisks2, the desktop's own keeper of drives: to unmount, to lock, to power off.

Owns: those calls, bounded in time. Does not know: when they are made. Without a bus or without udisks2 the answer is
no, and nothing fails: a drive that is unmounted may be unplugged, powered off or not.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dbus_fast.aio import MessageBus

_NAME: Final = "org.freedesktop.UDisks2"
_BLOCK: Final = f"{_NAME}.Block"
_NOBODY: Final = "/"  # how udisks2 says "none" where an object is named
_ANSWER_S: Final = 20.0

log = logging.getLogger("kinebackup.daemon")


def unmount_by_udisks(node: str) -> bool:
    """Ask udisks2 to unmount the filesystem of that device, as a click in the file manager does. For a thread."""
    return asyncio.run(_unmount(node))


async def power_off(node: str) -> bool:
    """Stop the USB drive that the device is on; one that was unlocked is locked first. False where that cannot be.

    Nothing of the drive may be mounted any more.
    """
    return await _asked(_power_off, node)


async def _unmount(node: str) -> bool:
    return await _asked(_unmount_block, node)


async def _asked(ask: Any, node: str) -> bool:
    from dbus_fast import DBusFastError

    try:
        async with asyncio.timeout(_ANSWER_S), _connected() as udisks:
            await ask(udisks, _path_of(node))
    except (OSError, EOFError, TimeoutError, DBusFastError, _Refused) as error:
        log.info("udisks2 did not do it: %s", str(error) or type(error).__name__)
        return False
    return True


class _Refused(Exception):
    """udisks2 said no."""


class _Udisks:
    """One connection."""

    def __init__(self, bus: "MessageBus") -> None:
        self._bus = bus

    async def call(self, path: str, interface: str, member: str, signature: str = "", *body: Any) -> Any:
        """The first value of the answer. Raises ``_Refused``."""
        from dbus_fast import Message, MessageType

        message = Message(_NAME, path, interface, member, signature=signature, body=list(body))
        reply = await self._bus.call(message)
        if reply is None:
            raise _Refused("the connection ended")
        if reply.message_type is MessageType.ERROR:
            raise _Refused(reply.error_name or "an error without a name")
        return reply.body[0] if reply.body else None

    async def block_property(self, path: str, name: str) -> str:
        """An object path that a block device names."""
        found = await self.call(path, "org.freedesktop.DBus.Properties", "Get", "ss", _BLOCK, name)
        return str(found.value)


@asynccontextmanager
async def _connected() -> AsyncIterator[_Udisks]:
    from dbus_fast import BusType
    from dbus_fast.aio import MessageBus

    bus = await MessageBus(bus_type=BusType.SYSTEM).connect()
    try:
        yield _Udisks(bus)
    finally:
        bus.disconnect()
        with suppress(OSError, EOFError):
            await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library gives it no annotation


def _path_of(node: str) -> str:
    """The object of a device: its kernel name, other characters than letters and digits as _XX."""
    name = os.path.basename(os.path.realpath(node))
    escaped = "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):02x}" for c in name)
    return f"/org/freedesktop/UDisks2/block_devices/{escaped}"


async def _unmount_block(udisks: _Udisks, path: str) -> None:
    await udisks.call(path, f"{_NAME}.Filesystem", "Unmount", "a{sv}", {})


async def _power_off(udisks: _Udisks, path: str) -> None:
    container = await udisks.block_property(path, "CryptoBackingDevice")
    if container != _NOBODY:
        await udisks.call(container, f"{_NAME}.Encrypted", "Lock", "a{sv}", {})
        path = container
    drive = await udisks.block_property(path, "Drive")
    if drive == _NOBODY:
        raise _Refused("it belongs to no drive")
    await udisks.call(drive, f"{_NAME}.Drive", "PowerOff", "a{sv}", {})
