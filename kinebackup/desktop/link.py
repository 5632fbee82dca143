"""The agent's connection to the daemon.

Owns: reconnecting, fetching the active notices whenever a change may have been missed, sending answers. Does not know:
what is shown.

There is no polling: the bus says when a daemon appears. Only a bus that is gone itself, or a daemon that answers
with an error, is tried again, less and less often.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final, assert_never

from kinebackup.bus.client import DaemonAbsent, DaemonClient, DaemonListener
from kinebackup.desktop.board import LATER, Answer
from kinebackup.desktop.events import ActiveNotices, AgentEvent, NoticeShown, NoticeWithdrawn
from kinebackup.errors import KineError
from kinebackup.policy.notices import ActiveNotice, Button, NoticeKey, NoticeKind

_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 300.0

log = logging.getLogger("kinebackup.agent")


class DaemonLink(DaemonListener):
    """``on_event`` gets ``ActiveNotices``, ``NoticeShown`` and ``NoticeWithdrawn``, in the event loop."""

    def __init__(self, on_event: Callable[[AgentEvent], None], *, address: str | None = None) -> None:
        """Without an address: the system bus, or ``DBUS_SYSTEM_BUS_ADDRESS``."""
        self._on_event = on_event
        self._address = address
        self._client = DaemonClient(self, address=address)
        self._news = asyncio.Event()
        self._lost = False
        self._changed = False

    async def run(self) -> None:
        """Until cancelled."""
        pause_s = _FIRST_RETRY_S
        while True:
            try:
                await self._client.connect()
            except DaemonAbsent:
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, _LAST_RETRY_S)
            else:
                pause_s = _FIRST_RETRY_S
                self._lost = False
                await self._listen()
            finally:
                await self._client.close()
            self._client = DaemonClient(self, address=self._address)

    async def answer(self, what: Answer, *, now: datetime) -> None:
        """Pass a button on. Raises ``KineError``; somebody may have to type a password first."""
        key = what.key
        match what.button:
            case Button.BACK_UP_NOW:
                await self._client.back_up_now(key.drive)
            case Button.EJECT:
                await self._client.eject(key.drive)
            case Button.LATER:
                await self._client.snooze(key.kind, key.drive, now + LATER)
            case Button.DONE:
                await self._client.acknowledge(key.kind, key.drive)
            case unknown:
                assert_never(unknown)

    async def _listen(self) -> None:
        pause_s: float | None = None
        while not self._lost:
            self._news.clear()
            answered = await self._replay()
            pause_s = None if answered else min(2 * (pause_s or _FIRST_RETRY_S / 2), _LAST_RETRY_S)
            try:
                async with asyncio.timeout(pause_s):
                    await self._news.wait()
            except TimeoutError:
                continue

    async def _replay(self) -> bool:
        """Fetch the active notices; False where that must be tried again.

        A signal that comes meanwhile may be newer than the answer: then they are fetched once more.
        """
        while self._client.running:
            self._changed = False
            try:
                active = await self._client.notices()
            except KineError as error:
                log.warning("the daemon does not give its notices: %s", error.message)
                return not self._client.running
            if not self._changed:
                self._on_event(ActiveNotices(tuple(each.notice for each in active)))
                return True
        return True

    # --- DaemonListener ---------------------------------------------------------------------------------------------

    def notice_shown(self, notice: ActiveNotice) -> None:
        """See ``DaemonListener``."""
        self._changed = True
        self._on_event(NoticeShown(notice.notice))

    def notice_withdrawn(self, kind: NoticeKind, drive: str) -> None:
        """See ``DaemonListener``."""
        self._changed = True
        self._on_event(NoticeWithdrawn(NoticeKey(kind, drive)))

    def daemon_came(self) -> None:
        """See ``DaemonListener``."""
        self._news.set()

    def connection_lost(self) -> None:
        """See ``DaemonListener``."""
        self._lost = True
        self._news.set()
