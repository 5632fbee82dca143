"""The facts about a path, on which a verdict rests.

Owns: the values. Does not know: how they are read (drives/ does that), nor what follows from them (targets.py).

Every path is absolute and resolved: no symbolic link is left in it, and it says where the bytes really go.
"""

from dataclasses import dataclass
from typing import Literal

Unmounted = Literal[
    "",  # it is mounted, or it is no device
    "filesystem",  # a filesystem that can be mounted
    "unknown",  # that cannot be told: neither udev nor this user knows
    "locked",  # an encrypted container that nobody has unlocked
    "nothing",  # no filesystem that KineBackup knows of
    "several",  # a disk with more than one filesystem
]
"""What is known of a device without looking into it."""

# A network filesystem is none of these: it is recognised as a CloudMatch of kind "network".
MountKind = Literal[
    "disk",  # a filesystem on a block device, or a local one without (virtiofs, zfs): the device facts say more
    "local-fuse",  # a FUSE filesystem known to keep its files on this computer (bindfs, gocryptfs…)
    "fuse",  # any other FUSE filesystem: where the files go cannot be told
    "memory",  # tmpfs, ramfs: gone with the power
    "overlay",  # a layered filesystem, as in containers and live systems
    "pseudo",  # proc, sysfs…: no place for files
]


@dataclass(frozen=True, slots=True)
class CloudMatch:
    """A service that takes, or may take, the files of ``path`` elsewhere.

    ``kind`` is "network" for a share of another computer. ``certain`` is False where the service is installed but what
    it synchronises could not be read; ``service`` is empty where that is a whole home, in which any client may be.
    ``evidence`` is what gave it away: a file, a marker, a mount type.
    """

    service: str
    kind: Literal["cloud", "network"]
    path: str
    evidence: str
    certain: bool


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """A block device, as the kernel describes it. Texts are empty and sizes 0 where nothing is known.

    ``disks`` are the names of the whole disks below it, through partitions, LUKS, LVM and RAID. ``usb`` needs every
    one of them to have a USB ancestor. ``networked`` disks are elsewhere: nbd, rbd, drbd, USB over IP.
    """

    number: str  # MAJOR:MINOR
    node: str  # /dev/…
    disks: tuple[str, ...]
    usb: bool
    networked: bool
    removable: bool
    read_only: bool
    size_bytes: int
    filesystem_uuid: str
    partition_uuid: str
    label: str
    serial: str
    model: str
    disk_sequence: int  # DISKSEQ: never used twice since this computer started


@dataclass(frozen=True, slots=True)
class TargetFacts:
    """A place that may become a target, or be restored into.

    ``aliases`` are further paths of the same bytes: other mounts of the same directory, the image file below a loop
    device, the folder below a FUSE or overlay filesystem. ``top_level`` is None where it was not read: the place does
    not exist, is not a folder, may not be read, or lies on a network filesystem, which is never touched.
    ``device`` is None on filesystems without one; where a whole disk was asked for, it is the one partition that holds
    a filesystem, or what is unlocked in it. ``unclear`` are the services of this computer whose folders could not be
    read.
    """

    requested: str
    path: str
    aliases: tuple[str, ...]
    exists: bool
    is_directory: bool
    top_level: tuple[str, ...] | None
    repository: Literal["absent", "directory", "not-a-directory"]
    mount_point: str  # empty for a device that is not mounted
    mount_kind: MountKind | None
    filesystem: str
    mount_source: str
    read_only: bool
    on_system_disk: bool
    device: DeviceFacts | None
    cloud: CloudMatch | None
    unclear: tuple[CloudMatch, ...]
    free_bytes: int
    total_bytes: int
    unmounted: Unmounted = ""


def is_inside(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies in it. Both are absolute and normalised."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")
