"""MEGA.

Owns: the traces of MEGAsync and of MEGAcmd. Does not know: other services.

The client encrypts the values of its configuration, so its folders cannot be told: only that there may be some.
"""

from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, Marker, SyncedFolder
from kinebackup.drives.clouds.home import Home

_DEFAULT_FOLDERS: Final = ("MEGA", "MEGAsync", "MEGAsync Uploads", "MEGAsync Downloads")


def _in_home(home: Home) -> Iterator[SyncedFolder]:
    installed = [
        *home.data_files("data/Mega Limited/MEGAsync/MEGAsync.cfg"),
        *home.data_files("Mega Limited/MEGAsync/MEGAsync.cfg"),
        *home.dot_files(".megaCmd/session"),
    ]
    for evidence in installed:
        if home.system.exists(evidence):
            for folder in _DEFAULT_FOLDERS:
                yield SyncedFolder("MEGA", home.expand(folder), evidence)
            yield SyncedFolder("MEGA", home.path, evidence, certain=False)


SERVICES: Final = (
    CloudService(
        "MEGA",
        filesystems=frozenset({"fuse.mega-cmd", "fuse.megafs", "fuse.MEGAcmd"}),
        in_home=_in_home,
        markers=(Marker(".megaignore", "file"),),
    ),
)
