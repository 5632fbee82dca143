"""The client on a real bus where no daemon is, where a stranger pretends to be it, and where it does not answer."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from dbus_fast import BusType, Message, MessageType
from dbus_fast.aio import MessageBus
from support.bus.private_bus import PrivateBus, private_bus
from support.bus.recorded_daemon import RecordedDaemon
from support.waiting import until

from kinebackup.bus.client import DaemonAbsent, DaemonClient, DaemonListener
from kinebackup.bus.query import daemon_is_running, drives_at_a_glance, status_from_daemon, tell_daemon_to_reload
from kinebackup.bus.values import DriveAtWork
from kinebackup.daemon.bus_service import BusService
from kinebackup.daemon.ports import EnrolledDrive
from kinebackup.errors import KineError
from kinebackup.policy.phases import Phase


@pytest.fixture
def bus() -> Iterator[PrivateBus]:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root may own the daemon's name")
    with private_bus() as made:
        yield made


class Phases(DaemonListener):
    """Keeps the phases that were told."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def phase_changed(self, drive: str, phase: str) -> None:
        self.told.append((drive, phase))


def test_where_there_is_no_bus_the_answer_comes_at_once(tmp_path: Path) -> None:
    nowhere = f"unix:path={tmp_path / 'nothing'}"
    began = time.monotonic()
    assert not daemon_is_running(nowhere)
    assert drives_at_a_glance(nowhere) is None
    assert status_from_daemon(nowhere) is None
    tell_daemon_to_reload(nowhere)
    assert time.monotonic() - began < 2  # of each of these, a running service would be given more


def test_a_socket_that_nobody_listens_to_is_no_bus(tmp_path: Path) -> None:
    dead = tmp_path / "socket"
    dead.touch()
    assert not daemon_is_running(f"unix:path={dead}")
    assert not daemon_is_running("unix:abstract=kinebackup-test-nobody-listens-here")
    assert not daemon_is_running("no address at all")
    tell_daemon_to_reload(f"unix:path={dead}")


def test_a_client_without_a_bus_says_that_the_service_does_not_run(tmp_path: Path) -> None:
    async def play() -> str:
        client = DaemonClient(address=f"unix:path={tmp_path / 'nothing'}")
        with pytest.raises(DaemonAbsent) as raised:
            await client.connect()
        with pytest.raises(DaemonAbsent):
            await client.status()
        await client.close()
        return raised.value.message

    assert asyncio.run(play()) == "the KineBackup service does not run"


@pytest.mark.root
def test_a_bus_without_the_daemon_is_told_from_one_with_it(bus: PrivateBus) -> None:
    daemon = RecordedDaemon(EnrolledDrive("CABINET", "CABINET", Phase.SAFE))

    async def play() -> list[object]:
        before = await asyncio.to_thread(daemon_is_running, bus.address)
        service = BusService(daemon, elapsed_s=time.monotonic, address=bus.address)
        assert await service.start()
        during = [
            await asyncio.to_thread(daemon_is_running, bus.address),
            await asyncio.to_thread(drives_at_a_glance, bus.address),
            await asyncio.to_thread(status_from_daemon, bus.address),
        ]
        await asyncio.to_thread(tell_daemon_to_reload, bus.address)
        await service.stop()
        return [before, *during, await asyncio.to_thread(daemon_is_running, bus.address)]

    assert asyncio.run(play()) == [
        False,
        True,
        (DriveAtWork("CABINET", "safe to unplug"),),
        '{"protected": true}',
        False,
    ]
    assert daemon.reloads == 1


@pytest.mark.root
def test_signals_of_a_stranger_are_not_believed(bus: PrivateBus) -> None:
    """Whoever is on the bus may send a signal straight to another client, past that one's rules."""
    heard = Phases()

    async def play() -> None:
        service = BusService(RecordedDaemon(), elapsed_s=time.monotonic, address=bus.address)
        assert await service.start()
        client = DaemonClient(heard, address=bus.address)
        await client.connect()
        stranger = await MessageBus(bus_address=bus.address, bus_type=BusType.SYSTEM).connect()
        target = client._bus  # where the stranger sends it, a number it can guess
        assert target is not None
        for member, signature, body in (
            ("PhaseChanged", "ss", ["CABINET", "safe to unplug"]),
            ("NameOwnerChanged", "sss", ["org.kinebackup.Daemon1", "", stranger.unique_name]),
            ("PhaseChanged", "ss", ["CABINET", "safe to unplug"]),
        ):
            await stranger.send(
                Message(
                    destination=target.unique_name,
                    message_type=MessageType.SIGNAL,
                    path="/org/kinebackup/Daemon1",
                    interface="org.kinebackup.Daemon1" if member == "PhaseChanged" else "org.freedesktop.DBus",
                    member=member,
                    signature=signature,
                    body=body,
                )
            )
        service.phase_changed("CABINET", Phase.STUCK)
        await until(lambda: bool(heard.told))
        stranger.disconnect()
        await stranger.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library gives no annotation
        await client.close()
        await service.stop()

    asyncio.run(play())
    assert heard.told == [("CABINET", "stuck")]


@pytest.mark.root
def test_a_daemon_that_cannot_say_how_things_stand_is_an_error_with_its_words(bus: PrivateBus) -> None:
    class Damaged(RecordedDaemon):
        def status_document(self) -> dict[str, object]:
            raise KineError("the memory of this computer is damaged")

    async def play() -> str:
        service = BusService(Damaged(), elapsed_s=time.monotonic, address=bus.address)
        assert await service.start()
        client = DaemonClient(address=bus.address)
        await client.connect()
        with pytest.raises(KineError) as raised:
            await client.status()
        await client.close()
        await service.stop()
        return raised.value.message

    assert "the memory of this computer is damaged" in asyncio.run(play())
