"""The facts about a path: everything that a verdict needs, read once.

Owns: combining mounts, device, cloud services and content. Does not know: what follows from them (policy/targets.py).

A remote mount is never touched: a dead server would hang the backup of a practice that never asked for it.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Final, Literal

from kinebackup.drives.block_device import backing_files, disk_names, number_of_node, read_device
from kinebackup.drives.clouds.description import SyncedFolder
from kinebackup.drives.clouds.detection import cloud_of, find_clouds, is_remote, service_of
from kinebackup.drives.mount_table import Mount, MountTable, read_mounts
from kinebackup.drives.system import System
from kinebackup.drives.volumes import VolumeChoice, choose_volume
from kinebackup.model import REPOSITORY_FOLDER
from kinebackup.policy.target_facts import CloudMatch, DeviceFacts, TargetFacts

MAX_NAMES: Final = 1000  # enough to see that a place is not empty
_ROOT_HOME: Final = "/root"
_SYSTEM_PLACES: Final = ("/", "/usr", "/var", "/home", "/boot", "/boot/efi")


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What is the same for every path of this computer at this moment: read once, used for targets and sources."""

    system: System
    table: MountTable
    clouds: tuple[SyncedFolder, ...]


@dataclass(frozen=True, slots=True)
class _Content:
    exists: bool = False
    is_directory: bool = False
    names: tuple[str, ...] | None = None
    repository: Literal["absent", "directory", "not-a-directory"] = "absent"
    free_bytes: int = 0
    total_bytes: int = 0


def read_host_facts(system: System) -> HostFacts:
    """The mounts, and the synchronised folders of every user. Raises OSError where /proc is not mounted."""
    table = read_mounts(system)
    return HostFacts(system, table, tuple(find_clouds(system, table)))


def gather_facts(path_or_device: str, *, host: HostFacts | None = None) -> TargetFacts:
    """The facts about a folder, or about a block device and the place where it is mounted."""
    host = host or read_host_facts(System())
    requested = os.path.abspath(path_or_device)
    resolved = host.table.resolve(host.system, requested, is_remote)
    if resolved.unreached is not None:
        return _facts(
            host, requested, resolved.path, resolved.unreached, None, _Content(exists=True, is_directory=True)
        )
    number = number_of_node(host.system, resolved.path)
    if number is not None:
        mount = host.table.of_device(number, resolved.path)
        chosen = choose_volume(host.system, number) if mount is None else None
        if mount is None and chosen is not None:
            mount = host.table.of_device(chosen.device.number, chosen.device.node)
        if mount is None:
            return _of_unmounted(host, requested, resolved.path, chosen)
        path = mount.mount_point
    else:
        path = resolved.path
        mount = host.table.of_path(_where_bytes_go(host, path))
    device = None if mount is None else _device_of(host, mount)
    return _facts(host, requested, path, mount, device, _content(host.system, path))


def _of_unmounted(host: HostFacts, requested: str, path: str, chosen: VolumeChoice | None) -> TargetFacts:
    device = chosen.device if chosen is not None else None
    facts = _facts(host, requested, path, None, device, _Content(exists=True))
    return replace(facts, unmounted=chosen.unmounted) if chosen is not None else facts


def paths_of(path: str, host: HostFacts) -> tuple[str, ...]:
    """The resolved path, and every other path of the same bytes."""
    resolved = host.table.resolve(host.system, os.path.abspath(path), is_remote)
    return (resolved.path, *_aliases(host, resolved.path))


def cloud_at(path: str, host: HostFacts) -> CloudMatch | None:
    """The service that takes the files of this path elsewhere: by it, or by any other path of the same bytes."""
    doubtful: CloudMatch | None = None
    for place in paths_of(path, host):
        mount = host.table.of_path(place)
        match = cloud_of(place, mount, host.clouds, system=host.system)
        if match is not None and match.certain:
            return match
        doubtful = doubtful or match
    return doubtful


def _facts(
    host: HostFacts, requested: str, path: str, mount: Mount | None, device: DeviceFacts | None, content: _Content
) -> TargetFacts:
    return TargetFacts(
        requested=requested,
        path=path,
        aliases=_aliases(host, path) if mount is not None else (),
        exists=content.exists,
        is_directory=content.is_directory,
        top_level=content.names,
        repository=content.repository,
        mount_point=mount.mount_point if mount is not None else "",
        mount_kind=mount.kind if mount is not None else None,
        filesystem=mount.filesystem if mount is not None else "",
        mount_source=mount.source if mount is not None else "",
        read_only=mount is not None and mount.read_only,
        on_system_disk=_is_system_disk(host, mount, device),
        device=device,
        # The folder KINEBACKUP itself: it may be a mount, a link, or the one thing that somebody synchronises.
        cloud=cloud_at(_below(path, REPOSITORY_FOLDER), host) if mount is not None else None,
        unclear=tuple(
            CloudMatch(folder.service, "cloud", folder.path, folder.evidence, certain=False)
            for folder in host.clouds
            # Only root can look into /root: a person who is not root would be told so at each backup.
            if not folder.certain and folder.path != _ROOT_HOME
        ),
        free_bytes=content.free_bytes,
        total_bytes=content.total_bytes,
    )


def _aliases(host: HostFacts, path: str) -> tuple[str, ...]:
    """The other paths of these bytes, down to the image files of loop devices and their own other paths."""
    found = dict.fromkeys(host.table.aliases(path))
    for place in (path, *found):
        mount = host.table.of_path(place)
        if mount is None or service_of(mount) is not None:
            continue
        for file in backing_files(host.system, _number_of(host, mount)):
            found[file] = None
            found.update(dict.fromkeys(host.table.aliases(file)))
    return tuple(found)


def _where_bytes_go(host: HostFacts, path: str) -> str:
    """A repository that is a separate mount, or a link, is judged where it leads."""
    resolved = host.table.resolve(host.system, _below(path, REPOSITORY_FOLDER), is_remote)
    return resolved.path


def _number_of(host: HostFacts, mount: Mount) -> str:
    """The block device of a mount. btrfs and others give their files a number of their own: there the source tells."""
    if mount.device.startswith("0:") and mount.source.startswith("/dev/"):
        node = host.table.resolve(host.system, mount.source, is_remote).path
        return number_of_node(host.system, node) or mount.device
    return mount.device


def _device_of(host: HostFacts, mount: Mount) -> DeviceFacts | None:
    return read_device(host.system, _number_of(host, mount), mount_point=mount.mount_point)


def _is_system_disk(host: HostFacts, mount: Mount | None, device: DeviceFacts | None) -> bool:
    """Whether the place is on a disk that this computer needs to run, or on its root filesystem, disk or not."""
    if mount is not None and mount is host.table.of_path("/"):
        return True
    if device is None:
        return False
    return any(disk in device.disks for disk in _system_disks(host))


def _system_disks(host: HostFacts) -> Iterator[str]:
    mounts = {mount.mount_id: mount for place in _SYSTEM_PLACES if (mount := host.table.of_path(place)) is not None}
    for mount in mounts.values():
        yield from disk_names(host.system, _number_of(host, mount))


def _content(system: System, path: str) -> _Content:
    """What lies there. Only the repository's folder is looked at by name, and it is not opened."""
    real = system.path(path)
    try:
        mode = os.stat(real).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return _Content()
    except OSError:
        return _Content(exists=True, is_directory=True)  # there, but out of reach
    if not stat.S_ISDIR(mode):
        return _Content(exists=True)
    try:
        with os.scandir(real) as entries:
            names = tuple(sorted(entry.name for entry in islice(entries, MAX_NAMES)))
        space = os.statvfs(real)
    except OSError:
        return _Content(exists=True, is_directory=True)
    repository = system.mode(_below(path, REPOSITORY_FOLDER))
    return _Content(
        exists=True,
        is_directory=True,
        names=names,
        repository="absent" if not repository else "directory" if stat.S_ISDIR(repository) else "not-a-directory",
        free_bytes=space.f_bavail * space.f_frsize,
        total_bytes=space.f_blocks * space.f_frsize,
    )


def _below(path: str, name: str) -> str:
    return f"{path.rstrip('/')}/{name}"


def source_paths(sources: Sequence[str], host: HostFacts) -> tuple[str, ...]:
    """The paths of all sources, each once, by every mount that shows them.

    The image file of a loop device is not among them: it holds the whole device, of which a source is a part, and a
    target beside the source on that device does not lie inside the source.
    """
    found: dict[str, None] = {}
    for source in sources:
        path = host.table.resolve(host.system, os.path.abspath(source), is_remote).path
        found |= dict.fromkeys((path, *host.table.aliases(path)))
    return tuple(found)
