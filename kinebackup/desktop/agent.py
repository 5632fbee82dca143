"""The agent: shows the daemon's notices on the desktop, and sends the pressed buttons back.

Owns: the queue that handles one event after the other, and the timer. Does not know: which notices are active
(board.py), how they look (appearance.py), or how either bus works.

It has no key, reads no configuration and opens no drive: all it knows is on the screen.
"""

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Final, assert_never

from kinebackup.desktop.appearance import Capabilities, appearance_of, refusal_of
from kinebackup.desktop.board import Answer, Board, Close, Effect, Show
from kinebackup.desktop.events import (
    ActiveNotices,
    AgentEvent,
    AnswerFailed,
    ButtonPressed,
    NoticeShown,
    NoticeWithdrawn,
    NotificationClosed,
    ServerAppeared,
    TimerFired,
)
from kinebackup.desktop.link import DaemonLink
from kinebackup.desktop.notifications import Notifications, Placed, ServerAbsent
from kinebackup.errors import KineError
from kinebackup.policy.notices import NoticeKey

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
        self._timer: asyncio.TimerHandle | None = None
        self._answering: set[asyncio.Task[None]] = set()
        self._unanswered: tuple[NoticeKey, asyncio.Future[Placed]] | None = None
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
            for task in parts | ends | self._answering:
                task.cancel()
            await asyncio.gather(*parts, *ends, *self._answering, return_exceptions=True)
            await self._leave()

    async def _leave(self) -> None:
        """Take everything from the screen: without the agent, its buttons would lead nowhere.

        The daemon lives on and keeps its notices; the next agent shows them.
        """
        if self._timer is not None:
            self._timer.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FAREWELL_S):
                await self._do(self._board.clear())
                await self._take_away_unanswered()
        await self._notifications.close()

    async def _take_away_unanswered(self) -> None:
        """A notice that the server may have on its screen already, and has not yet said the number of. It comes last: a
        server that never does keeps no other notice there.
        """
        if self._unanswered is not None:
            key, asked_for = self._unanswered
            with contextlib.suppress(ServerAbsent):
                await self._do(self._board.is_shown(key, (await asked_for).shown_id))

    async def _work(self) -> None:
        while True:
            on_event = await self._queue.get()
            await self._do(await self._judge(on_event))
            self._set_timer()

    async def _judge(self, on_event: AgentEvent) -> list[Effect]:
        board, now_s = self._board, asyncio.get_running_loop().time()
        match on_event:
            case ActiveNotices(notices):
                return board.replay(notices)
            case NoticeShown(notice):
                return board.activate(notice)
            case NoticeWithdrawn(key):
                return board.withdraw(key)
            case ButtonPressed(shown_id, button_key):
                return board.is_pressed(shown_id, button_key, now_s)
            case NotificationClosed(shown_id, reason):
                return board.is_closed(shown_id, reason, now_s, has_buttons=self._can.buttons)
            case ServerAppeared(owner):
                return self._from_now_on(owner)
            case AnswerFailed(key, message, hint):
                await self._refuse(message, hint)
                return board.answer_failed(key)
            case TimerFired():
                self._timer = None  # it has rung, perhaps a moment early
                return board.show_due(now_s)
        assert_never(on_event)

    async def _do(self, effects: Iterable[Effect]) -> None:
        waiting = deque(effects)
        while waiting:
            effect = waiting.popleft()
            match effect:
                case Show():
                    waiting.extend(await self._show(effect))
                case Close(shown_id):
                    await self._notifications.take_away(shown_id)
                case Answer():
                    self._send_answer(effect)
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
            looks = appearance_of(wanted.notice, self._can)
            asked_for = asyncio.ensure_future(self._notifications.show(looks, replaces=wanted.replaces))
            try:
                placed = await asyncio.shield(asked_for)
            except asyncio.CancelledError:
                self._unanswered = what.key, asked_for
                raise
        except ServerAbsent as error:
            log.info("%s cannot be shown now (%s)", wanted.notice.kind.value, error)
            if asked and asked == self._notifications.server:  # else another one comes, with an event of its own
                self._board.is_not_shown(what.key, asyncio.get_running_loop().time())
            return []
        # The call itself may have started that server, whose appearing reaches us only after this.
        return self._from_now_on(placed.server) + self._board.is_shown(what.key, placed.shown_id)

    def _from_now_on(self, server: str) -> list[Effect]:
        """Numbers of another server mean nothing."""
        before, self._server = self._server, server
        if before == server:
            return []
        self._refusal_id = 0
        return self._board.server_is_new()

    async def _refuse(self, message: str, hint: str) -> None:
        """Shown once; the notice that it is about comes back beside it."""
        try:
            looks = refusal_of(message, hint, await self._notifications.capabilities())
            self._refusal_id = (await self._notifications.show(looks, replaces=self._refusal_id)).shown_id
        except ServerAbsent as error:
            log.info("a refusal cannot be shown now (%s)", error)

    def _send_answer(self, what: Answer) -> None:
        """In a task of its own: the daemon may ask the person for a password first."""
        task = asyncio.create_task(self._answer(what))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def _answer(self, what: Answer) -> None:
        try:
            await self._daemon.answer(what, now=self._now())
        except KineError as error:
            log.warning("%s of %s was not obeyed: %s", what.button.value, what.key.kind.value, error.message)
            self._queue.put_nowait(AnswerFailed(what.key, error.message, error.hint))

    def _set_timer(self) -> None:
        """One timer, for the next notice that comes back; none where none does."""
        loop = asyncio.get_running_loop()
        next_due_s = self._board.next_due_s()
        if self._timer is not None:
            if self._timer.when() == next_due_s and not self._timer.cancelled():
                return
            self._timer.cancel()
            self._timer = None
        if next_due_s is not None:
            self._timer = loop.call_at(next_due_s, self._queue.put_nowait, TimerFired())
