"""Timers, clock, power supply and service manager around the loop, with the real kernel and real sockets.

Owns: a service manager that listens, and trees laid out like /sys. Does not know: the loop.
"""

import asyncio
import socket
from collections.abc import Coroutine
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from support.waiting import until

from kinebackup.config import AutomaticConfig, Config, HoursConfig, Paths
from kinebackup.daemon.decide.events import Tick
from kinebackup.daemon.host.power import on_battery
from kinebackup.daemon.host.systemd import ServiceManager
from kinebackup.daemon.host.timetable import Timetable
from kinebackup.daemon.rules import rules_of
from kinebackup.drives.system import System
from kinebackup.policy.schedule import PracticeHours, Rules


def play(story: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(story, 20))


def supply(root: Path, name: str, **attributes: str) -> None:
    folder = root / "sys" / "class" / "power_supply" / name
    folder.mkdir(parents=True)
    for attribute, value in attributes.items():
        (folder / attribute).write_text(value + "\n", encoding="ascii")


def test_a_computer_without_power_supplies_is_not_on_battery(tmp_path: Path) -> None:
    assert not on_battery(System(str(tmp_path)))


def test_a_laptop_is_on_battery_when_no_adapter_is_online_and_the_battery_empties(tmp_path: Path) -> None:
    supply(tmp_path, "AC", type="Mains", online="0")
    supply(tmp_path, "BAT0", type="Battery", status="Discharging")
    assert on_battery(System(str(tmp_path)))


def test_a_laptop_with_its_adapter_is_not_on_battery_even_while_the_battery_empties(tmp_path: Path) -> None:
    supply(tmp_path, "AC", type="Mains", online="1")
    supply(tmp_path, "BAT0", type="Battery", status="Discharging")
    assert not on_battery(System(str(tmp_path)))


def test_the_battery_of_a_mouse_is_not_that_of_the_computer(tmp_path: Path) -> None:
    supply(tmp_path, "hidpp_battery_0", type="Battery", status="Discharging", scope="Device")
    assert not on_battery(System(str(tmp_path)))


def test_a_supply_that_says_nothing_is_none(tmp_path: Path) -> None:
    supply(tmp_path, "BAT0")
    assert not on_battery(System(str(tmp_path)))


def test_the_manager_hears_ready_the_state_and_the_end(tmp_path: Path) -> None:
    path = tmp_path / "notify"
    heard: list[str] = []

    async def story() -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind(str(path))
            service = ServiceManager({"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "200000"})
            service.ready("aucun disque")
            manager.setblocking(False)
            while heard.count("WATCHDOG=1") < 2:
                heard.append((await asyncio.get_running_loop().sock_recv(manager, 200)).decode())
            service.stopping()
            heard.append(manager.recv(200).decode())

    play(story())
    assert heard == ["READY=1\nSTATUS=aucun disque", "WATCHDOG=1", "WATCHDOG=1", "STOPPING=1"]


def test_without_a_manager_nothing_is_sent_and_a_manager_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    ServiceManager({}).status("x")
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).status("x")
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone"), "WATCHDOG_USEC": "soon"}).stopping()


AT_OPENING = {"backup-due", "reminder-hour", "restore-test-due", "verification-due"}


def test_a_tick_comes_at_its_time_and_the_next_one_is_planned(tmp_path: Path) -> None:
    """The real clock: the practice opens a second from now."""
    ticks: list[Tick] = []
    soon = datetime.now(UTC) + timedelta(seconds=1.2)
    hours = PracticeHours(
        zone=UTC, working_days=frozenset(range(7)), opens=soon.time(), closes=time(23, 59, 59), reminder=soon.time()
    )

    async def story() -> None:
        timetable = Timetable(lambda: Rules(hours), list, now=lambda: datetime.now(UTC), post=ticks.append)
        timetable.start()
        await until(lambda: {tick.what for tick in ticks} >= AT_OPENING)
        await asyncio.sleep(0.5)  # none of them comes twice: an absence takes its time
        timetable.stop()

    play(story())
    assert {tick.what for tick in ticks} >= AT_OPENING
    assert all(tick.time >= soon for tick in ticks)
    assert len(ticks) == len({tick.what for tick in ticks})


def test_a_drive_that_became_idle_is_looked_at_a_quarter_of_an_hour_later() -> None:
    idle = [datetime.now(UTC) - timedelta(minutes=14, seconds=59)]
    ticks: list[Tick] = []

    async def story() -> None:
        rules = Rules(PracticeHours(UTC))
        timetable = Timetable(lambda: rules, lambda: idle, now=lambda: datetime.now(UTC), post=ticks.append)
        timetable.start()
        await until(lambda: bool(ticks))
        timetable.stop()

    play(story())
    assert [tick.what for tick in ticks] == ["still-plugged"]


def test_rules_are_those_of_the_configuration_in_the_zone_of_the_practice() -> None:
    config = Config(
        Paths(Path("/s"), Path("/c"), Path("/r")),
        hours=HoursConfig((0, 5), time(9), time(18), time(17), 5),
        automatic=AutomaticConfig(when_plugged_in=False, pause_on_battery=False, backup_days=2, prune_days=9),
    )
    zone = ZoneInfo("Europe/Paris")
    rules = rules_of(config, zone)
    assert rules.hours == PracticeHours(zone, frozenset({0, 5}), time(9), time(18), time(17), 5)
    assert (rules.automatic, rules.pause_on_battery, rules.backup_days, rules.prune_days) == (False, False, 2, 9)


@pytest.mark.root
def test_the_daemon_hears_that_the_clock_was_set() -> None:
    """The clock is set to what it is: that cancels the kernel's timer as any other time would."""
    import time as clock

    from kinebackup.daemon.host.clock import ClockWatch

    jumps: list[bool] = []

    async def story() -> None:
        watch = ClockWatch(lambda: jumps.append(True))
        watch.start()
        clock.clock_settime_ns(clock.CLOCK_REALTIME, clock.time_ns() + 1)
        await until(lambda: len(jumps) == 1)
        clock.clock_settime_ns(clock.CLOCK_REALTIME, clock.time_ns() + 1)
        await until(lambda: len(jumps) == 2)
        watch.stop()

    play(story())
    assert jumps == [True, True]
