"""When to look whether something is due.

Owns: the timers, which do nothing but post a ``Tick``. Does not know: what is due (policy/schedule.py says when it
makes sense to look, the machine decides).

Every timer is set from the calendar anew after each tick, after the computer slept and after its clock was set; so
nothing has to be kept over a restart. Between two ticks nothing wakes up.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from kinebackup.daemon.decide.events import Tick
from kinebackup.policy.schedule import Rules, TickKind, next_ticks


class Timetable:
    """``rules`` and ``idle_since`` are asked each time: see ``policy.schedule.next_ticks``."""

    def __init__(
        self,
        rules: Callable[[], Rules],
        idle_since: Callable[[], Sequence[datetime]],
        *,
        now: Callable[[], datetime],
        post: Callable[[Tick], None],
    ) -> None:
        self._rules = rules
        self._idle_since = idle_since
        self._now = now
        self._post = post
        self._scheduler = AsyncIOScheduler(timezone=UTC)

    def start(self) -> None:
        """In a running event loop."""
        self._scheduler.start()
        self.replan()

    def stop(self) -> None:
        """No tick comes any more."""
        self._scheduler.shutdown(wait=False)

    def replan(self) -> None:
        """Set every timer to the time that is right now."""
        wanted: dict[TickKind, datetime] = {}
        for due in next_ticks(self._rules(), self._now(), idle_since=self._idle_since()):
            wanted.setdefault(due.what, due.at)
        for job in self._scheduler.get_jobs():
            if job.id not in wanted:
                job.remove()
        for what, at in wanted.items():
            # A tick that is late, because the computer slept, is as good as one that is not.
            self._scheduler.add_job(
                self._tick, "date", run_date=at, args=(what,), id=what, replace_existing=True, misfire_grace_time=None
            )

    async def _tick(self, what: TickKind) -> None:
        self._post(Tick(self._now(), what))
        self.replan()
