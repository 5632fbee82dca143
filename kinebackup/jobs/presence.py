"""Whether a drive that is known is here now, and where.

Owns: finding an enrolled drive's mount point. Does not know: what is on it; that it is the right one, its header says
later.
"""

import os

from kinebackup.drives.block_device import number_of_node
from kinebackup.drives.mounts import read_mounts
from kinebackup.jobs.world import World
from kinebackup.policy.targets import REPOSITORY_DIRECTORY
from kinebackup.store.records import Drive


def folder_of(record: Drive, world: World) -> str | None:
    """Where an enrolled drive is mounted now, or None where it is absent."""
    if record.simulated:
        return record.folder if os.path.isdir(os.path.join(record.folder, REPOSITORY_DIRECTORY)) else None
    node = f"/dev/disk/by-uuid/{record.fs_uuid}"
    if not record.fs_uuid or not os.path.exists(node):
        return None
    node = os.path.realpath(node)
    number = number_of_node(world.system, node)
    mount = read_mounts(world.system).of_device(number, node) if number else None
    if mount is None or not os.path.isdir(os.path.join(mount.mount_point, REPOSITORY_DIRECTORY)):
        return None
    return mount.mount_point
