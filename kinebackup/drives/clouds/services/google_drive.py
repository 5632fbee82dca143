"""Google Drive: in GNOME's files, by google-drive-ocamlfuse, and by Google's own client in a virtual machine.

Owns: their traces. Does not know: other services that gvfs mounts (gvfs.py).
"""

import re
from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, Marker, SyncedFolder
from kinebackup.drives.clouds.home import Home


def _ocamlfuse(home: Home) -> Iterator[SyncedFolder]:
    """~/.gdfuse/LABEL is an account; where it is mounted is in no file, the mount itself shows it."""
    for directory in home.dot_files(".gdfuse"):
        for label in home.system.names(directory):
            yield SyncedFolder("Google Drive", home.path, f"{directory}/{label}", certain=False)


SERVICES: Final = (
    CloudService(
        "Google Drive",
        filesystems=frozenset({"fuse.google-drive-ocamlfuse"}),
        sources=re.compile(r"google-drive-ocamlfuse$"),
        paths=re.compile(r"/run/user/\d+/gvfs/google-drive:"),
        in_home=_ocamlfuse,
        markers=(Marker(".tmp.driveupload", "directory"), Marker(".tmp.drivedownload", "directory")),
    ),
)
