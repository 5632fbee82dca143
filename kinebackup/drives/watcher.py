"""Which filesystems on USB drives are here, come and go.

Owns: udev's monitor, what was seen so far, and that nothing is missed or told twice. Does not know: which of them are
the practice's, or what follows.

The events of udev say where to look, never what is there: that is read from sysfs and udev's database by the same code
as when a drive is enrolled, so that a drive is recognised by what was written down of it.
"""

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyudev

from kinebackup.drives.block_device import read_device
from kinebackup.drives.system import System
from kinebackup.policy.target_facts import DeviceFacts

_BUFFER_BYTES: Final = 8 * 1024 * 1024
_FILESYSTEM: Final = "filesystem"  # libblkid's ID_FS_USAGE; a locked LUKS container is "crypto"


@dataclass(frozen=True, slots=True)
class UsbFilesystem:
    """A filesystem on a USB drive. ``disk_sequence`` is the drive's, not used twice since the computer started."""

    node: str
    fs_uuid: str
    part_uuid: str
    serial: str
    disk_sequence: int
    filesystem: str
    size_bytes: int
    model: str


@dataclass(frozen=True, slots=True)
class Seen:
    """One thing that happened."""

    what: Literal["appeared", "changed", "vanished"]
    device: UsbFilesystem


def is_usb(facts: DeviceFacts) -> bool:
    """Every disk below the filesystem hangs on USB, and on this computer's own."""
    return facts.usb and not facts.networked


class DriveWatcher:
    """``start``, then ``read`` whenever ``fileno`` is readable."""

    def __init__(
        self,
        system: System | None = None,
        *,
        accept: Callable[[DeviceFacts], bool] = is_usb,
        source: Literal["udev", "kernel"] = "udev",
    ) -> None:
        """``source`` "kernel": also where udev does not run; then only what mkfs left in udev's database is known."""
        self._system = system or System()
        self._accept = accept
        self._source = source
        self._context = pyudev.Context()
        self._monitor: Any = None  # pyudev has no types
        self._here: dict[str, UsbFilesystem] = {}

    def start(self) -> list[UsbFilesystem]:
        """What is here already. The monitor listens before that is looked up, so that nothing falls in between."""
        self._monitor = pyudev.Monitor.from_netlink(self._context, source=self._source)
        self._monitor.filter_by("block")
        with suppress(OSError):  # only root may; then a storm of events costs a scan
            self._monitor.set_receive_buffer_size(_BUFFER_BYTES)
        self._monitor.start()
        return [seen.device for seen in self.rescan()]

    def fileno(self) -> int:
        """Readable when there is something to ``read``."""
        return int(self._monitor.fileno())

    def read(self) -> list[Seen]:
        """Everything that has happened since. Does not wait."""
        seen: list[Seen] = []
        while True:
            try:
                device = self._monitor.poll(timeout=0)
            except OSError:  # ENOBUFS: the kernel dropped events
                seen.extend(self.rescan())
                continue
            if device is None:
                return seen
            seen.extend(self._about(device))

    def rescan(self) -> list[Seen]:
        """Compare with what is really there: at the start, after sleep, and after events were lost."""
        found: dict[str, UsbFilesystem] = {}
        for device in self._context.list_devices(subsystem="block"):
            filesystem = self._look(device)
            if filesystem is not None:
                found[_number(device)] = filesystem
        seen: list[Seen] = []
        for number in [*self._here, *(number for number in found if number not in self._here)]:
            seen.extend(self._now(number, found.get(number)))
        # A removal that was missed comes before the drive that took the place (see daemon/events.py).
        return sorted(seen, key=lambda each: each.what != "vanished")

    def close(self) -> None:
        """Hear nothing more."""
        self._monitor = None

    def _about(self, device: Any) -> Iterator[Seen]:
        gone = device.action == "remove"
        yield from self._now(_number(device), None if gone else self._look(device))

    def _now(self, number: str, current: UsbFilesystem | None) -> Iterator[Seen]:
        before = self._here.pop(number, None)
        if current is not None:
            self._here[number] = current
        if before is None:
            if current is not None:
                yield Seen("appeared", current)
        elif current is None:
            yield Seen("vanished", before)
        elif (before.disk_sequence, before.node) != (current.disk_sequence, current.node):
            yield Seen("vanished", before)
            yield Seen("appeared", current)
        elif before != current:
            yield Seen("changed", current)

    def _look(self, device: Any) -> UsbFilesystem | None:
        if _text(device, "ID_FS_USAGE") != _FILESYSTEM:
            return None
        facts = read_device(self._system, _number(device))
        if facts is None or not self._accept(facts):
            return None
        return UsbFilesystem(
            node=facts.node,
            fs_uuid=facts.filesystem_uuid,
            part_uuid=facts.partition_uuid,
            serial=facts.serial,
            disk_sequence=facts.disk_sequence,
            filesystem=_text(device, "ID_FS_TYPE"),
            size_bytes=facts.size_bytes,
            model=facts.model,
        )


def _number(device: Any) -> str:
    """MAJOR:MINOR, as sysfs writes it."""
    return f"{_text(device, 'MAJOR')}:{_text(device, 'MINOR')}"


def _text(device: Any, name: str) -> str:
    """A property, or nothing: a hostile drive may have a label that is no text."""
    try:
        return str(device.properties.get(name, ""))
    except (UnicodeDecodeError, ValueError):
        return ""
