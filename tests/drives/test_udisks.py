"""Asking udisks2, on a real bus on which the test plays it.

Owns: that udisks2, with a drive of its own. Does not know: the real one; the virtual machine's tests have it.
"""

import asyncio
import os
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
from dbus_fast import Message, Variant
from dbus_fast.aio import MessageBus
from support.waiting import until

from kinebackup.drives.udisks import power_off, unmount_by_udisks

pytestmark = pytest.mark.root

BUSY = "org.freedesktop.UDisks2.Error.DeviceBusy"
BLOCKS = "/org/freedesktop/UDisks2/block_devices"
DRIVE = "/org/freedesktop/UDisks2/drives/Disque"


@dataclass
class PlayedUdisks:
    """``mounts``: how often /dev/sdq1 is mounted. /dev/dm-7 is what is unlocked in it. ``refusals``: by method."""

    mounts: int = 0
    refusals: dict[str, str] = field(default_factory=dict)
    silent: bool = False
    has_drive: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)
    options: list[object] = field(default_factory=list)

    def answer(self, message: Message) -> Message | bool:
        if not (message.interface or "").startswith(("org.freedesktop.UDisks2", "org.freedesktop.DBus.Properties")):
            return False
        if self.silent:
            return True
        return self._answered(message)

    def _answered(self, message: Message) -> Message:
        path, member = message.path or "", message.member or ""
        if member == "ResolveDevice":
            node = str(message.body[0]["path"].value)
            known = node in ("/dev/sdq1", "/dev/dm-7")
            paths = [f"{BLOCKS}/{os.path.basename(node).replace('-', '_2d')}"] if known else []
            return Message.new_method_return(message, "ao", [paths])
        if member == "Get":
            return self._property(message, path, str(message.body[1]))
        self.asked.append((os.path.basename(path), member))
        self.options.append(message.body[0])
        if member in self.refusals:
            return Message.new_error(message, self.refusals[member], "no")
        if member == "Unmount":
            self.mounts -= 1
        return Message.new_method_return(message)

    def _property(self, message: Message, path: str, name: str) -> Message:
        inner = path.endswith("dm_2d7")
        match name:
            case "MountPoints":
                value = Variant("aay", [b"/media/x\0"] * self.mounts)
            case "CryptoBackingDevice":
                value = Variant("o", f"{BLOCKS}/sdq1" if inner else "/")
            case "Drive":
                value = Variant("o", DRIVE if self.has_drive and not inner else "/")
            case _:
                return Message.new_error(message, "org.freedesktop.DBus.Error.InvalidArgs", "no")
        return Message.new_method_return(message, "v", [value])


@pytest.fixture
def address() -> Iterator[str]:
    process = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--nopidfile", "--print-address=1"], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield process.stdout.readline().strip()
    process.terminate()
    process.communicate()


@contextmanager
def playing(udisks: PlayedUdisks, address: str) -> Iterator[None]:
    """In a thread of its own: what asks it blocks."""
    ready, stop = threading.Event(), threading.Event()

    async def play() -> None:
        bus = await MessageBus(address).connect()
        bus.add_message_handler(udisks.answer)
        await bus.request_name("org.freedesktop.UDisks2")
        ready.set()
        await until(stop.is_set, within_s=60)
        bus.disconnect()
        await bus.wait_for_disconnect()  # type: ignore[no-untyped-call]  # the library's own

    thread = threading.Thread(target=lambda: asyncio.run(play()))
    thread.start()
    assert ready.wait(10)
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_without_a_bus_nothing_is_done_and_nothing_fails() -> None:
    nowhere = "unix:path=/nonexistent/bus"
    assert unmount_by_udisks("/dev/sdq1", address=nowhere) is False
    assert asyncio.run(power_off("/dev/sdq1", address=nowhere)) is False


def test_without_udisks_nothing_is_done_and_nothing_fails(address: str) -> None:
    assert unmount_by_udisks("/dev/sdq1", address=address) is False
    assert asyncio.run(power_off("/dev/sdq1", address=address)) is False


def test_an_udisks_that_never_answers_is_not_waited_for(address: str) -> None:
    with playing(PlayedUdisks(silent=True), address):
        start = time.monotonic()
        assert unmount_by_udisks("/dev/sdq1", address=address, timeout_s=0.3) is False
        assert asyncio.run(power_off("/dev/sdq1", address=address, timeout_s=0.3)) is False
        assert time.monotonic() - start < 5


def test_a_device_that_udisks_does_not_know_is_left_alone(address: str) -> None:
    udisks = PlayedUdisks()
    with playing(udisks, address):
        assert unmount_by_udisks("/dev/sdz9", address=address) is False
        assert asyncio.run(power_off("/dev/sdz9", address=address)) is False
    assert udisks.asked == []


def test_a_drive_is_unmounted_as_often_as_it_is_mounted_and_nobody_is_asked(address: str) -> None:
    udisks = PlayedUdisks(mounts=2)
    with playing(udisks, address):
        assert unmount_by_udisks("/dev/sdq1", address=address) is True
    assert udisks.asked == [("sdq1", "Unmount"), ("sdq1", "Unmount")]
    assert udisks.options[0] == {"auth.no_user_interaction": Variant("b", True)}


def test_a_drive_that_is_not_mounted_is_unmounted_already(address: str) -> None:
    udisks = PlayedUdisks()
    with playing(udisks, address):
        assert unmount_by_udisks("/dev/sdq1", address=address) is True
    assert udisks.asked == []


def test_a_busy_drive_stays_mounted(address: str) -> None:
    udisks = PlayedUdisks(mounts=1, refusals={"Unmount": BUSY})
    with playing(udisks, address):
        assert unmount_by_udisks("/dev/sdq1", address=address) is False
    assert udisks.asked == [("sdq1", "Unmount")]


def test_a_drive_is_powered_off(address: str) -> None:
    udisks = PlayedUdisks()
    with playing(udisks, address):
        assert asyncio.run(power_off("/dev/sdq1", address=address)) is True
    assert udisks.asked == [("Disque", "PowerOff")]


def test_what_was_unlocked_is_locked_before_the_drive_is_powered_off(address: str) -> None:
    udisks = PlayedUdisks()
    with playing(udisks, address):
        assert asyncio.run(power_off("/dev/dm-7", address=address)) is True
    assert udisks.asked == [("sdq1", "Lock"), ("Disque", "PowerOff")]


def test_a_drive_that_cannot_be_locked_is_not_powered_off(address: str) -> None:
    udisks = PlayedUdisks(refusals={"Lock": BUSY})
    with playing(udisks, address):
        assert asyncio.run(power_off("/dev/dm-7", address=address)) is False
    assert udisks.asked == [("sdq1", "Lock")]


def test_a_bridge_that_refuses_is_no_failure(address: str) -> None:
    with playing(PlayedUdisks(refusals={"PowerOff": "org.freedesktop.UDisks2.Error.Failed"}), address):
        assert asyncio.run(power_off("/dev/sdq1", address=address)) is False


def test_a_device_that_belongs_to_no_drive_cannot_be_powered_off(address: str) -> None:
    udisks = PlayedUdisks(has_drive=False)
    with playing(udisks, address):
        assert asyncio.run(power_off("/dev/sdq1", address=address)) is False
    assert udisks.asked == []
