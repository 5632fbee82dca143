"""OneDrive, by the two clients that Linux has.

Owns: their files (github.com/abraunegg/onedrive, github.com/jstaf/onedriver). Does not know: other services.
"""

import re
from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, Marker, SyncedFolder
from kinebackup.drives.clouds.home import Home
from kinebackup.drives.system import System

_SYNC_DIR: Final = re.compile(r"""^\s*sync_dir\s*=\s*["'](.*?)["']\s*(?:#.*)?$""", re.MULTILINE)
_SYSTEM_CONFIG: Final = "/etc/onedrive/config"


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    """Each ~/.config/onedrive* is one account; without ``sync_dir`` it keeps ~/OneDrive."""
    for config_dir in home.config_files("."):
        for name in home.system.names(config_dir):
            if not name.startswith("onedrive"):
                continue
            directory = f"{config_dir}/{name}"
            config = home.system.read_text(f"{directory}/config")
            if config is None and not home.system.names(directory):
                continue
            folders = _SYNC_DIR.findall(config or "") or _system_folders(home.system) or ["~/OneDrive"]
            for folder in folders:
                yield SyncedFolder("OneDrive", home.expand(folder), f"{directory}/config")
    if home.system.exists(_SYSTEM_CONFIG):
        for folder in _system_folders(home.system) or ["~/OneDrive"]:
            yield SyncedFolder("OneDrive", home.expand(folder), _SYSTEM_CONFIG)


def _system_folders(system: System) -> list[str]:
    return _SYNC_DIR.findall(system.read_text(_SYSTEM_CONFIG) or "")


def _onedriver(home: Home) -> Iterator[SyncedFolder]:
    """One directory for each mount point, named as systemd escapes paths; the account is mounted there at login."""
    for cache in home.cache_files("onedriver"):
        for name in home.system.names(cache):
            if "-" in name or home.system.exists(f"{cache}/{name}/auth_tokens.json"):
                path = "/" + re.sub(
                    r"\\x([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), name.strip("-").replace("-", "/")
                )
                yield SyncedFolder("OneDrive", path, f"{cache}/{name}")


SERVICES: Final = (
    CloudService("OneDrive", in_home=_in_home, markers=(Marker(".nosync", "file", certain=False),)),
    CloudService("OneDrive", filesystems=frozenset({"fuse.onedriver", "onedriver"}), in_home=_onedriver),
)
