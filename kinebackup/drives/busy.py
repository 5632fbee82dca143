"""Who keeps a drive busy.

Owns: finding a program that has something open on a filesystem. Does not know: mounting, or what the person is told.

Only links of /proc are followed, and of those only the ones whose target lies below a mount point of the device: a
file on a dead network share must not be touched.
"""

import os
from collections.abc import Iterator, Sequence

from kinebackup.drives.mounts import Mount, parse_mountinfo
from kinebackup.drives.system import System


def is_of_device(mount: Mount, number: str, node: str) -> bool:
    """Whether that device is mounted there. btrfs gives its files a number of their own: there the source tells."""
    return mount.device == number or (mount.device.startswith("0:") and mount.source == node)


def mount_points_of(number: str, node: str, system: System) -> dict[str, list[str]]:
    """Where the device MAJOR:MINOR is mounted, in every mount namespace: process id → mount points."""
    found: dict[str, list[str]] = {}
    tables: dict[bytes, list[str]] = {}
    for pid in _processes(system):
        try:
            text = system.read_bytes(f"/proc/{pid}/mountinfo", 16 * 1024 * 1024)
        except OSError:  # it ended meanwhile
            continue
        if not text:
            continue
        if text not in tables:  # most processes share one
            tables[text] = [m.mount_point for m in parse_mountinfo(text).mounts if is_of_device(m, number, node)]
        if tables[text]:
            found[pid] = tables[text]
    return found


def who_uses(number: str, node: str, system: System) -> str:
    """The name of a program that has a file open, or its directory, on that filesystem; empty where none is found."""
    own = str(os.getpid())
    for pid, points in mount_points_of(number, node, system).items():
        if pid != own and any(_is_below(target, points) for target in _links(system, pid)):
            name = _name(system, pid)
            if name:
                return name
    return ""


def _processes(system: System) -> Iterator[str]:
    try:
        names = system.names("/proc")
    except OSError:
        return
    yield from (name for name in names if name.isdigit())


def _links(system: System, pid: str) -> Iterator[str]:
    for name in ("cwd", "root", "exe"):
        try:
            yield os.readlink(system.path(f"/proc/{pid}/{name}"))
        except OSError:
            continue
    for directory in ("fd", "map_files"):
        try:
            names = os.listdir(system.path(f"/proc/{pid}/{directory}"))
        except OSError:
            continue
        for name in names:
            try:
                yield os.readlink(system.path(f"/proc/{pid}/{directory}/{name}"))
            except OSError:
                continue


def _is_below(target: str, points: Sequence[str]) -> bool:
    return any(target == point or target.startswith(point.rstrip("/") + "/") for point in points)


def _name(system: System, pid: str) -> str:
    try:
        return (system.read_text(f"/proc/{pid}/comm") or "").strip()
    except OSError:
        return ""
