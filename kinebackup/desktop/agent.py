"""The agent: shows what the daemon has to say, and tells it which button was pressed.

Owns: one thing after the other, in the order in which it was heard. Does not know: which notices there are (board.py),
how they look (appearance.py), or how either bus works.

It has no key, reads no configuration and opens no drive: what it knows is on the screen.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, assert_never

from kinebackup.desktop.appearance import Capabilities, appearance_of, refusal_of
from kinebackup.desktop.board import Board, Close, Effect, Show, Tell
from kinebackup.desktop.events import (
    AgentEvent,
    Closed,
    NotObeyed,
    Pressed,
    Replayed,
    Said,
    ServerCame,
    TakenBack,
    TimeToLook,
)
from kinebackup.desktop.link import DaemonLink
from kinebackup.desktop.notifications import Notifications, ServerAbsent
from kinebackup.errors import KineError

_FAREWELL_S: Final = 1.0

log = logging.getLogger("kinebackup.agent")


class Agent:
    """One session's agent. ``now`` gives aware times."""

    def __init__(self, session_bus: str, *, now: Callable[[], datetime], system_bus: str | None = None) -> None:
        """Addresses of the two buses; without one for the system, the usual one."""
        self._now = now
        self._queue: asyncio.Queue[AgentEvent] = asyncio.Queue()
        self._notifications = Notifications(session_bus, self._queue.put_nowait)
        self._daemon = DaemonLink(self._queue.put_nowait, address=system_bus)
        self._board = Board()
        self._server = ""
        self._can = Capabilities()
        self._refusal_id = 0
        self._alarm: asyncio.TimerHandle | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()

    def stop(self) -> None:
        """End: ``run`` returns soon."""
        self._stop.set()

    async def run(self) -> None:
        """Until ``stop``, or until the session ends. Raises ``KineError`` without a session, ``AgentRuns``."""
        await self._notifications.open()
        parts = {
            asyncio.create_task(self._work()),
            asyncio.create_task(self._daemon.run()),
        }
        ends = {asyncio.create_task(self._stop.wait()), asyncio.create_task(self._notifications.until_lost())}
        try:
            done, _others = await asyncio.wait(parts | ends, return_when=asyncio.FIRST_COMPLETED)
            for task in done & parts:
                await task  # neither ends by itself: what it raised is a defect
        finally:
            for task in parts | ends | self._telling:
                task.cancel()
            await asyncio.gather(*parts, *ends, *self._telling, return_exceptions=True)
            await self._leave()

    async def _leave(self) -> None:
        """Take everything from the screen: without the agent, its buttons would lead nowhere.

        The daemon lives on and keeps its notices; the next agent shows them.
        """
        if self._alarm is not None:
            self._alarm.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._do(self._board.clear())
        await self._notifications.close()

    async def _work(self) -> None:
        while True:
            heard = await self._queue.get()
            await self._do(await self._judge(heard))
            self._set_alarm()

    async def _judge(self, heard: AgentEvent) -> list[Effect]:
        board, now_s = self._board, asyncio.get_running_loop().time()
        match heard:
            case Replayed(notices):
                return board.replay(notices)
            case Said(notice):
                return board.stand(notice)
            case TakenBack(key):
                return board.withdraw(key)
            case Pressed(shown_id, button_key):
                return board.is_pressed(shown_id, button_key, now_s)
            case Closed(shown_id, reason):
                return board.is_closed(shown_id, reason, now_s, has_buttons=self._can.buttons)
            case ServerCame(owner):
                return self._from_now_on(owner)
            case NotObeyed(key, message, hint):
                await self._refuse(message, hint)
                return board.not_obeyed(key)
            case TimeToLook():
                self._alarm = None  # it has rung, perhaps a moment early
                return board.is_late(now_s)
        assert_never(heard)

    async def _do(self, effects: Iterable[Effect]) -> None:
        waiting = deque(effects)
        while waiting:
            effect = waiting.popleft()
            match effect:
                case Show():
                    waiting.extend(await self._show(effect))
                case Close(shown_id):
                    await self._notifications.take_away(shown_id)
                case Tell():
                    self._tell(effect)
                case _:
                    assert_never(effect)

    async def _show(self, what: Show) -> list[Effect]:
        """Where nothing shows notifications, it waits on the board for a server."""
        wanted = self._board.to_show(what.key)
        if wanted is None:
            return []
        asked = self._notifications.server
        try:
            self._can = await self._notifications.capabilities()
            placed = await self._notifications.show(appearance_of(wanted.notice, self._can), replaces=wanted.replaces)
        except ServerAbsent as error:
            log.info("%s cannot be shown now (%s)", wanted.notice.kind.value, error)
            if asked and asked == self._notifications.server:  # else another one comes, which is heard
                self._board.is_not_shown(what.key, asyncio.get_running_loop().time())
            return []
        # The call itself may have started that server, whose coming is heard only after this.
        return self._from_now_on(placed.server) + self._board.is_shown(what.key, placed.shown_id)

    def _from_now_on(self, server: str) -> list[Effect]:
        """Numbers of another server mean nothing."""
        before, self._server = self._server, server
        if before == server:
            return []
        self._refusal_id = 0
        return self._board.server_is_new()

    async def _refuse(self, message: str, hint: str) -> None:
        """It is shown once: what it is about comes back beside it."""
        try:
            looks = refusal_of(message, hint, await self._notifications.capabilities())
            self._refusal_id = (await self._notifications.show(looks, replaces=self._refusal_id)).shown_id
        except ServerAbsent as error:
            log.info("a refusal cannot be shown now (%s)", error)

    def _tell(self, what: Tell) -> None:
        """Beside all else, since the daemon may ask the person for a password first."""
        task = asyncio.create_task(self._really_tell(what))
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _really_tell(self, what: Tell) -> None:
        try:
            await self._daemon.tell(what, now=self._now())
        except KineError as error:
            log.warning("%s of %s was not obeyed: %s", what.button.value, what.key.kind.value, error.message)
            self._queue.put_nowait(NotObeyed(what.key, error.message, error.hint))

    def _set_alarm(self) -> None:
        """One timer, for the next notice that comes back; none where none does."""
        loop = asyncio.get_running_loop()
        next_s = self._board.next_s()
        if self._alarm is not None:
            if self._alarm.when() == next_s and not self._alarm.cancelled():
                return
            self._alarm.cancel()
            self._alarm = None
        if next_s is not None:
            self._alarm = loop.call_at(next_s, self._queue.put_nowait, TimeToLook())
