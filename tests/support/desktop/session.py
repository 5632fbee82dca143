"""One person's session for the tests: a bus of the session, a system bus with the daemon's real service, the agent.

Owns: putting these together. Does not know: what a test says or presses.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from support.bus.private_bus import PrivateBus
from support.bus.recorded_daemon import NOW, RecordedDaemon

from kinebackup.daemon.bus_service import BusService
from kinebackup.daemon.ports import EnrolledDrive
from kinebackup.desktop.agent import Agent
from kinebackup.policy.notices import ActiveNotice, Notice
from kinebackup.policy.phases import Phase


@dataclass(slots=True)
class Practice:
    """A daemon that says what a test tells it to, and notes what was asked of it."""

    system: PrivateBus
    daemon: RecordedDaemon = field(
        default_factory=lambda: RecordedDaemon(
            EnrolledDrive("CABINET", "CABINET", Phase.APPEARED),
            EnrolledDrive("MAISON", "MAISON", Phase.ABSENT),
            EnrolledDrive("Été <2>", "Été <2>", Phase.APPEARED),
        )
    )
    service: BusService | None = None

    def say(self, *notices: Notice) -> None:
        """From now on these stand as well."""
        for notice in notices:
            shown = ActiveNotice(notice, NOW)
            others = [each for each in self.daemon.active if not _same(each.notice, notice)]
            self.daemon.active = (*others, shown)
            if self.service is not None:
                self.service.notice_shown(shown)

    def take_back(self, notice: Notice) -> None:
        """That one does not stand any more."""
        self.daemon.active = tuple(each for each in self.daemon.active if not _same(each.notice, notice))
        if self.service is not None:
            self.service.notice_withdrawn(notice.kind, notice.drive)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """The daemon is on the bus until the block ends."""
        self.service = BusService(self.daemon, elapsed_s=time.monotonic, address=self.system.address)
        assert await self.service.start()
        try:
            yield
        finally:
            service, self.service = self.service, None
            await service.stop()


@asynccontextmanager
async def agent_in(session_address: str, practice: Practice) -> AsyncIterator[asyncio.Task[None]]:
    """The agent, until the block ends."""
    agent = Agent(session_address, now=lambda: NOW, system_bus=practice.system.address)
    running = asyncio.create_task(agent.run())
    try:
        yield running
    finally:
        agent.stop()
        await asyncio.wait_for(running, 20)


def _same(one: Notice, other: Notice) -> bool:
    return (one.kind, one.drive) == (other.kind, other.drive)
