"""kDrive, of Infomaniak.

Owns: its parameter database. Does not know: other services.
"""

from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, SyncedFolder
from kinebackup.drives.clouds.home import Home, column


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    """.parms.db is SQLite; its table ``sync`` has one row for each folder, with ``localPath``."""
    for database in home.config_files("kDrive/.parms.db"):
        for path in column(home.system, database, "SELECT localPath FROM sync"):
            yield SyncedFolder("kDrive", home.expand(path), database)


SERVICES: Final = (CloudService("kDrive", in_home=_in_home),)
