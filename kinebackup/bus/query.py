"""The daemon for a command that asks once, outside any event loop.

Owns: finding out quickly that there is no bus or no daemon. Does not know: what is done with the answers.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

from kinebackup.bus.client import DaemonAbsent, DaemonClient
from kinebackup.bus.values import DriveAtWork
from kinebackup.errors import KineError

Answer = TypeVar("Answer")

_USUAL_SOCKET: Final = "/run/dbus/system_bus_socket"
_GLANCE_S: Final = 0.1
_PATIENCE_S: Final = 10.0


def daemon_is_running(address: str | None = None) -> bool:
    """At once False where there is no bus; the bus itself answers in milliseconds, whatever the daemon does.

    On a computer that is very busy it is waited for: a backup must not be begun beside the daemon for want of patience.
    """
    try:
        return bool(_ask(address, _PATIENCE_S, _running))
    except KineError:
        return False


def drives_at_a_glance(address: str | None = None) -> tuple[DriveAtWork, ...] | None:
    """What the daemon does with each drive; None where it does not say so within a tenth of a second."""
    try:
        return _ask(address, _GLANCE_S, DaemonClient.drives)
    except KineError:
        return None


def status_from_daemon(address: str | None = None) -> str | None:
    """The daemon's own status document; None where no daemon runs. Raises ``KineError`` where it has none."""
    try:
        return _ask(address, _PATIENCE_S, DaemonClient.status)
    except DaemonAbsent:
        return None


def tell_daemon_to_reload(address: str | None = None) -> None:
    """The drives or the configuration changed. Where no daemon runs, or it does not listen, nothing is lost by it."""
    try:
        _ask(address, _PATIENCE_S, DaemonClient.reload)
    except KineError:
        return


def _ask(
    address: str | None, patience_s: float, question: Callable[[DaemonClient], Coroutine[Any, Any, Answer]]
) -> Answer | None:
    """None where there is no bus, or no answer in that time."""
    if not _bus_may_be_there(address):
        return None

    import kinebackup.bus.connection  # noqa: F401 - the library takes its time, which is not the daemon's

    async def whole() -> Answer:
        client = DaemonClient(address=address, interactive=False)
        async with asyncio.timeout(patience_s):
            await client.connect()
            try:
                return await question(client)
            finally:
                await client.close()

    try:
        return asyncio.run(whole())
    except TimeoutError:
        return None


async def _running(client: DaemonClient) -> bool:
    return client.running


def _bus_may_be_there(address: str | None) -> bool:
    """Whether it is worth importing the library of the bus."""
    named = address or os.environ.get("DBUS_SYSTEM_BUS_ADDRESS", "")
    if not named:
        return os.path.exists(_USUAL_SOCKET)
    if named.startswith("unix:path=") and ";" not in named:
        return os.path.exists(named.removeprefix("unix:path=").split(",")[0])
    return True
