"""Dropbox, by its own client and by Maestral.

Owns: their files. Does not know: other services.
"""

import json
import re
from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, Marker, SyncedFolder
from kinebackup.drives.clouds.home import Home, not_understood

_MAESTRAL_PATH: Final = re.compile(r"^path\s*=\s*(.+?)\s*$", re.MULTILINE)


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    """~/.dropbox/info.json has one member for each account: "personal", "business". It comes with the first account."""
    for info in home.dot_files(".dropbox/info.json"):
        text = home.system.read_text(info)
        if text is None:
            if home.system.exists(info.removesuffix("/info.json")):
                yield SyncedFolder("Dropbox", home.expand("Dropbox"), info.removesuffix("/info.json"))
            continue
        accounts = json.loads(text)
        if not isinstance(accounts, dict):
            not_understood(info, "no accounts")
        for account in accounts.values():
            if not isinstance(account, dict) or not isinstance(account.get("path"), str):
                not_understood(info, "an account without path")
            yield SyncedFolder("Dropbox", home.expand(account["path"]), info)


def _maestral(home: Home) -> Iterator[SyncedFolder]:
    for directory in home.config_files("maestral"):
        for name in home.system.names(directory):
            if name.endswith(".ini"):
                config = f"{directory}/{name}"
                for path in _MAESTRAL_PATH.findall(home.system.read_text(config) or ""):
                    yield SyncedFolder("Dropbox", home.expand(path), config)


SERVICES: Final = (
    # In the home ~/.dropbox is the client's own directory; in the synchronised folder it is a file.
    CloudService(
        "Dropbox", in_home=_in_home, markers=(Marker(".dropbox", "file"), Marker(".dropbox.cache", "directory"))
    ),
    CloudService("Dropbox", in_home=_maestral, markers=(Marker(".maestralignore", "file"),)),
)
