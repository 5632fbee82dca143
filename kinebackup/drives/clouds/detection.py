"""Whether a cloud or a network share takes the files of a path off this computer.

Owns: the search for synchronised folders in every home, and the check of one path. Does not know: any service in
particular (services/ does), nor what follows from a match (policy/targets.py).
"""

import os
import stat
from collections.abc import Iterator, Sequence
from typing import Final

from kinebackup.drives.clouds.description import CloudService, Marker, SyncedFolder
from kinebackup.drives.clouds.home import Home, open_home
from kinebackup.drives.clouds.services import all_services
from kinebackup.drives.mount_table import Mount, MountTable, read_mounts
from kinebackup.drives.system import System
from kinebackup.policy.target_facts import CloudMatch, is_inside

FIRST_USER_ID: Final = 1000  # login.defs(5), UID_MIN
UNKNOWN_CLIENT: Final = ""  # of a home that may not be read


def find_clouds(system: System, table: MountTable | None = None) -> list[SyncedFolder]:
    """Every folder that a client of any login user synchronises, by the clients' own configurations.

    Paths are resolved. What is there and cannot be read is in the list as well, with ``certain`` False.
    """
    mounts = _mounts(system) if table is None else table
    found: dict[tuple[str, str], SyncedFolder] = {}
    for folder in _configured(system):
        path = mounts.resolve(system, folder.path, is_remote).path
        key = (folder.service, path)
        if key not in found or folder.certain:
            found[key] = SyncedFolder(folder.service, path, folder.evidence, folder.certain)
    return list(found.values())


def cloud_of(
    path: str, mount: Mount | None, synced_folders: Sequence[SyncedFolder], *, system: System | None = None
) -> CloudMatch | None:
    """The service that takes the files of this resolved path elsewhere, or may do so; None where nothing says so.

    A remote mount is recognised by its type and source alone; it is never touched.
    """
    if mount is not None and (service := service_of(mount)) is not None:
        # gvfs mounts every service at one place; below it, the path says which.
        named = _service_of_path(path)
        name = named.name if named is not None else service.name
        return CloudMatch(name, service.kind, path, f"{mount.filesystem} {mount.source}", certain=True)
    if (service := _service_of_path(path)) is not None:
        return CloudMatch(service.name, service.kind, path, path, certain=True)
    holding = [folder for folder in synced_folders if is_inside(path, folder.path)]
    for folder in holding:
        if folder.certain:
            return CloudMatch(folder.service, "cloud", folder.path, folder.evidence, certain=True)
    # Nothing is known of an unknown FUSE filesystem, not even that it answers.
    marked = None if mount is not None and mount.kind == "fuse" else _marked(system or System(), path)
    if marked is not None and marked.certain:
        return marked
    for folder in holding:
        return CloudMatch(folder.service, "cloud", folder.path, folder.evidence, certain=False)
    return marked


def service_of(mount: Mount) -> CloudService | None:
    """The service that this mount is: by its type, which is certain, rather than by the look of its source."""
    services = all_services()
    by_type = (service for service in services if mount.filesystem in service.filesystems)
    return next(by_type, None) or next((service for service in services if service.has_source(mount)), None)


def is_remote(mount: Mount) -> bool:
    """Whether the files of this mount may be on another computer, so that touching it may hang."""
    return mount.kind == "fuse" or service_of(mount) is not None


def _mounts(system: System) -> MountTable:
    try:
        return read_mounts(system)
    except OSError:  # no /proc: then nothing is known to be remote
        return MountTable(())


def _service_of_path(path: str) -> CloudService | None:
    return next((s for s in all_services() if s.paths is not None and s.paths.match(path)), None)


def _configured(system: System) -> Iterator[SyncedFolder]:
    for service in all_services():
        if service.in_system is not None:
            try:
                yield from service.in_system(system)
            except (OSError, ValueError, RecursionError) as error:
                yield SyncedFolder(service.name, "/etc", str(error), certain=False)
    for path in _home_paths(system):
        try:
            home = open_home(
                system, path, system.config_dirs[0] if path in system.homes and system.config_dirs else None
            )
        except OSError as error:
            yield SyncedFolder(UNKNOWN_CLIENT, path, str(error), certain=False)
            continue
        for service in all_services():
            yield from _configured_in(home, service)


def _configured_in(home: Home, service: CloudService) -> Iterator[SyncedFolder]:
    if service.in_home is None:
        return
    try:
        yield from service.in_home(home)
    except (OSError, ValueError, RecursionError) as error:
        # RecursionError: JSON nested ten thousand deep. A file that cannot be understood is to be checked, not fine.
        yield SyncedFolder(service.name, home.path, str(error), certain=False)


def _home_paths(system: System) -> list[str]:
    """The homes of root and of every login user, those included that only a directory server knows."""
    homes = dict.fromkeys(system.homes)
    try:
        passwd = system.read_text("/etc/passwd") or ""
    except OSError:
        passwd = ""
    for line in passwd.split("\n"):
        fields = line.split(":")
        if len(fields) >= 6 and fields[2].isdigit() and (int(fields[2]) == 0 or int(fields[2]) >= FIRST_USER_ID):
            homes[os.path.normpath(fields[5])] = None
    try:
        homes.update((f"/home/{name}", None) for name in system.names("/home"))
    except OSError:
        homes["/home"] = None  # becomes one "to be checked" below
    return [path for path in homes if path.startswith("/") and path.strip("/") and _may_be_directory(system, path)]


def _may_be_directory(system: System, path: str) -> bool:
    try:
        return stat.S_ISDIR(os.stat(system.path(path)).st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True


def _marked(system: System, path: str) -> CloudMatch | None:
    """The first marker in the path or in any parent; a certain one rather than a doubtful one."""
    doubtful: CloudMatch | None = None
    folder = path
    while True:
        for service, marker, name in _markers_in(system, folder):
            match = CloudMatch(service.name, service.kind, folder, f"{folder.rstrip('/')}/{name}", marker.certain)
            if marker.certain:
                return match
            doubtful = doubtful or match
        if folder == "/":
            return doubtful
        folder = os.path.dirname(folder)


def _markers_in(system: System, folder: str) -> Iterator[tuple[CloudService, Marker, str]]:
    try:
        names = os.listdir(system.path(folder))
    except OSError:
        names = []  # not there yet, or may only be passed through: exact names can still be tried
    hidden = [name for name in names if name.startswith(".")]
    for service in all_services():
        for marker in service.markers:
            candidates = [name for name in hidden if marker.matches_name(name)] if marker.is_glob else [marker.name]
            for name in candidates:
                if marker.is_at(system, f"{folder.rstrip('/')}/{name}"):
                    yield service, marker, name
