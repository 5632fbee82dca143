"""The program that runs in the background: every part put together, from the first signal to the last.

Owns: the life of the parts, and translating what the watcher saw into events. Does not know: what any event leads to.
"""

import asyncio
import logging
import signal
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Final, assert_never

from kinebackup.config import Config
from kinebackup.daemon.bus_service import BusService
from kinebackup.daemon.change_tracking import JournalTracking
from kinebackup.daemon.decide import events as ev
from kinebackup.daemon.decide.table import AT_WORK
from kinebackup.daemon.host.clock import ClockWatch
from kinebackup.daemon.host.logind import Logind
from kinebackup.daemon.host.power import PowerWatch
from kinebackup.daemon.host.systemd import ServiceManager
from kinebackup.daemon.host.timetable import Timetable
from kinebackup.daemon.loop import Loop
from kinebackup.daemon.persistence import PersistentState, read_persistent, write_persistent
from kinebackup.daemon.ports import Mounter, Worker
from kinebackup.daemon.rules import rules_of
from kinebackup.daemon.service import Service
from kinebackup.drives.watcher import DriveChange, DriveWatcher, UsbFilesystem
from kinebackup.errors import KineError
from kinebackup.i18n import _
from kinebackup.policy.phases import Phase
from kinebackup.policy.schedule import PracticeHours, Rules
from kinebackup.practice.world import World

STOP_WITHIN_S: Final = 4.0
"""All of it, to the end of the process, within five seconds: who shuts down waits for it. What is not finished by then
is resumed next time."""

SLEEP_WITHIN_S: Final = 4.0  # logind waits five (InhibitDelayMaxSec)

WAKES_WITHIN_S: Final = 5.0
"""The kernel looks for its USB devices anew, and those that it had may go and come again meanwhile."""

log = logging.getLogger("kinebackup.daemon")


@dataclass(frozen=True, slots=True)
class Parts:
    """What is real about the daemon, made by ``wiring_daemon``."""

    load_config: Callable[[], Config]
    world: World
    environ: Mapping[str, str]
    mounter: Mounter
    worker: Worker
    watcher: DriveWatcher
    journal: JournalTracking
    trim_memory: Callable[[], None]


class Program:
    """One run of the daemon."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._stop = asyncio.Event()
        self._defective = False
        self._tasks: set[asyncio.Task[None]] = set()
        self._waking: asyncio.TimerHandle | None = None
        self._manager = ServiceManager(parts.environ)
        self._logind = Logind(self._before_sleep, self._after_sleep)
        self._clock = ClockWatch(self._clock_was_set)
        self._power = PowerWatch(parts.world.system, self._power_changed)
        config = _config_if_any(parts.load_config)
        self._loop = Loop(
            rules_of(config, parts.world.zone) if config else Rules(PracticeHours(parts.world.zone)),
            read_persistent(config),
            now=parts.world.now,
            mounter=parts.mounter,
            worker=parts.worker,
            inhibitor=self._logind,
            persist=self._persist,
            on_defect=self._on_defect,
        )
        self.service = Service(self._loop, parts.load_config, parts.world, self._configured)
        self._timetable = Timetable(
            lambda: self._loop.state.rules, self._idle_since, now=parts.world.now, post=self._on_tick
        )
        self._bus = BusService(self.service, elapsed_s=parts.world.elapsed_s)

    async def run(self) -> bool:
        """Until somebody asks it to stop. False where it ended by a defect."""
        running = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            running.add_signal_handler(number, self._stop.set)
        running.add_signal_handler(signal.SIGHUP, self.service.reload)
        self._loop.listen(self)
        self._logind.start()
        self.service.reload()
        self._clock.start()
        self._power.start()
        found = self._parts.watcher.start()
        running.add_reader(self._parts.watcher.fileno(), self._read_watcher)
        for filesystem in found:
            self._loop.post(ev.DriveAppeared(self._loop.now(), device_of(filesystem)))
        self._timetable.start()
        await self._bus.start()
        self._look_at_sources()
        self._manager.ready(self._status())
        await self._stop.wait()
        await self._end()
        return not self._defective

    async def _end(self) -> None:
        self._manager.stopping()
        self._cancel_waking()
        self._timetable.stop()
        self._loop.post(ev.ShutdownRequested(self._loop.now()))
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_WITHIN_S):
                await self._wait_until_at_rest()
        asyncio.get_running_loop().remove_reader(self._parts.watcher.fileno())
        self._parts.watcher.close()
        await self._bus.stop()
        self._power.stop()
        self._clock.stop()
        self._parts.journal.stop()
        await self._logind.stop()

    async def _wait_until_at_rest(self) -> None:
        while self._loop.at_work:
            await asyncio.sleep(0.05)
        await self._loop.wait_until_idle()

    # --- what the parts tell ------------------------------------------------------------------------------------------

    def _read_watcher(self) -> None:
        self._post_changes(self._parts.watcher.read())

    def _post_changes(self, changes: list[DriveChange]) -> None:
        if changes and self.service.settings_unreadable:
            self.service.reload()  # somebody may have repaired the file, and now tries it
        for each in changes:
            self._loop.post(event_of(each, self._loop.now()))

    def _on_tick(self, tick: ev.Tick) -> None:
        self._loop.post(tick)
        if tick.what == "backup-due":
            self._look_at_sources()
            self.service.forget_old_runs()

    def _look_at_sources(self) -> None:
        task = asyncio.get_running_loop().create_task(self.service.check_sources())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _before_sleep(self) -> None:
        self._cancel_waking()
        self._loop.post(ev.Suspending(self._loop.now()))
        with suppress(TimeoutError):
            async with asyncio.timeout(SLEEP_WITHIN_S):
                await self._wait_until_at_rest()

    def _after_sleep(self) -> None:
        self._cancel_waking()
        self._waking = asyncio.get_running_loop().call_later(WAKES_WITHIN_S, self._awake)

    def _cancel_waking(self) -> None:
        if self._waking is not None:
            self._waking.cancel()
            self._waking = None

    def _awake(self) -> None:
        self._waking = None
        self._post_changes(self._parts.watcher.rescan())
        self._loop.post(ev.Resumed(self._loop.now()))
        self._timetable.replan()

    def _clock_was_set(self) -> None:
        self._loop.post(ev.ClockJumped(self._loop.now()))
        self._timetable.replan()

    def _power_changed(self, on_battery: bool) -> None:
        self._loop.post(ev.PowerChanged(self._loop.now(), on_battery))

    def _configured(self, config: Config) -> None:
        self._parts.journal.use(config)
        for filesystem in self._parts.watcher.here():  # one that was enrolled while it was plugged in
            self._loop.post(ev.DriveAppeared(self._loop.now(), device_of(filesystem)))
        self._timetable.replan()
        self._manager.status(self._status())

    def _persist(self, persistent: PersistentState) -> None:
        write_persistent(self.service.config, persistent)

    def _on_defect(self, error: BaseException) -> None:
        log.critical("the daemon ends because of a defect", exc_info=error)
        self._defective = True
        self._stop.set()

    def _idle_since(self) -> list[datetime]:
        waiting = (Phase.APPEARED, Phase.SAFE)
        return [d.since for d in self._loop.state.drives if d.since is not None and d.phase in waiting]

    # --- as a listener of the loop ------------------------------------------------------------------------------------

    def notice_shown(self, active: object) -> None:
        """See ``ports.Listener``."""

    def notice_withdrawn(self, kind: object, drive: str) -> None:
        """See ``ports.Listener``."""

    def phase_changed(self, drive: str, phase: Phase) -> None:
        """See ``ports.Listener``: a drive that is idle now is to be spoken of in a quarter of an hour."""
        self._timetable.replan()
        self._manager.status(self._status())
        if phase not in AT_WORK:
            self._parts.trim_memory()

    def progressed(self, drive: str, kind: object, progress: object) -> None:
        """See ``ports.Listener``."""

    def job_ended(self, drive: str, job: object, kind: object, ending: object) -> None:
        """See ``ports.Listener``."""
        self.service.look_at_health(drive)

    def _status(self) -> str:
        if not self.service.is_set_up:
            return _("not set up yet: kinebackup init")
        here = [f"{drive.label}: {drive.phase}" for drive in self._loop.drives() if drive.phase is not Phase.ABSENT]
        return ", ".join(here) or _("no drive is plugged in")


def device_of(seen: UsbFilesystem) -> ev.Device:
    """What the machine needs of a filesystem that the watcher saw."""
    return ev.Device(seen.node, seen.fs_uuid, seen.part_uuid, seen.serial, seen.disk_sequence)


def event_of(change: DriveChange, now: datetime) -> ev.Event:
    """What the watcher saw, as an event."""
    device = device_of(change.device)
    match change.kind:
        case "appeared":
            return ev.DriveAppeared(now, device)
        case "changed":
            return ev.DriveChanged(now, device)
        case "vanished":
            return ev.DriveVanished(now, device)
    assert_never(change.kind)


def _config_if_any(load_config: Callable[[], Config]) -> Config | None:
    try:
        return load_config()
    except KineError:
        return None  # ``Service.reload`` says why
