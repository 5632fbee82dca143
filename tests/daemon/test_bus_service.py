"""The daemon on a real message bus: who may ask for what, what everybody hears, and a bus that comes and goes."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from copy import copy

import pytest
from dbus_fast import BusType, Message, NameFlag, RequestNameReply
from dbus_fast.aio import MessageBus
from support.bus.polkit_authority import Check, Ledger, run_authority
from support.bus.private_bus import PrivateBus, ask, busctl, private_bus
from support.bus.real_polkit import polkitd
from support.bus.recorded_daemon import NOW, RecordedDaemon
from support.waiting import until

from kinebackup.bus.client import DaemonClient, DaemonListener
from kinebackup.bus.connection import connect, disconnect
from kinebackup.bus.values import DriveAtWork, JobEnd, JobProgress
from kinebackup.daemon.bus_service import BURST, BusService
from kinebackup.daemon.decide.events import AlarmLifted, BackUpNow, Eject, JobId, RestoreTestNow
from kinebackup.daemon.ports import EnrolledDrive
from kinebackup.model import BackupReport, Progress
from kinebackup.policy.notices import ActiveNotice, Notice, NoticeKind
from kinebackup.policy.phases import Phase

pytestmark = pytest.mark.root

CABINET = EnrolledDrive("CABINET", "CABINET", Phase.APPEARED)
DOMICILE = EnrolledDrive("DOMICILE", "DOMICILE", Phase.ABSENT)
REPORT = BackupReport("ab" * 32, 1, 2, 3, 4, 5, 6, 7.5, suspicious=False)


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root may own the daemon's name")
    with private_bus() as made:
        yield made


@asynccontextmanager
async def served(bus: PrivateBus, daemon: RecordedDaemon) -> AsyncIterator[BusService]:
    """That daemon on that bus."""
    service = BusService(daemon, elapsed_s=time.monotonic, address=bus.address)
    assert await service.start()
    try:
        yield service
    finally:
        await service.stop()


@asynccontextmanager
async def authority(bus: PrivateBus, ledger: Ledger) -> AsyncIterator[None]:
    """polkit, with that table."""
    connection = await run_authority(bus.address, ledger)
    try:
        yield
    finally:
        connection.disconnect()
        await connection.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library gives no annotation


# --- who may --------------------------------------------------------------------------------------------------------


def test_without_polkit_nobody_but_root_may_start_work(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(CABINET)

    async def play() -> None:
        async with served(bus, daemon):
            for member in ("BackUpNow", "TestRestore", "Eject"):
                refused = await ask(bus, member, "s", "CABINET", interactive=True)
                assert refused.code != 0
                assert "not authorised" in refused.err
            assert daemon.posted == []
            assert (await ask(bus, "BackUpNow", "s", "CABINET", user=0)).code == 0

    asyncio.run(play())
    assert daemon.posted == [BackUpNow(NOW, "CABINET")]


def test_who_sits_at_the_computer_starts_work_ejects_and_answers(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(CABINET)
    ledger = Ledger({"org.kinebackup.work": "yes", "org.kinebackup.eject": "yes", "org.kinebackup.answer": "yes"})

    async def play() -> None:
        async with authority(bus, ledger), served(bus, daemon):
            assert (await ask(bus, "BackUpNow", "s", "")).code == 0
            assert (await ask(bus, "TestRestore", "s", "CABINET")).code == 0
            assert (await ask(bus, "Eject", "s", "")).code == 0
            assert (await ask(bus, "Acknowledge", "ss", "drive-full", "CABINET")).code == 0
            refused = await ask(bus, "LiftAlarm")
            assert "not authorised for org.kinebackup.lift-alarm" in refused.err

    asyncio.run(play())
    assert daemon.posted[:3] == [BackUpNow(NOW, "CABINET"), RestoreTestNow(NOW, "CABINET"), Eject(NOW, "CABINET")]
    assert len(daemon.posted) == 4
    assert ledger.checks[0] == Check("system-bus-name", "org.kinebackup.work", interactive=False)


def test_a_password_is_asked_for_only_where_the_client_allows_it(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(CABINET)
    ledger = Ledger({"org.kinebackup.lift-alarm": "password"})

    async def play() -> None:
        async with authority(bus, ledger), served(bus, daemon):
            assert (await ask(bus, "LiftAlarm", interactive=False)).code != 0
            assert daemon.posted == []
            assert (await ask(bus, "LiftAlarm", interactive=True)).code == 0

    asyncio.run(play())
    assert daemon.posted == [AlarmLifted(NOW)]
    assert [check.interactive for check in ledger.checks] == [False, True]


def test_the_real_polkit_turns_away_who_does_not_sit_at_the_computer(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(CABINET)

    async def play() -> None:
        async with polkitd(bus), served(bus, daemon):
            for arguments in (("BackUpNow", "s", ""), ("Acknowledge", "ss", "drive-full", ""), ("LiftAlarm",)):
                assert "not authorised" in (await ask(bus, *arguments, interactive=True)).err
            assert (await ask(bus, "BackUpNow", "s", "", user=0)).code == 0

    asyncio.run(play())
    assert daemon.posted == [BackUpNow(NOW, "CABINET")]


def test_the_real_polkit_lets_in_whom_its_rules_name_and_for_that_action_only(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(CABINET)
    rule = """polkit.addRule(function(action, subject) {
        if (action.id == "org.kinebackup.work" && subject.user == "nobody") { return polkit.Result.YES; }
    });"""

    async def play() -> None:
        async with polkitd(bus, rule), served(bus, daemon):
            allowed = await ask(bus, "BackUpNow", "s", "")
            assert allowed.code == 0, allowed.err
            assert "not authorised" in (await ask(bus, "Eject", "s", "")).err

    asyncio.run(play())
    assert daemon.posted == [BackUpNow(NOW, "CABINET")]


def test_root_is_not_asked_about_by_polkit(bus: PrivateBus) -> None:
    daemon, ledger = RecordedDaemon(CABINET), Ledger({})

    async def play() -> None:
        async with authority(bus, ledger), served(bus, daemon):
            assert (await ask(bus, "LiftAlarm", user=0)).code == 0

    asyncio.run(play())
    assert ledger.checks == []


def test_reports_and_reloading_are_for_root_only_whatever_polkit_says(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(CABINET)
    daemon.reports["CABINET", "backup"] = REPORT
    everything: dict[str, object] = {}

    async def play() -> None:
        ledger = Ledger({f"org.kinebackup.{name}": "yes" for name in ("work", "eject", "answer", "lift-alarm")})
        async with authority(bus, ledger), served(bus, daemon):
            assert "for root only" in (await ask(bus, "LastReport", "ss", "CABINET", "backup")).err
            assert "for root only" in (await ask(bus, "Reload")).err
            assert daemon.reloads == 0
            everything["told"] = (await ask(bus, "LastReport", "ss", "CABINET", "backup", user=0)).out
            assert (await ask(bus, "Reload", user=0)).code == 0

    asyncio.run(play())
    assert '\\"files_changed\\": 2' in str(everything["told"])
    assert daemon.reloads == 1


def test_nobody_but_root_can_be_the_daemon(bus: PrivateBus) -> None:
    async def play() -> str:
        asked = await busctl(
            bus,
            "call",
            "org.freedesktop.DBus",
            "/org/freedesktop/DBus",
            "org.freedesktop.DBus",
            "RequestName",
            "su",
            "org.kinebackup.Daemon1",
            "0",
        )
        return asked.err

    assert "Access denied" in asyncio.run(play())


def test_properties_cannot_be_set_nor_other_interfaces_called(bus: PrivateBus) -> None:
    async def play() -> list[str]:
        place = ("org.kinebackup.Daemon1", "/org/kinebackup/Daemon1")
        async with served(bus, RecordedDaemon()):
            version = await busctl(bus, "get-property", *place, "org.kinebackup.Daemon1", "Version")
            changed = await busctl(bus, "set-property", *place, "org.kinebackup.Daemon1", "Version", "s", "9")
            other = await busctl(bus, "call", *place, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects")
        return [version.out, changed.err, other.err]

    version, changed, other = asyncio.run(play())
    assert version.startswith('s "')
    assert "rejected" in changed or "denied" in changed.lower()
    assert "rejected" in other or "denied" in other.lower()


# --- what is asked --------------------------------------------------------------------------------------------------


def test_everybody_may_read_status_notices_and_drives(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(EnrolledDrive("CABINET", "CABINET", Phase.BACKING_UP, JobId(7), "backup"), DOMICILE)
    daemon.active = (ActiveNotice(Notice(NoticeKind.STILL_BUSY, "CABINET", program="vi"), NOW),)

    async def play() -> list[str]:
        async with served(bus, daemon):
            return [(await ask(bus, member)).out.strip() for member in ("Status", "Notices", "Drives")]

    assert asyncio.run(play()) == [
        r's "{\"protected\": true}"',
        'a(sssusux) 1 "still-busy" "CABINET" "" 0 "vi" 0 1899048600',
        'a(ssts) 2 "CABINET" "backing up" 7 "backup" "DOMICILE" "absent" 0 ""',
    ]


def test_bad_arguments_are_errors_with_a_name_and_end_nothing(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(CABINET, DOMICILE)

    async def play() -> list[str]:
        async with served(bus, daemon):
            asked = [
                await ask(bus, "BackUpNow", "s", "NOWHERE", user=0),
                await ask(bus, "BackUpNow", "s", "DOMICILE", user=0),
                await ask(bus, "Snooze", "ssx", "no-such-kind", "", "1899052200", user=0),
                await ask(bus, "Snooze", "ssx", "plug-in", "", str(2**62), user=0),
                await ask(bus, "LastReport", "ss", "CABINET", "party", user=0),
                await ask(bus, "LastReport", "ss", "CABINET", "prune", user=0),
                await ask(bus, "BackUpNow", "u", "1", user=0),
                await ask(bus, "Format", user=0),
            ]
            assert (await ask(bus, "Status")).code == 0
        return [each.err.strip() for each in asked]

    errors = asyncio.run(play())
    assert "no drive is called 'NOWHERE'" in errors[0]
    assert "'DOMICILE' is not plugged in" in errors[1]
    assert "no-such-kind" in errors[2]
    assert "no calendar" in errors[3]
    assert "party" in errors[4]
    assert "has come to its end" in errors[5]
    assert "could not be found" in errors[6]
    assert "could not be found" in errors[7]
    assert daemon.posted == []


def test_the_interface_can_be_looked_up_with_the_names_of_its_arguments(bus: PrivateBus) -> None:
    async def play() -> str:
        async with served(bus, RecordedDaemon()):
            asked = await busctl(
                bus, "introspect", "--xml-interface", "org.kinebackup.Daemon1", "/org/kinebackup/Daemon1"
            )
            return asked.out

    told = asyncio.run(play())
    assert 'name="until_unix"' in told
    assert 'name="files_total"' in told
    assert 'signal name="JobEnded"' in told


def test_a_flood_of_requests_is_turned_away_and_others_are_heard(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(CABINET)

    async def play() -> tuple[int, int]:
        async with served(bus, daemon):
            flooding = DaemonClient(address=bus.address)
            await flooding.connect()
            asked = [asyncio.create_task(flooding.drives()) for _ in range(5_000)]
            await until(lambda: sum(each.done() for each in asked) > 1)
            assert (await ask(bus, "Status")).code == 0
            done = [each for each in asked if each.done()]
            for each in asked:
                each.cancel()
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert flooding.running, "the daemon was not thrown off the bus"
            await flooding.close()
        good = sum(isinstance(answer, tuple) for answer in answers)
        return good, len(done) - good

    good, turned_away = asyncio.run(play())
    assert 1 <= good <= BURST + 20
    assert turned_away >= 1


def test_a_flood_of_questions_about_the_interface_does_not_throw_the_daemon_off_the_bus(bus: PrivateBus) -> None:
    async def play() -> None:
        heard = Heard()
        async with served(bus, RecordedDaemon(CABINET)):
            client = DaemonClient(heard, address=bus.address)
            await client.connect()
            flooding = [await connect(bus.address) for _ in range(40)]
            question = Message(
                "org.kinebackup.Daemon1",
                "/org/kinebackup/Daemon1",
                "org.freedesktop.DBus.Introspectable",
                "Introspect",
            )
            for each in flooding:
                question.serial = 0
                sent = [asyncio.create_task(each.call(copy(question))) for _ in range(200)]
                await asyncio.sleep(0)
                for task in sent:
                    task.cancel()
            assert await client.drives() == (DriveAtWork("CABINET", "appeared"),)
            assert heard.told == []
            for each in flooding:
                await disconnect(each)
            await client.close()

    asyncio.run(play())


# --- what is told ---------------------------------------------------------------------------------------------------


class Heard(DaemonListener):
    """Keeps what was told."""

    def __init__(self) -> None:
        self.told: list[object] = []

    def notice_shown(self, notice: ActiveNotice) -> None:
        self.told.append(notice)

    def notice_withdrawn(self, kind: NoticeKind, drive: str) -> None:
        self.told.append((kind, drive))

    def phase_changed(self, drive: str, phase: str) -> None:
        self.told.append((drive, phase))

    def progressed(self, progress: JobProgress) -> None:
        self.told.append(progress)

    def job_ended(self, end: JobEnd) -> None:
        self.told.append(end)

    def daemon_came(self) -> None:
        self.told.append("came")

    def daemon_left(self) -> None:
        self.told.append("left")

    def connection_lost(self) -> None:
        self.told.append("lost")


def test_what_the_daemon_does_is_heard_by_its_clients(bus: PrivateBus) -> None:
    daemon, heard = RecordedDaemon(CABINET), Heard()

    async def play() -> None:
        async with served(bus, daemon):
            client = DaemonClient(heard, address=bus.address)
            await client.connect()
            (listener,) = daemon.listeners
            listener.phase_changed("CABINET", Phase.BACKING_UP)
            listener.progressed("CABINET", "backup", Progress(1, 10, 4096, 2**40))
            listener.job_ended("CABINET", JobId(3), "backup", "with-problems")
            listener.notice_shown(ActiveNotice(Notice(NoticeKind.SAVED_WITH_PROBLEMS, "CABINET", count=2), NOW))
            listener.notice_withdrawn(NoticeKind.PLUG_IN, "")
            await until(lambda: len(heard.told) == 5)
            await client.close()

    asyncio.run(play())
    assert heard.told == [
        ("CABINET", "backing up"),
        JobProgress("CABINET", "backup", 1, 10, 4096, 2**40),
        JobEnd("CABINET", 3, "backup", "with-problems"),
        ActiveNotice(Notice(NoticeKind.SAVED_WITH_PROBLEMS, "CABINET", count=2), NOW),
        (NoticeKind.PLUG_IN, ""),
    ]


def test_a_program_with_a_name_that_is_no_text_does_not_end_the_service(bus: PrivateBus) -> None:
    daemon, heard = RecordedDaemon(CABINET), Heard()

    async def play() -> None:
        async with served(bus, daemon):
            client = DaemonClient(heard, address=bus.address)
            await client.connect()
            odd = Notice(NoticeKind.BUSY, "CABINET", program="caf\udce9\0")
            daemon.active = (ActiveNotice(odd, NOW),)
            daemon.listeners[0].notice_shown(daemon.active[0])
            await until(lambda: bool(heard.told))
            assert await client.notices() == (heard.told[0],)
            await client.close()

    asyncio.run(play())
    assert heard.told == [ActiveNotice(Notice(NoticeKind.BUSY, "CABINET", program="caf??"), NOW)]


# --- a bus that comes and goes --------------------------------------------------------------------------------------


def test_without_a_bus_the_daemon_goes_on_and_joins_it_when_it_comes(bus: PrivateBus) -> None:
    bus.stop()
    daemon = RecordedDaemon(CABINET)

    async def play() -> None:
        service = BusService(daemon, elapsed_s=time.monotonic, address=bus.address)
        assert not await service.start()
        daemon.listeners[0].phase_changed("CABINET", Phase.MOUNTING)  # nobody hears it, and nothing breaks
        bus.start()
        await until_served(bus)
        await service.stop()

    asyncio.run(play())


async def until_served(bus: PrivateBus) -> None:
    """Until the daemon answers on that bus."""
    client = DaemonClient(address=bus.address)
    await client.connect()
    await until(lambda: client.running)
    assert json.loads(await client.status()) == {"protected": True}
    await client.close()


def test_a_bus_that_is_restarted_is_joined_again(bus: PrivateBus) -> None:
    daemon, heard = RecordedDaemon(CABINET), Heard()

    async def play() -> None:
        async with served(bus, daemon):
            client = DaemonClient(heard, address=bus.address)
            await client.connect()
            bus.stop()
            await until(lambda: "lost" in heard.told)
            await client.close()
            daemon.listeners[0].phase_changed("CABINET", Phase.MOUNTING)
            bus.start()
            await until_served(bus)

    asyncio.run(play())
    assert heard.told[-1] == "lost"


def test_a_name_that_another_has_is_taken_when_it_is_free(bus: PrivateBus) -> None:
    daemon, heard = RecordedDaemon(CABINET), Heard()

    async def play() -> None:
        other = await MessageBus(bus_address=bus.address, bus_type=BusType.SYSTEM).connect()
        assert await other.request_name("org.kinebackup.Daemon1", NameFlag.NONE) is RequestNameReply.PRIMARY_OWNER
        client = DaemonClient(heard, address=bus.address)
        await client.connect()
        service = BusService(daemon, elapsed_s=time.monotonic, address=bus.address)
        assert not await service.start()
        other.disconnect()
        await other.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library gives no annotation
        await until(lambda: heard.told == ["left", "came"])
        assert await client.drives() == (DriveAtWork("CABINET", "appeared"),)
        await service.stop()
        await until(lambda: heard.told == ["left", "came", "left"])
        await client.close()

    asyncio.run(play())


def test_a_service_that_ends_while_somebody_is_asked_for_a_password_ends_at_once(bus: PrivateBus) -> None:
    daemon, ledger = RecordedDaemon(CABINET), Ledger({"org.kinebackup.work": "never"})

    async def play() -> float:
        async with authority(bus, ledger):
            async with served(bus, daemon):
                waiting = asyncio.create_task(ask(bus, "BackUpNow", "s", "", interactive=True))
                await until(lambda: bool(ledger.checks))
                began = time.monotonic()
            took = time.monotonic() - began
            assert (await waiting).code != 0
            return took

    assert asyncio.run(play()) < 2
    assert daemon.posted == []
