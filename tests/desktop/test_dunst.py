"""The agent on a real screen: what a person sees, and what their hand does."""

import asyncio
import os
import shlex
import subprocess
import sys
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.bus.recorded_daemon import NOW
from support.desktop.session import Practice, agent_in
from support.project import ROOT
from support.waiting import until

from kinebackup.daemon.decide.events import Acknowledge, Eject, Snooze
from kinebackup.policy.notices import Notice, NoticeKind
from tools.headless_desktop import HeadlessDesktop, headless_desktop, missing_programs

pytest_plugins = ["support.desktop.desktop_fixtures"]

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("french")]

READY = Notice(NoticeKind.READY, "CABINET")
PLUG_IN = Notice(NoticeKind.PLUG_IN, "MAISON", days=2)
FAILED = Notice(NoticeKind.BACKUP_FAILED, "CABINET")
SAFE = Notice(NoticeKind.SAFE_TAKE_HOME, "MAISON")
LEFT, MIDDLE = 1, 2


@pytest.fixture
def screen() -> Iterator[HeadlessDesktop]:
    if missing := missing_programs():
        pytest.skip(f"not installed: {', '.join(missing)}")
    with headless_desktop() as made:
        yield made


def play(story: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 60))


async def shows(screen: HeadlessDesktop, count: int) -> None:
    await until(lambda: screen.displayed() == count, 20)


def colours(picture: Path) -> int:
    said = subprocess.run(["identify", "-format", "%k", picture], capture_output=True, text=True, check=True)
    return int(said.stdout)


def test_a_notice_is_seen_and_its_button_pressed_with_the_mouse(
    screen: HeadlessDesktop, practice: Practice, tmp_path: Path
) -> None:
    async def story() -> None:
        screen.picture(tmp_path / "before.png")
        async with practice.open(), agent_in(screen.bus.address, practice):
            screen.start_dunst()
            practice.say(PLUG_IN)
            await shows(screen, 1)
            screen.picture(tmp_path / "shown.png")
            screen.click(MIDDLE)
            await until(lambda: bool(practice.daemon.posted))
            await shows(screen, 0)
            match practice.daemon.posted:
                case [Snooze(_, kind, drive)]:
                    assert (kind, drive) == (NoticeKind.PLUG_IN, "MAISON")
                case other:
                    pytest.fail(f"not snoozed: {other}")

    play(story())
    assert colours(tmp_path / "before.png") == 1
    assert colours(tmp_path / "shown.png") > 10


def test_of_two_buttons_the_second_one_is_pressed(screen: HeadlessDesktop, practice: Practice) -> None:
    async def story() -> None:
        screen.choose("Éjecter")
        screen.start_dunst()
        async with practice.open(), agent_in(screen.bus.address, practice):
            practice.say(READY)
            await shows(screen, 1)
            screen.click(MIDDLE)
            await until(lambda: bool(practice.daemon.posted))
            assert practice.daemon.posted == [Eject(NOW, "CABINET")]

    play(story())


def test_a_failure_that_is_clicked_away_is_not_acknowledged_and_is_there_at_the_next_login(
    screen: HeadlessDesktop, practice: Practice
) -> None:
    async def story() -> None:
        screen.start_dunst()
        practice.say(FAILED)
        async with practice.open():
            async with agent_in(screen.bus.address, practice):
                await shows(screen, 1)
                screen.click(LEFT)
                await shows(screen, 0)
                assert practice.daemon.posted == []
            async with agent_in(screen.bus.address, practice):
                await shows(screen, 1)
                screen.click(MIDDLE)
                await until(lambda: bool(practice.daemon.posted))
                assert practice.daemon.posted == [Acknowledge(NOW, NoticeKind.BACKUP_FAILED, "CABINET")]

    play(story())


def test_one_of_the_same_kind_replaces_and_the_daemon_withdraws(screen: HeadlessDesktop, practice: Practice) -> None:
    async def story() -> None:
        screen.start_dunst()
        async with practice.open(), agent_in(screen.bus.address, practice):
            practice.say(PLUG_IN)
            await shows(screen, 1)
            practice.say(Notice(NoticeKind.PLUG_IN, "MAISON", days=3), SAFE)
            await shows(screen, 2)
            practice.take_back(PLUG_IN)
            await shows(screen, 1)
            practice.take_back(SAFE)
            await shows(screen, 0)

    play(story())


def test_a_server_that_crashed_and_a_daemon_that_was_restarted_lose_nothing(
    screen: HeadlessDesktop, practice: Practice
) -> None:
    async def story() -> None:
        screen.start_dunst()
        async with agent_in(screen.bus.address, practice):
            async with practice.open():
                practice.say(FAILED, SAFE)
                await shows(screen, 2)
                screen.stop_dunst()
                screen.start_dunst()
                await shows(screen, 2)
            practice.take_back(SAFE)
            async with practice.open():
                await shows(screen, 1)
        await shows(screen, 0)

    play(story())


def test_a_server_that_the_bus_starts_when_it_is_needed_shows_each_notice_once(
    screen: HeadlessDesktop, practice: Practice
) -> None:
    async def story() -> None:
        settings = [f"{name}={value}" for name, value in screen.environment.items()]
        command = ["/usr/bin/env", *settings, *screen.dunst_command()]
        screen.bus.starts_by_itself("org.freedesktop.Notifications", shlex.join(command))
        practice.say(FAILED, SAFE)
        async with agent_in(screen.bus.address, practice):
            await asyncio.sleep(0.3)  # an absence takes its time
            assert screen.displayed() is None  # nothing is started before there is something to show
            async with practice.open():
                await shows(screen, 2)
                await asyncio.sleep(0.5)  # none is shown twice: an absence takes its time
                assert screen.displayed() == 2

    play(story())


def test_the_tool_that_draws_the_documents_pictures_works(screen: HeadlessDesktop, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tools.notification_pictures", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, env=os.environ, timeout=60)
    sizes = {picture.name: picture.stat().st_size for picture in tmp_path.iterdir()}
    assert sorted(sizes) == ["notification-plug-in.png", "notification-take-home.png"]
    assert all(1_000 < size < 60_000 for size in sizes.values())
