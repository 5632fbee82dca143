"""Drives that are folders, which tests plug in and pull; and a computer that says whether it was kept awake.

Owns: these two stand-ins. Does not know: mounts, udev, or what is expected.
"""

from dataclasses import dataclass, field

from kinebackup.daemon.decide import events as ev
from kinebackup.drives.mounting import MountFailed
from kinebackup.drives.unmounting import StillMounted


@dataclass
class FolderMounter:
    """Each device is a folder, by its node. ``mounted``: what is open now; ``busy``: who keeps a drive."""

    mounted: dict[ev.AttachmentId, ev.Device] = field(default_factory=dict)
    opened: list[str] = field(default_factory=list)
    busy: str = ""
    stuck: str = ""
    complete: bool = True
    powered_off: list[str] = field(default_factory=list)

    def folder(self, attachment: ev.AttachmentId) -> str:
        return self.mounted[attachment].node

    async def mount(self, attachment: ev.AttachmentId, device: ev.Device) -> None:
        if self.busy:
            raise MountFailed("busy", "in use", program=self.busy)
        self.mounted[attachment] = device
        self.opened.append(device.node)

    async def unmount(self, attachment: ev.AttachmentId, device: ev.Device) -> bool:
        if self.stuck:
            raise StillMounted("still mounted", program=self.stuck)
        self.mounted.pop(attachment, None)
        return self.complete

    async def detach(self, attachment: ev.AttachmentId) -> None:
        pass

    async def power_off(self, device: ev.Device) -> bool:
        self.powered_off.append(device.node)
        return False


class BrokenMounter(FolderMounter):
    """With a defect."""

    async def mount(self, attachment: ev.AttachmentId, device: ev.Device) -> None:
        raise AssertionError


@dataclass
class Awake:
    """An inhibitor that remembers."""

    history: list[str] = field(default_factory=list)

    def hold(self) -> None:
        self.history.append("hold")

    def release(self) -> None:
        self.history.append("release")
