"""rclone, which mounts and synchronises some seventy clouds, iCloud, Proton Drive and Box among them.

Owns: its traces. Does not know: which of these clouds a remote is.
"""

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import unquote

from kinebackup.drives.clouds.description import CloudService, Marker, SyncedFolder
from kinebackup.drives.clouds.home import Home

_REMOTE: Final = re.compile(r"^\[(.+)\]\s*$", re.MULTILINE)
# rclone bisync keeps a listing for each pair: home_kine_Docs..remote_Docs.path1.lst
_LISTING: Final = re.compile(r"(.+?)\.\..*\.path1\.lst$")


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    """rclone.conf names remotes, no folders: a timer may synchronise any.

    Only ``bisync`` leaves a local path behind, with _ for each slash.
    """
    for config in (*home.config_files("rclone/rclone.conf"), *home.dot_files(".rclone.conf")):
        text = home.system.read_text(config) or ""
        if _REMOTE.search(text) or "RCLONE_ENCRYPT" in text:
            yield SyncedFolder("rclone", home.path, config, certain=False)
    for workdir in home.cache_files("rclone/bisync"):
        for name in home.system.names(workdir):
            if match := _LISTING.match(name):
                yield from _bisync_folder(home, f"{workdir}/{name}", unquote(match[1]))


def _bisync_folder(home: Home, evidence: str, flattened: str) -> Iterator[SyncedFolder]:
    """The folder, if its name is that simple; a name with _ of its own cannot be told from one with slashes."""
    path = "/" + flattened.strip("_").replace("_", "/")
    if home.system.exists(path):
        yield SyncedFolder("rclone", path, evidence)
    else:
        yield SyncedFolder("rclone", home.path, evidence, certain=False)


SERVICES: Final = (
    CloudService(
        "rclone", filesystems=frozenset({"fuse.rclone"}), in_home=_in_home, markers=(Marker("RCLONE_TEST", "file"),)
    ),
)
