"""Where drives are mounted: one directory of the daemon's own for each attachment.

Owns: the directories, and doing slow and blocking calls in threads. Does not know: how a drive is mounted
(drives/mounting.py) or powered off (drives/udisks.py).

An attachment has its own directory: what is left of a drive that was pulled is never in the way of the next one.
"""

import logging
import os
from pathlib import Path

from kinebackup.daemon.decide.events import AttachmentId, Device
from kinebackup.daemon.host.threads import in_thread
from kinebackup.drives.mounting import MountFailed, mount_drive
from kinebackup.drives.udisks import power_off
from kinebackup.drives.unmounting import StillMounted, drop_mount, unmount_drive
from kinebackup.errors import DriveFailed, KineError

log = logging.getLogger("kinebackup.daemon")


class NamespaceMounter:
    """Implements ``ports.Mounter`` with mounts of this process's namespace, below ``directory``."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def prepare(self) -> None:
        """Make the directory, and drop what a daemon left there that was killed."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in self._directory.iterdir():
            drop_mount(str(left))

    def folder(self, attachment: AttachmentId) -> str:
        """See ``ports.Mounter``."""
        return str(self._directory / str(attachment))

    async def mount(self, attachment: AttachmentId, device: Device) -> None:
        """See ``ports.Mounter``."""
        try:
            await in_thread("mount", lambda: mount_drive(device.node, device.disk_sequence, self.folder(attachment)))
        except MountFailed:
            raise
        except (KineError, OSError) as error:
            raise MountFailed("failed", str(error)) from error

    async def unmount(self, attachment: AttachmentId, device: Device) -> bool:
        """See ``ports.Mounter``."""
        folder = self.folder(attachment)
        where = folder if os.path.isdir(folder) else None
        try:
            await in_thread("unmount", lambda: unmount_drive(device.node, device.disk_sequence, where))
        except StillMounted:
            raise
        except DriveFailed as error:
            log.warning("unmounted, but %s", error)
            return False
        except (KineError, OSError) as error:
            log.warning("unmounting failed: %s", error)
            raise StillMounted(str(error)) from error
        return True

    async def detach(self, attachment: AttachmentId) -> None:
        """See ``ports.Mounter``."""
        folder = self.folder(attachment)
        await in_thread("detach", lambda: drop_mount(folder))

    async def power_off(self, device: Device) -> bool:
        """See ``ports.Mounter``."""
        return await power_off(device.node)
