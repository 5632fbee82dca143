"""Sleep and shutdown, with a real message bus on which the test plays logind.

Owns: that logind, which hands out locks as pipes and looks whether they are still held. Does not know: the loop.
"""

import asyncio
import os
import select
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from dbus_fast import Message, MessageType
from dbus_fast.aio import MessageBus
from support.waiting import until

from kinebackup.daemon.host.logind import Logind

pytestmark = pytest.mark.root


@dataclass
class PlayedLogind:
    """``locks``: what and mode of each lock that was asked for, with our end of its pipe."""

    bus: MessageBus
    locks: list[tuple[str, str, int]] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)

    def answer(self, message: Message) -> Message | bool:
        if message.member != "Inhibit":
            return False
        ours, theirs = os.pipe()
        self.locks.append((message.body[0], message.body[3], ours))
        self.sent.append(theirs)
        return Message.new_method_return(message, "h", [0], [theirs])

    def held(self) -> list[tuple[str, str]]:
        """Locks whose other end nobody has closed; our own copy of it has been sent by now."""
        while self.sent:
            os.close(self.sent.pop())
        return [(what, mode) for what, mode, pipe in self.locks if not select.select([pipe], [], [], 0)[0]]

    async def say(self, member: str, value: bool) -> None:
        await self.bus.send(
            Message(
                path="/org/freedesktop/login1",
                interface="org.freedesktop.login1.Manager",
                member=member,
                message_type=MessageType.SIGNAL,
                signature="b",
                body=[value],
            )
        )
        await self.connections()  # the bus answers after it has passed on what was sent before

    async def connections(self) -> int:
        """How many programs are on the bus."""
        reply = await self.bus.call(
            Message(
                destination="org.freedesktop.DBus",
                path="/org/freedesktop/DBus",
                interface="org.freedesktop.DBus",
                member="ListNames",
            )
        )
        assert reply is not None
        return sum(name.startswith(":") for name in reply.body[0])


@pytest.fixture
def address() -> Iterator[str]:
    process = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.communicate()


@asynccontextmanager
async def somebody_on(address: str) -> AsyncIterator[PlayedLogind]:
    bus = await MessageBus(address, negotiate_unix_fd=True).connect()
    played = PlayedLogind(bus)
    bus.add_message_handler(played.answer)
    try:
        yield played
    finally:
        for _what, _mode, pipe in played.locks:
            os.close(pipe)
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library's own


@asynccontextmanager
async def played_logind(address: str) -> AsyncIterator[PlayedLogind]:
    async with somebody_on(address) as played:
        await played.bus.request_name("org.freedesktop.login1")
        yield played


def test_without_logind_nothing_is_kept_awake_and_nothing_fails(address: str) -> None:
    async def story() -> None:
        async with somebody_on(address) as somebody:
            ours = Logind(_nothing, lambda: None, address=address)
            ours.start()
            ours.hold()
            while await somebody.connections() < 2:
                pass
            await asyncio.sleep(0.3)  # nobody answers, and nothing tells of it: what could fail has had the time to
            ours.release()
            await ours.stop()

    asyncio.run(asyncio.wait_for(story(), 10))


def test_the_computer_is_kept_awake_while_a_drive_is_at_work(address: str) -> None:
    async def story() -> None:
        async with played_logind(address) as logind:
            ours = Logind(_nothing, lambda: None, address=address)
            ours.start()
            await until(lambda: logind.held() == [("sleep", "delay")])
            ours.hold()
            await until(lambda: logind.held() == [("sleep", "delay"), ("shutdown:sleep:idle", "block")])
            ours.release()
            assert logind.held() == [("sleep", "delay")]
            ours.hold()
            ours.release()
            await until(lambda: len(logind.locks) == 3)  # it was asked for already, and is given back
            await until(lambda: logind.held() == [("sleep", "delay")])
            await ours.stop()
            assert logind.held() == []

    asyncio.run(asyncio.wait_for(story(), 10))


def test_sleep_waits_until_the_work_is_stopped_and_waking_is_heard(address: str) -> None:
    story_of: list[str] = []
    work_ends = asyncio.Event()

    async def sleeping() -> None:
        story_of.append("stopping")
        await work_ends.wait()
        story_of.append("stopped")

    async def story() -> None:
        async with played_logind(address) as logind:
            ours = Logind(sleeping, lambda: story_of.append("woken"), address=address)
            ours.start()
            await until(lambda: logind.held() == [("sleep", "delay")])
            await logind.say("PrepareForSleep", True)
            await until(lambda: story_of == ["stopping"])
            assert logind.held() == [("sleep", "delay")]
            work_ends.set()
            await until(lambda: logind.held() == [])
            await logind.say("PrepareForSleep", False)
            await until(lambda: logind.held() == [("sleep", "delay")])
            await ours.stop()

    asyncio.run(asyncio.wait_for(story(), 10))
    assert story_of == ["stopping", "stopped", "woken"]


def test_somebody_else_s_word_does_not_stop_a_backup(address: str) -> None:
    heard: list[str] = []

    async def sleeping() -> None:
        heard.append("sleeping")

    async def story() -> None:
        async with played_logind(address) as logind, somebody_on(address) as somebody:
            ours = Logind(sleeping, lambda: heard.append("woken"), address=address)
            ours.start()
            await until(lambda: logind.held() == [("sleep", "delay")])
            await somebody.say("PrepareForSleep", True)
            await somebody.say("PrepareForSleep", False)
            assert heard == []
            await logind.say("PrepareForSleep", True)  # what the other one said came before it
            await until(lambda: bool(heard))
            await ours.stop()

    asyncio.run(asyncio.wait_for(story(), 10))
    assert heard == ["sleeping"]


async def _nothing() -> None:
    pass
