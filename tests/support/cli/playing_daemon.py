"""A daemon that plays what a test wrote down when it is asked for something, and the program run beside it.

Owns: the play, the program's process as root or as an ordinary user. Does not know: what is expected.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from support.bus.polkit_authority import Ledger, run_authority
from support.bus.private_bus import NOBODY, PrivateBus
from support.bus.recorded_daemon import NOW, RecordedDaemon
from support.cli.computer import Ran
from support.waiting import until

from kinebackup.daemon.bus_service import BusService
from kinebackup.daemon.decide.actions import Ending
from kinebackup.daemon.decide.events import Event, JobId
from kinebackup.daemon.ports import EnrolledDrive
from kinebackup.model import Progress, Report
from kinebackup.policy.job_kinds import JobKind
from kinebackup.policy.notices import ActiveNotice, Notice
from kinebackup.policy.phases import Phase

PROGRAM = Path(sys.executable).with_name("kinebackup")

EVERYTHING: Final = ("work", "eject", "answer")
"""What polkit allows who sits at the computer."""


@dataclass(frozen=True, slots=True)
class Enters:
    """The drive goes on to that phase."""

    phase: Phase


@dataclass(frozen=True, slots=True)
class Advances:
    """The job of that kind is so far."""

    kind: JobKind
    progress: Progress


@dataclass(frozen=True, slots=True)
class Ends:
    """The job of that kind ends, with that report."""

    kind: JobKind
    ending: Ending
    report: Report | None = None


@dataclass(frozen=True, slots=True)
class Says:
    """A notice is shown."""

    notice: Notice


@dataclass(frozen=True, slots=True)
class Stops:
    """The daemon leaves the bus."""


@dataclass(frozen=True, slots=True)
class AtOnce:
    """Steps that come from one event: the machine tells the phases first, then what it does."""

    steps: "tuple[Step, ...]"


Step = Enters | Advances | Ends | Says | Stops | AtOnce


def at_once(*steps: Step) -> AtOnce:
    """These in one go."""
    return AtOnce(steps)


class PlayingDaemon(RecordedDaemon):
    """Plays its part when a request is posted, one step after the other."""

    def __init__(self, part: Sequence[Step], *drives: EnrolledDrive) -> None:
        super().__init__(*drives)
        self._part = list(part)
        self.leave: Callable[[], None] = lambda: None

    def post(self, event: Event) -> None:
        super().post(event)
        part, self._part = self._part, []
        asyncio.get_running_loop().call_soon(self._play, self.enrolled[0].label, part)

    def _play(self, label: str, part: list[Step]) -> None:
        if part:
            self._do(label, part[0])
            asyncio.get_running_loop().call_later(0.02, self._play, label, part[1:])

    def _do(self, label: str, step: Step) -> None:
        (listener, *_others) = self.listeners
        match step:
            case Enters(phase):
                self.enrolled = (replace(self.enrolled[0], phase=phase), *self.enrolled[1:])
                listener.phase_changed(label, phase)
            case Advances(kind, progress):
                listener.progressed(label, kind, progress)
            case Ends(kind, ending, report):
                if report is not None:
                    self.reports[label, kind] = report
                listener.job_ended(label, JobId(4), kind, ending)
            case Says(notice):
                listener.notice_shown(ActiveNotice(notice, NOW))
            case Stops():
                self.leave()
            case AtOnce(steps):
                for each in steps:
                    self._do(label, each)


@asynccontextmanager
async def played(bus: PrivateBus, daemon: PlayingDaemon, *, polkit: Sequence[str] = EVERYTHING) -> AsyncIterator[None]:
    """That daemon on that bus, beside a polkit that says yes to these actions."""
    connection = await run_authority(bus.address, Ledger({f"org.kinebackup.{name}": "yes" for name in polkit}))
    service = BusService(daemon, elapsed_s=time.monotonic, address=bus.address)
    stopping: set[asyncio.Task[None]] = set()
    daemon.leave = lambda: stopping.add(asyncio.create_task(service.stop()))
    assert await service.start()
    try:
        yield
    finally:
        await service.stop()
        await asyncio.gather(*stopping)
        connection.disconnect()
        await connection.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library gives no annotation


async def as_ordinary_user(bus: PrivateBus, *arguments: str, interrupt_after: Callable[[], bool] | None = None) -> Ran:
    """The program as a user who has no configuration.

    That user may read the program wherever it is installed: a checkout is often in a home directory.
    """
    can_read = ("--inh-caps=+dac_override", "--ambient-caps=+dac_override")
    user = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", *can_read)
    return await _run((*user, str(PROGRAM), *arguments), bus, interrupt_after)


async def as_root(bus: PrivateBus, state: Path, *arguments: str) -> Ran:
    """The program as root of a computer whose memory is a copy of ``state``, in a mount namespace of its own."""
    configuration = state.with_name("config.toml")
    configuration.write_text('[practice]\nlanguage = "en"\n[paths]\nstate = "/mnt/state"\n', encoding="utf-8")
    script = (
        'mount -t tmpfs tmpfs /mnt && cp -a "$0" /mnt/state && cp -a /etc /mnt/etc && mkdir -p /mnt/etc/kinebackup && '
        'cp "$1" /mnt/etc/kinebackup/config.toml && mount --bind /mnt/etc /etc && shift && exec "$@"'
    )
    return await _run(
        ("unshare", "-m", "sh", "-c", script, str(state), str(configuration), str(PROGRAM), *arguments), bus, None
    )


async def _run(command: Sequence[str], bus: PrivateBus, interrupt_after: Callable[[], bool] | None) -> Ran:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd="/",
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "LANG": "en_GB.UTF-8",
            "PYTHONDONTWRITEBYTECODE": "1",
            "DBUS_SYSTEM_BUS_ADDRESS": bus.address,
        },
    )
    reading = asyncio.create_task(process.communicate())
    if interrupt_after is not None:
        await until(lambda: interrupt_after() or reading.done())
        assert not reading.done(), "the program ended too early"
        process.send_signal(signal.SIGINT)
    out, err = await asyncio.wait_for(reading, 30)
    assert process.returncode is not None
    return Ran(process.returncode, out.decode(), err.decode())
