"""udisks2, the service that mounts for the desktop and can stop a drive.

Owns: unmounting what the desktop mounted, locking, powering off. Does not know: mounts of this process (unmounting.py).

udisks2 rather than umount(2): the daemon has a mount namespace of its own, and what it unmounts there stays mounted on
the desktop. Powering off is a coroutine, since nothing in it blocks; unmounting is one of several steps that do, all in
a thread.
"""

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

TIMEOUT_S: Final = 20.0
"""For one call of this module as a whole. A disk takes some seconds to write its cache and stop."""

_NAME: Final = "org.freedesktop.UDisks2"
_MANAGER: Final = "/org/freedesktop/UDisks2/Manager"
_NOTHING: Final = "/"
_MAX_MOUNTS: Final = 16
_MAX_LAYERS: Final = 4  # LUKS within LUKS is 2

log = logging.getLogger("kinebackup.daemon")


def unmount_by_udisks(node: str, *, address: str | None = None, timeout_s: float = TIMEOUT_S) -> bool:
    """Unmount a device wherever the desktop has it mounted, as a click in the file manager does. For a thread.

    False where udisks2 is absent, does not know the device, or refuses, mostly because somebody uses the drive.
    """
    return asyncio.run(_unmount(node, address, timeout_s))


async def power_off(node: str, *, address: str | None = None, timeout_s: float = TIMEOUT_S) -> bool:
    """Stop the drive, which must be unmounted. False where that is refused or impossible: it may be unplugged as it is.

    A filesystem within LUKS is locked first. Deleting the device in sysfs instead would not stop it either, and would
    take away what tells that it is still plugged in.
    """
    async with _Udisks(address, timeout_s) as udisks:
        block = await udisks.block(node)
        if block is not None:
            block = await udisks.locked(block)
        drive = await udisks.property(block, "Block", "Drive") if block is not None else None
        if not isinstance(drive, str) or drive == _NOTHING:
            return False
        return await udisks.act(drive, "Drive", "PowerOff")


async def _unmount(node: str, address: str | None, timeout_s: float) -> bool:
    async with _Udisks(address, timeout_s) as udisks:
        block = await udisks.block(node)
        if block is None:
            return False
        for _attempt in range(_MAX_MOUNTS):
            mount_points = await udisks.property(block, "Filesystem", "MountPoints")
            if not mount_points:
                return mount_points is not None
            if not await udisks.act(block, "Filesystem", "Unmount"):
                return False
    return False


class _Udisks:
    """One connection. Where the bus or udisks2 is missing, or on timeout, every answer is None."""

    def __init__(self, address: str | None, timeout_s: float) -> None:
        self._address = address
        self._timeout_s = timeout_s
        self._until = 0.0
        self._bus: MessageBus | None = None

    async def __aenter__(self) -> "_Udisks":
        from dbus_fast import BusType, DBusFastError
        from dbus_fast.aio import MessageBus

        self._until = asyncio.get_running_loop().time() + self._timeout_s
        try:
            async with asyncio.timeout_at(self._until):
                bus = MessageBus(bus_address=self._address, bus_type=BusType.SYSTEM)
                self._bus = await bus.connect()
        except (OSError, EOFError, TimeoutError, DBusFastError) as error:
            log.info("the system bus cannot be reached: %s", type(error).__name__)
        return self

    async def __aexit__(self, *_error: object) -> None:
        if self._bus is not None and self._bus.connected:
            self._bus.disconnect()
            # Shielded: the library's future must not be cancelled with who waits for it.
            waiting = self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # no annotation there
            await asyncio.wait([asyncio.ensure_future(waiting)], timeout=1)

    async def block(self, node: str) -> str | None:
        """udisks2's object for a device."""
        from dbus_fast import Variant

        body = [{"path": Variant("s", node)}, {}]
        reply = await self._call(_MANAGER, f"{_NAME}.Manager", "ResolveDevice", "a{sv}a{sv}", body)
        paths = reply.body[0] if reply is not None else []
        return str(paths[0]) if len(paths) == 1 else None

    async def property(self, path: str, interface: str, name: str) -> Any:
        """The value of a property."""
        body = [f"{_NAME}.{interface}", name]
        reply = await self._call(path, "org.freedesktop.DBus.Properties", "Get", "ss", body)
        return reply.body[0].value if reply is not None else None

    async def act(self, path: str, interface: str, method: str) -> bool:
        """Whether it was done. Nobody is asked for a password: the daemon is root, and there may be nobody."""
        from dbus_fast import Variant

        body = [{"auth.no_user_interaction": Variant("b", True)}]
        reply = await self._call(path, f"{_NAME}.{interface}", method, "a{sv}", body)
        return reply is not None

    async def locked(self, block: str) -> str | None:
        """What lies below, after everything encrypted was locked; None where it was not."""
        for _layer in range(_MAX_LAYERS):
            below = await self.property(block, "Block", "CryptoBackingDevice")
            if below is None:
                return None
            if below == _NOTHING:
                return block
            if not await self.act(below, "Encrypted", "Lock"):
                return None
            block = below
        return None

    async def _call(self, path: str, interface: str, member: str, signature: str, body: list[Any]) -> "Message | None":
        """The answer, if it is not an error."""
        from dbus_fast import DBusFastError, Message, MessageType

        if self._bus is None:
            return None
        message = Message(
            destination=_NAME, path=path, interface=interface, member=member, signature=signature, body=body
        )
        try:
            async with asyncio.timeout_at(self._until):
                reply = await self._bus.call(message)
        except (OSError, EOFError, TimeoutError, DBusFastError) as error:
            log.info("udisks2 did not answer: %s", type(error).__name__)
            return None
        if reply is None or reply.message_type is not MessageType.METHOD_RETURN:
            log.info("udisks2 refused %s: %s", member, reply.error_name if reply is not None else None)
            return None
        return reply
