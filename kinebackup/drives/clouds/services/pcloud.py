"""pCloud.

Owns: its database, and how it is mounted. Does not know: other services.
"""

import re
from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, SyncedFolder
from kinebackup.drives.clouds.home import Home, column


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    """data.db is SQLite; ``syncfolder`` has the folders that are synchronised besides the mounted drive."""
    for directory in home.dot_files(".pcloud"):
        if not home.system.names(directory):
            continue
        yield SyncedFolder("pCloud", home.expand("pCloudDrive"), directory)
        database = f"{directory}/data.db"
        if home.system.exists(database):
            for path in column(home.system, database, "SELECT localpath FROM syncfolder"):
                yield SyncedFolder("pCloud", home.expand(path), database)
        else:
            yield SyncedFolder("pCloud", home.path, directory, certain=False)


SERVICES: Final = (
    CloudService(
        "pCloud",
        filesystems=frozenset({"fuse.pcloud", "fuse.pCloud.fs", "fuse.pcloudcc"}),
        sources=re.compile(r"pCloud\.fs"),
        in_home=_in_home,
    ),
)
