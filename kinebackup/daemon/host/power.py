"""Mains or battery.

Owns: what /sys/class/power_supply says, and hearing when it changes. Does not know: what follows from it.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from kinebackup.drives.system import System

if TYPE_CHECKING:
    from pyudev import Monitor

_SUPPLIES = "/sys/class/power_supply"


def on_battery(system: System) -> bool:
    """Whether a battery of the computer is being emptied and no mains adapter is online.

    A battery of a mouse or a keyboard (``scope`` Device) is none of the computer.
    """
    found = {name: _read(system, name) for name in system.names(_SUPPLIES)}
    if any(kind in ("Mains", "USB") and online for kind, online, _emptied in found.values()):
        return False
    return any(kind == "Battery" and emptied for kind, _online, emptied in found.values())


def _read(system: System, name: str) -> tuple[str, bool, bool]:
    def text(attribute: str) -> str:
        try:
            return (system.read_text(f"{_SUPPLIES}/{name}/{attribute}") or "").strip()
        except OSError:
            return ""

    if text("scope") == "Device":
        return "", False, False
    return text("type"), text("online") == "1", text("status") == "Discharging"


class PowerWatch:
    """Calls ``changed`` with whether the computer runs on battery, at the start and when that changes."""

    def __init__(self, system: System, changed: Callable[[bool], None]) -> None:
        self._system = system
        self._changed = changed
        self._last = False
        self._monitor: Monitor | None = None

    def start(self) -> None:
        """A computer without a battery is never heard of again."""
        from pyudev import Context, Monitor

        self._monitor = Monitor.from_netlink(Context())
        self._monitor.filter_by("power_supply")
        self._monitor.start()
        asyncio.get_running_loop().add_reader(self._monitor.fileno(), self._read)
        self._look()

    def stop(self) -> None:
        """No change is reported any more."""
        if self._monitor is not None:
            asyncio.get_running_loop().remove_reader(self._monitor.fileno())
            self._monitor = None

    def _read(self) -> None:
        while self._monitor is not None and self._monitor.poll(timeout=0) is not None:
            pass
        self._look()

    def _look(self) -> None:
        now = on_battery(self._system)
        if now != self._last:
            self._last = now
            self._changed(now)
