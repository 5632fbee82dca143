"""What systemd is told of the daemon.

Owns: the datagrams of sd_notify(3). Does not know: whether anybody listens; without ``NOTIFY_SOCKET`` nothing is sent.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress


class ServiceManager:
    """``environ`` is where the manager says how to reach it."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        alive_us = environ.get("WATCHDOG_USEC", "")
        for_us = environ.get("WATCHDOG_PID", "") in ("", str(os.getpid()))
        self._alive_s = int(alive_us) / 1e6 if alive_us.isdigit() and for_us else 0.0
        self._timer: asyncio.TimerHandle | None = None

    def ready(self, status: str) -> None:
        """The daemon listens to drives and people; from now on the watchdog is fed from the event loop."""
        self._send(f"READY=1\nSTATUS={status}")
        self._feed()

    def status(self, text: str) -> None:
        """One line for ``systemctl status``."""
        self._send(f"STATUS={text}")

    def stopping(self) -> None:
        """The daemon ends."""
        if self._timer is not None:
            self._timer.cancel()
        self._send("STOPPING=1")

    def _feed(self) -> None:
        if self._alive_s:
            self._send("WATCHDOG=1")
            self._timer = asyncio.get_running_loop().call_later(self._alive_s / 2, self._feed)

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.sendto(text.encode(), self._address)
