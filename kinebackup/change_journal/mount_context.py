"""The mounts around a source, and whether inotify reports every change there.

Owns: the list of file systems that only this kernel can change. Does not know: how the mount table is read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kinebackup.drives.mount_table import Mount, read_mounts
from kinebackup.drives.system import System
from kinebackup.i18n import _

# On others, other computers or programs can change files behind this kernel's back: network and FUSE file systems; the
# layers below an overlay.
# fmt: off
_RELIABLE: Final = frozenset({
    "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "ntfs3", "reiserfs", "tmpfs", "vfat", "xfs",
    "zfs",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class MountIdentity:
    """A mount at, above or below a source. ``identity`` differs after each mount(2)."""

    identity: str
    mount_point: str
    filesystem: str


@dataclass(frozen=True, slots=True)
class MountContext:
    """The mount that holds a source, and those below it. If equal, nothing was mounted or unmounted."""

    mount: MountIdentity | None
    below: frozenset[MountIdentity] = frozenset()

    @classmethod
    def of(cls, path: str, mount: MountIdentity | None, mounts: Iterable[MountIdentity]) -> "MountContext":
        """``mount``: the one that holds the path itself; ``mounts``: all there are."""
        return cls(mount, frozenset(other for other in mounts if other.mount_point.startswith(f"{path}/")))

    def unreliable_reason(self, *, one_file_system: bool) -> str:
        """Why changes can be missed there; empty where they cannot."""
        if self.mount is None:
            return _("it cannot be told on which file system a source lies")
        for mount in (self.mount, *(() if one_file_system else self.below)):
            if mount.filesystem not in _RELIABLE:
                return _("changes on a file system of type {kind} are not always announced").format(
                    kind=mount.filesystem
                )
        return ""


def read_mount_context(path: str, system: System) -> MountContext:
    """The mounts around a path, now."""

    def identity(mount: Mount) -> MountIdentity:
        return MountIdentity(f"{mount.mount_id} {mount.device} {mount.root}", mount.mount_point, mount.filesystem)

    table = read_mounts(system)
    on = table.of_path(path)
    return MountContext.of(path, identity(on) if on else None, map(identity, table.mounts))
