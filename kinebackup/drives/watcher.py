"""Filesystems on USB drives: which are plugged in, and which appear, change or vanish.

Owns: udev's monitor, the known devices, and that no change is missed or reported twice. Does not know: which of them
are enrolled, or what follows.

An event only says which device to read again. The facts come from sysfs and udev's database, by the same code as at
enrolling, so that a drive is recognised by what was recorded of it then. Only a removal is taken from the event itself,
since sysfs may list the device a moment longer; its disk sequence tells it from the device that took its place.
"""

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

from kinebackup.drives.block_device import read_device, udev_properties
from kinebackup.drives.filesystem_state import Signature, probe
from kinebackup.drives.system import System
from kinebackup.policy.target_facts import DeviceFacts

EventSource = Literal["udev", "kernel"]

_BUFFER_BYTES: Final = 8 * 1024 * 1024
_MAX_FORGOTTEN: Final = 100_000  # events to drop at once: a program that causes them even faster must not block us
_FILESYSTEM: Final = "filesystem"  # libblkid's ID_FS_USAGE; a locked LUKS container is "crypto"


@dataclass(frozen=True, slots=True)
class UsbFilesystem:
    """A filesystem on a USB drive. ``disk_sequence`` is the drive's, not used twice since the computer started.

    Texts may hold surrogates: they come from the drive.
    """

    node: str
    fs_uuid: str
    part_uuid: str
    serial: str
    disk_sequence: int
    filesystem: str
    size_bytes: int
    model: str


@dataclass(frozen=True, slots=True)
class DriveChange:
    """A filesystem appeared, changed or vanished."""

    kind: Literal["appeared", "changed", "vanished"]
    device: UsbFilesystem


@dataclass(frozen=True, slots=True)
class _Known:
    """``own_sequence`` is that of a mapping itself, where the filesystem lies on one."""

    device: UsbFilesystem
    own_sequence: int


def is_usb(facts: DeviceFacts) -> bool:
    """Whether every disk below the filesystem is on a USB bus of this computer, not on one over the network."""
    return facts.usb and not facts.networked


class DriveWatcher:
    """``start``, then ``read`` whenever ``fileno`` is readable."""

    def __init__(
        self,
        system: System | None = None,
        *,
        accept: Callable[[DeviceFacts], bool] = is_usb,
        source: EventSource = "udev",
    ) -> None:
        """``source`` "kernel" is for computers without udev: events come before udev would know the device."""
        self._system = system or System()
        self._accept = accept
        self._source = source
        self._context: Any = None  # pyudev has no types
        self._monitor: Any = None
        self._socket: socket.socket | None = None
        self._here: dict[str, _Known] = {}

    def start(self) -> list[UsbFilesystem]:
        """The devices that are plugged in. The monitor starts first, so that no change falls in between."""
        import pyudev

        self._context = pyudev.Context()
        self._monitor = pyudev.Monitor.from_netlink(self._context, source=self._source)
        self._monitor.filter_by("block")
        with suppress(OSError):  # only a network administrator may; without it, a storm of events costs a scan
            self._monitor.set_receive_buffer_size(_BUFFER_BYTES)
        self._monitor.start()
        self._socket = socket.socket(fileno=os.dup(self._monitor.fileno()))
        return [change.device for change in self.rescan()]

    def fileno(self) -> int:
        """Readable when there is something to ``read``."""
        return int(self._monitor.fileno())

    def read(self) -> list[DriveChange]:
        """The changes since the last call. Does not block."""
        changes: list[DriveChange] = []
        while True:
            try:
                event = self._monitor.poll(timeout=0)
            except OSError:  # ENOBUFS: the kernel dropped events
                return changes + self.rescan()
            if event is None:
                return changes
            changes += self._about(event)

    def rescan(self) -> list[DriveChange]:
        """Compare with sysfs: at the start, after sleep, and after events were lost.

        Unread events are dropped first: a removal among them could be that of a device that is plugged in again.
        """
        self._drop_events()
        found: dict[str, _Known] = {}
        for device in self._context.list_devices(subsystem="block"):
            number = _number(device)
            if (known := self._look(number)) is not None:
                found[number] = known
        changes: list[DriveChange] = []
        for number in [*self._here, *(number for number in found if number not in self._here)]:
            changes += self._now(number, found.get(number))
        # A removal that was missed comes before the drive that took the place.
        return sorted(changes, key=lambda each: (each.kind != "vanished", each.device.node))

    def here(self) -> list[UsbFilesystem]:
        """The devices as of the last ``read`` or ``rescan``."""
        return [known.device for known in self._here.values()]

    def close(self) -> None:
        """Stop listening."""
        if self._socket is not None:
            self._socket.close()
        self._monitor = self._socket = None

    def _drop_events(self) -> None:
        for _event in range(_MAX_FORGOTTEN):
            try:
                if self._monitor.poll(timeout=0) is None:
                    return
            except OSError:
                # pyudev does not read from a socket with an error, and only reading, or this, takes the error away.
                if self._socket is not None:
                    self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)

    def _about(self, event: Any) -> Iterable[DriveChange]:
        number, sequence = _number(event), _sequence(event)
        changes: list[DriveChange] = []
        if event.action != "remove":
            changes += self._now(number, self._look(number))
        # A lower sequence is a late event of the disk that had this number before.
        elif number in self._here and (not sequence or sequence >= self._here[number].own_sequence):
            changes += self._now(number, None)
        for each, known in list(self._here.items()):
            if each != number and known.own_sequence != known.device.disk_sequence:
                # A mapping, which stays when the disk below it is pulled, without an event of its own.
                is_pulled = event.action == "remove" and sequence == known.device.disk_sequence and _is_disk(event)
                changes += self._now(each, None if is_pulled else self._look(each))
        return changes

    def _now(self, number: str, current: _Known | None) -> Iterator[DriveChange]:
        before = self._here.pop(number, None)
        if current is not None:
            self._here[number] = current
        if before is None:
            if current is not None:
                yield DriveChange("appeared", current.device)
        elif current is None:
            yield DriveChange("vanished", before.device)
        elif _place(before) != _place(current):
            yield DriveChange("vanished", before.device)
            yield DriveChange("appeared", current.device)
        elif before != current:
            yield DriveChange("changed", current.device)

    def _look(self, number: str) -> _Known | None:
        facts = read_device(self._system, number)
        if facts is None or not self._accept(facts):
            return None
        signature = self._signature(facts)
        if signature is None or signature.usage != _FILESYSTEM:
            return None
        device = UsbFilesystem(
            node=facts.node,
            fs_uuid=facts.filesystem_uuid or signature.uuid,
            part_uuid=facts.partition_uuid,
            serial=facts.serial,
            disk_sequence=facts.disk_sequence,
            filesystem=signature.filesystem,
            size_bytes=facts.size_bytes,
            model=facts.model,
        )
        return _Known(device, self._own_sequence(number) or facts.disk_sequence)

    def _signature(self, facts: DeviceFacts) -> Signature | None:
        """By udev, which has probed each device before it sends an event; where it does not run, by blkid(8)."""
        udev = udev_properties(self._system, facts.number)
        if udev:
            return Signature(udev.get("ID_FS_TYPE", ""), udev.get("ID_FS_USAGE", ""), udev.get("ID_FS_UUID", ""))
        if os.path.isdir(self._system.path("/run/udev/data")):
            return None  # udev is still probing it, and will send an event
        return probe(facts.node) if facts.size_bytes else None

    def _own_sequence(self, number: str) -> int:
        for path in (f"/sys/dev/block/{number}/diskseq", f"/sys/dev/block/{number}/../diskseq"):
            with suppress(OSError):
                text = (self._system.read_text(path) or "").strip()
                if text.isdigit():
                    return int(text)
        return 0


def _place(known: _Known) -> tuple[str, int, int]:
    return known.device.node, known.device.disk_sequence, known.own_sequence


def _number(device: Any) -> str:
    """MAJOR:MINOR, as sysfs writes it."""
    return f"{_text(device, 'MAJOR')}:{_text(device, 'MINOR')}"


def _sequence(event: Any) -> int:
    text = _text(event, "DISKSEQ")
    return int(text) if text.isascii() and text.isdigit() else 0


def _is_disk(event: Any) -> bool:
    return _text(event, "DEVTYPE") == "disk"


def _text(device: Any, name: str) -> str:
    """A property, or nothing."""
    return str(device.properties.get(name, ""))
