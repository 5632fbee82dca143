"""What the kernel and udev know of a block device.

Owns: reading sysfs, the links of /dev/disk and the database of udev. Does not know: mounts, or what makes a drive good.

Nothing here needs udev to run: its database and links are used where they are, and sysfs says the essential. A USB
drive is one with a USB ancestor: ``ID_BUS`` is "ata" behind some bridges and ``removable`` is 0 on most USB disks.
"""

import fcntl
import os
import re
import struct
from collections.abc import Iterator, Mapping
from typing import Final

from kinebackup.drives.system import System
from kinebackup.policy.target_facts import DeviceFacts

SECTOR_BYTES: Final = 512  # of sysfs, whatever the disk's own sectors are
_MAX_LAYERS: Final = 8  # LUKS on LVM on RAID is 3

_NETWORKED: Final = re.compile(r"nbd\d|rbd\d|drbd\d")
_USB_OVER_IP: Final = "/vhci_hcd"
_ESCAPE: Final = re.compile(r"\\x([0-9a-fA-F]{2})")

# linux/fs.h: FS_IOC_GETFSUUID (since 6.9) and FS_IOC_GETFSLABEL (since 4.18)
_GET_UUID: Final = 0x80111500
_GET_LABEL: Final = 0x81009431


def number_of_node(system: System, node: str) -> str | None:
    """MAJOR:MINOR of a resolved /dev path, or None where it is no block device."""
    if os.path.dirname(node) != "/dev":
        return None
    number = _attribute(system, f"/sys/class/block/{os.path.basename(node)}/dev")
    return number or None


def read_device(system: System, number: str, *, mount_point: str = "") -> DeviceFacts | None:
    """The facts of the device MAJOR:MINOR, mounted at ``mount_point`` if at all; None where there is none."""
    directory = _real(system, f"/sys/dev/block/{number}")
    if directory is None:
        return None
    disks = _disks(system, directory)
    usb_devices = [_usb_ancestor(system, disk) for disk in disks]
    uevent = _properties(system, f"{directory}/uevent", "")
    udev = udev_properties(system, number)
    node = f"/dev/{uevent.get('DEVNAME', os.path.basename(directory))}"
    uuid, label = _asked_of_filesystem(system, mount_point, number)
    first_disk = disks[0]
    return DeviceFacts(
        number=number,
        node=node,
        disks=tuple(os.path.basename(disk) for disk in disks),
        usb=all(device is not None for device in usb_devices),
        networked=any(_NETWORKED.match(os.path.basename(disk)) or _USB_OVER_IP in disk for disk in disks),
        removable=all(_attribute(system, f"{disk}/removable") == "1" for disk in disks),
        read_only=_attribute(system, f"{directory}/ro") == "1",
        size_bytes=_number(system, f"{directory}/size") * SECTOR_BYTES,
        filesystem_uuid=udev.get("ID_FS_UUID") or _link_to(system, "by-uuid", node) or uuid,
        partition_uuid=udev.get("ID_PART_ENTRY_UUID")
        or _link_to(system, "by-partuuid", node)
        or uevent.get("PARTUUID", ""),
        label=_unescape(udev.get("ID_FS_LABEL_ENC", "")) or _link_to(system, "by-label", node) or label,
        serial=_serial(system, usb_devices[0], first_disk, udev),
        model=_model(system, first_disk, udev),
        disk_sequence=_number(system, f"{first_disk}/diskseq"),
    )


def udev_properties(system: System, number: str) -> Mapping[str, str]:
    """udev's properties of the device MAJOR:MINOR; none where udev does not run."""
    return _properties(system, f"/run/udev/data/b{number}", "E:")


def disk_names(system: System, number: str) -> tuple[str, ...]:
    """The names of the whole disks below a device; none where the kernel has no such device."""
    directory = _real(system, f"/sys/dev/block/{number}")
    return () if directory is None else tuple(os.path.basename(disk) for disk in _disks(system, directory))


def backing_files(system: System, number: str) -> tuple[str, ...]:
    """The image files below a device: of the loop devices it is made of."""
    directory = _real(system, f"/sys/dev/block/{number}")
    disks = () if directory is None else _disks(system, directory)
    files = (_attribute(system, f"{disk}/loop/backing_file") for disk in disks)
    return tuple(file for file in files if file.startswith("/"))


def _disks(system: System, directory: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_disks_below(system, directory))) or (directory,)


def _disks_below(system: System, directory: str, layers: int = _MAX_LAYERS) -> Iterator[str]:
    """The sysfs directories of the whole disks on which this device lies."""
    if system.mode(f"{directory}/partition"):
        yield from _disks_below(system, os.path.dirname(directory), layers)
        return
    try:
        slaves = system.names(f"{directory}/slaves")
    except OSError:
        slaves = []
    if not slaves or not layers:
        yield directory
        return
    for slave in slaves:
        below = _real(system, f"{directory}/slaves/{slave}")
        if below is not None:
            yield from _disks_below(system, below, layers - 1)


def _usb_ancestor(system: System, directory: str) -> str | None:
    """The nearest ancestor that is on a USB bus, as its ``subsystem`` link says."""
    while len(directory) > len("/sys/devices"):
        try:
            subsystem = os.readlink(system.path(f"{directory}/subsystem"))
        except OSError:
            subsystem = ""
        if os.path.basename(subsystem) == "usb":
            return directory
        directory = os.path.dirname(directory)
    return None


def _serial(system: System, usb_device: str | None, disk: str, udev: Mapping[str, str]) -> str:
    """That of the USB device first: it is the same with udev and without, so it may identify a drive."""
    directory = usb_device or ""
    # The nearest ancestor is the interface (1-2:1.0); the device that has the serial number is its parent.
    for candidate in (directory, os.path.dirname(directory), disk, f"{disk}/device"):
        if candidate and (serial := _attribute(system, f"{candidate}/serial")):
            return serial
    return udev.get("ID_SERIAL_SHORT", "")


def _model(system: System, disk: str, udev: Mapping[str, str]) -> str:
    vendor, model = (_attribute(system, f"{disk}/device/{name}") for name in ("vendor", "model"))
    # vendor is a PCI number (0x1af4) for disks that have no name for it
    name = f"{vendor} {model}" if vendor and not vendor.startswith("0x") else model
    return " ".join((name if model else _unescape(udev.get("ID_MODEL_ENC", ""))).split())


def _link_to(system: System, kind: str, node: str) -> str:
    """The name under /dev/disk/KIND of the link that leads to this device."""
    try:
        for name in system.names(f"/dev/disk/{kind}"):
            if os.path.basename(os.readlink(system.path(f"/dev/disk/{kind}/{name}"))) == os.path.basename(node):
                return _unescape(name)
    except OSError:
        return ""
    return ""


def _asked_of_filesystem(system: System, mount_point: str, number: str) -> tuple[str, str]:
    """UUID and label, from the mounted filesystem itself. Empty where it has none, or does not answer."""
    if not mount_point:
        return "", ""
    try:
        fd = os.open(system.path(mount_point), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return "", ""
    try:
        device = os.fstat(fd).st_dev
        if f"{os.major(device)}:{os.minor(device)}" != number:
            return "", ""  # something else is mounted there by now
        return _filesystem_uuid(fd), _filesystem_label(fd)
    finally:
        os.close(fd)


def _filesystem_uuid(fd: int) -> str:
    try:
        answer = fcntl.ioctl(fd, _GET_UUID, bytes(17))
    except OSError:
        return ""
    length, digits = answer[0], answer[1:].hex()
    if length != 16:
        return ""
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


def _filesystem_label(fd: int) -> str:
    try:
        answer = fcntl.ioctl(fd, _GET_LABEL, bytes(256))
    except OSError:
        return ""
    (label,) = struct.unpack("256s", answer)
    return os.fsdecode(label.split(b"\0", 1)[0])


def _properties(system: System, path: str, prefix: str) -> dict[str, str]:
    """The KEY=value lines that begin with ``prefix``, without it."""
    try:
        text = system.read_text(path) or ""
    except OSError:
        return {}
    lines = (line.removeprefix(prefix) for line in text.split("\n") if line.startswith(prefix))
    return dict(line.split("=", 1) for line in lines if "=" in line)


def _attribute(system: System, path: str) -> str:
    try:
        return (system.read_text(path) or "").strip()
    except OSError:  # gone, or a disk that answers with errors: nothing is known
        return ""


def _number(system: System, path: str) -> int:
    text = _attribute(system, path)
    return int(text) if text.isdigit() else 0


def _real(system: System, path: str) -> str | None:
    """The sysfs directory behind a link of sysfs, within the system."""
    real = os.path.realpath(system.path(path))
    if not os.path.isdir(real):
        return None
    root = os.path.realpath(system.root)
    return real if root == "/" else real.removeprefix(root)


def _unescape(name: str) -> str:
    r"""What udev wrote as \x20, as it was. Its escapes are bytes of UTF-8."""
    plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)), name)
    if plain == name:
        return name
    try:
        return plain.encode("latin-1").decode()
    except UnicodeError:
        return plain
