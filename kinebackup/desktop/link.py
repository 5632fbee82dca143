"""The agent's link to the daemon: always there again, and never asking in vain.

Owns: connecting anew, asking for what stands whenever that may have changed unheard, passing answers on. Does not know:
what is shown.

Without a daemon nothing is asked: the bus tells when it comes. Only a bus that is gone itself, or a daemon that answers
with an error, is tried again, less and less often.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime
from typing import Final, assert_never

from kinebackup.bus.client import DaemonAbsent, DaemonClient, DaemonListener
from kinebackup.desktop.board import LATER, Key, Tell
from kinebackup.desktop.events import AgentEvent, Replayed, Said, TakenBack
from kinebackup.errors import KineError
from kinebackup.policy.notices import ActiveNotice, Button, NoticeKind

_FIRST_RETRY_S: Final = 1.0
_LAST_RETRY_S: Final = 300.0

log = logging.getLogger("kinebackup.agent")


class DaemonLink(DaemonListener):
    """``heard`` is called in the event loop with ``Replayed``, ``Said`` and ``TakenBack``; it returns at once."""

    def __init__(self, heard: Callable[[AgentEvent], None], *, address: str | None = None) -> None:
        """Without an address: the system bus, or ``DBUS_SYSTEM_BUS_ADDRESS``."""
        self._heard = heard
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

    async def tell(self, what: Tell, *, now: datetime) -> None:
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
                await asyncio.wait_for(self._news.wait(), pause_s)
            except TimeoutError:
                continue

    async def _replay(self) -> bool:
        """Ask what stands; False where that must be tried again.

        What the daemon says while it is asked may be newer than its answer, so then it is asked once more.
        """
        while self._client.running:
            self._changed = False
            try:
                standing = await self._client.notices()
            except KineError as error:
                log.warning("the daemon does not say what stands: %s", error.message)
                return not self._client.running
            if not self._changed:
                self._heard(Replayed(tuple(each.notice for each in standing)))
                return True
        return True

    # --- what the client hears ----------------------------------------------------------------------------------------

    def notice_shown(self, notice: ActiveNotice) -> None:
        """See ``DaemonListener``."""
        self._changed = True
        self._heard(Said(notice.notice))

    def notice_withdrawn(self, kind: NoticeKind, drive: str) -> None:
        """See ``DaemonListener``."""
        self._changed = True
        self._heard(TakenBack(Key(kind, drive)))

    def daemon_came(self) -> None:
        """See ``DaemonListener``."""
        self._news.set()

    def connection_lost(self) -> None:
        """See ``DaemonListener``."""
        self._lost = True
        self._news.set()
