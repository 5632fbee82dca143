"""What a source lies on, and whether changes there are always heard of.

Owns: the file systems whose every change passes through this kernel. Does not know: how mounts are read.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from kinebackup.i18n import _

# On others, other computers or programs can change files behind this kernel's back: network and FUSE file systems; the
# layers below an overlay.
# fmt: off
_HEARD: Final = frozenset({
    "bcachefs", "btrfs", "exfat", "ext2", "ext3", "ext4", "f2fs", "jfs", "ntfs3", "reiserfs", "tmpfs", "vfat", "xfs",
    "zfs",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class MountedAt:
    """A mount at, above or below a source. ``identity`` is another one after each new mount."""

    identity: str
    mount_point: str
    filesystem: str


@dataclass(frozen=True, slots=True)
class MountContext:
    """The mount on which a source lies, and those below it. Equal grounds: nothing was mounted or unmounted."""

    mount: MountedAt | None
    below: frozenset[MountedAt] = frozenset()

    @classmethod
    def of(cls, path: str, mount: MountedAt | None, mounts: Iterable[MountedAt]) -> "MountContext":
        """``mount``: the one that holds the path itself; ``mounts``: all there are."""
        return cls(mount, frozenset(other for other in mounts if other.mount_point.startswith(f"{path}/")))

    def unreliable_reason(self, *, one_file_system: bool) -> str:
        """Why changes can escape us there, or an empty text."""
        if self.mount is None:
            return _("it cannot be told on which file system a source lies")
        for mount in (self.mount, *(() if one_file_system else self.below)):
            if mount.filesystem not in _HEARD:
                return _("changes on a file system of type {kind} are not always announced").format(
                    kind=mount.filesystem
                )
        return ""
