"""Places that a desktop mounts for its file manager: GNOME's gvfs, KDE's kio-fuse.

Owns: where these are. Does not know: which server is behind one, except Google Drive (google_drive.py).
"""

import re
from typing import Final

from kinebackup.drives.clouds.description import CloudService

SERVICES: Final = (
    CloudService(
        "GNOME (gvfs)",
        filesystems=frozenset({"fuse.gvfsd-fuse", "fuse.gvfs-fuse-daemon"}),
        paths=re.compile(r"/run/user/\d+/gvfs(/|$)"),
    ),
    CloudService(
        "KDE (kio-fuse)",
        filesystems=frozenset({"fuse.kio-fuse"}),
        paths=re.compile(r"/run/user/\d+/kio-fuse-[^/]+(/|$)"),
    ),
)
