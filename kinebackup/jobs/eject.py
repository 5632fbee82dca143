"""Ejecting a drive without the daemon.

Owns: the order of the steps: flush, unmount, power off. Does not know: how each is done, or who asked.
"""

from collections.abc import Callable

from kinebackup.drives.unmounting import unmount_drive
from kinebackup.errors import ConfigError, NotFound
from kinebackup.i18n import _
from kinebackup.practice.presence import mounted_device
from kinebackup.practice.world import World
from kinebackup.state.records import Drive


def run_eject(record: Drive, world: World, *, power_off: Callable[[str], bool]) -> bool:
    """Returns whether the drive was powered off too; where its case cannot do that, it may be unplugged all the same.

    Raises ``NotFound`` where it is not mounted, ``ConfigError`` for a simulated drive, ``StillMounted`` where somebody
    keeps it busy, and ``DriveFailed`` where what was written did not reach it.
    """
    if record.simulated:
        raise ConfigError(
            _("the drive {label} is a folder of this computer: there is nothing to unplug").format(label=record.label)
        )
    found = mounted_device(record, world.system)
    if found is None:
        raise NotFound(
            _("the drive {label} is not mounted").format(label=record.label),
            _("if it is plugged in, you can unplug it"),
        )
    unmount_drive(found.device.node, found.device.disk_sequence, None, system=world.system)
    return power_off(found.device.node)
