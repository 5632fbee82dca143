"""Clients of NAS makers, which keep a folder in step with the box: Synology Drive, QNAP Qsync.

Owns: their traces. Does not know: other services.
"""

from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, SyncedFolder
from kinebackup.drives.clouds.home import Home


def _synology(home: Home) -> Iterator[SyncedFolder]:
    """The sessions are in sys.sqlite, whose tables differ from one version to the next."""
    for database in home.dot_files(".SynologyDrive/data/db/sys.sqlite"):
        if home.system.exists(database):
            yield SyncedFolder("Synology Drive", home.expand("SynologyDrive"), database)
            yield SyncedFolder("Synology Drive", home.path, database, certain=False)


def _qsync(home: Home) -> Iterator[SyncedFolder]:
    for directory in home.data_files("QNAP/Qsync"):
        if home.system.exists(directory):
            yield SyncedFolder("QNAP Qsync", home.expand("Qsync"), directory)
            yield SyncedFolder("QNAP Qsync", home.path, directory, certain=False)


SERVICES: Final = (
    CloudService("Synology Drive", in_home=_synology),
    CloudService("QNAP Qsync", in_home=_qsync),
)
