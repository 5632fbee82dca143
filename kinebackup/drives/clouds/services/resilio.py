"""Resilio Sync (formerly BitTorrent Sync).

Owns: its configuration and markers. Does not know: other services.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, Marker, SyncedFolder
from kinebackup.drives.clouds.home import Home, not_understood
from kinebackup.drives.system import System

_SYSTEM_CONFIG: Final = "/etc/resilio-sync/config.json"
# The files that Resilio ships are JSON with comments; a string may hold what looks like one.
_COMMENT: Final = re.compile(r'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA: Final = re.compile(r'("(?:[^"\\]|\\.)*")|,(?=\s*[}\]])')


def _in_system(system: System) -> Iterator[SyncedFolder]:
    text = system.read_text(_SYSTEM_CONFIG)
    if text is not None:
        yield from _folders(_SYSTEM_CONFIG, text)


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    for name in ("resilio-sync/config.json", "resilio-sync/sync.conf", "rslsync/rslsync.conf", "rslsync/config.json"):
        for config in home.config_files(name):
            text = home.system.read_text(config)
            if text is not None:
                yield from _folders(config, text)


def _folders(config: str, text: str) -> Iterator[SyncedFolder]:
    """``shared_folders`` where they are listed; else ``directory_root``, below which the web page lets one choose."""
    plain = _TRAILING_COMMA.sub(lambda m: m[1] or "", _COMMENT.sub(lambda m: m[1] or "", text))
    settings = json.loads(plain)
    if not isinstance(settings, dict):
        not_understood(config, "no settings")
    shared = settings.get("shared_folders", [])
    if not isinstance(shared, list):
        not_understood(config, "shared_folders is no list")
    paths = [folder.get("dir") for folder in shared if isinstance(folder, dict)]
    found = [path for path in paths if isinstance(path, str) and path.startswith("/")]
    for path in found:
        yield SyncedFolder("Resilio Sync", path, config)
    root = settings.get("directory_root")
    if not found and isinstance(root, str) and root.startswith("/"):
        yield SyncedFolder("Resilio Sync", root, config, certain=False)


SERVICES: Final = (
    CloudService(
        "Resilio Sync",
        in_system=_in_system,
        in_home=_in_home,
        # ~/.sync may also be the client's storage, or anything else: only with these files is it a folder's marker.
        markers=(Marker(".sync", "directory", holds=("ID", "IgnoreList")),),
    ),
)
