"""Nextcloud and ownCloud: one client, forked.

Owns: their configuration and the journals they keep in each folder. Does not know: other services.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, Marker, SyncedFolder
from kinebackup.drives.clouds.home import Home, qt_value

# 0\Folders\1\localPath=… ; "FoldersWithPlaceholders" and "Multifolders" are written for newer clients only.
_LOCAL_PATH: Final = re.compile(r"^(?:\d+[\\/])?\w*[Ff]olders\w*[\\/][^=\n]*?localPath=(.*)$", re.MULTILINE)


def _reader(service: str, *names: str) -> Callable[[Home], Iterator[SyncedFolder]]:
    def in_home(home: Home) -> Iterator[SyncedFolder]:
        for name in names:
            for config in (*home.config_files(name), *home.data_files(f"data/{name}"), *home.data_files(name)):
                for value in _LOCAL_PATH.findall(home.system.read_text(config) or ""):
                    yield SyncedFolder(service, home.expand(qt_value(value)), config)

    return in_home


SERVICES: Final = (
    CloudService(
        "Nextcloud",
        in_home=_reader("Nextcloud", "Nextcloud/nextcloud.cfg"),
        markers=(Marker(".sync_*.db", "file"), Marker("._sync_*.db", "file"), Marker(".nextcloudsync.log", "file")),
    ),
    CloudService(
        "ownCloud",
        in_home=_reader("ownCloud", "ownCloud/owncloud.cfg"),
        markers=(Marker(".csync_journal.db", "file"), Marker(".owncloudsync.log", "file")),
    ),
)
