"""Insync: Google Drive, OneDrive and Dropbox, by one paid client.

Owns: its traces. Does not know: other services.

Its databases are its own business and change with its versions: the folders can only be guessed.
"""

from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, SyncedFolder
from kinebackup.drives.clouds.home import Home


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    for config_dir in home.config_files("."):
        for name in home.system.names(config_dir):
            if name.lower().startswith("insync"):
                evidence = f"{config_dir}/{name}"
                yield SyncedFolder("Insync", home.expand("Insync"), evidence)
                yield SyncedFolder("Insync", home.path, evidence, certain=False)


SERVICES: Final = (CloudService("Insync", in_home=_in_home),)
