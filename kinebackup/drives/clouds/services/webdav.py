"""WebDAV folders, mounted by davfs2 or wdfs: often a Nextcloud, a kDrive or the like.

Owns: how they are mounted. Does not know: which server is behind.
"""

import re
import shlex
from collections.abc import Iterator
from typing import Final

from kinebackup.drives.clouds.description import CloudService, SyncedFolder
from kinebackup.drives.system import System

_SECRETS: Final = "/etc/davfs2/secrets"


def _in_system(system: System) -> Iterator[SyncedFolder]:
    """A line of ``secrets`` may begin with a mount point instead of an address."""
    for line in (system.read_text(_SECRETS) or "").splitlines():
        try:
            words = shlex.split(line, comments=True)
        except ValueError:  # an unclosed quote, in a password perhaps: the first word is all that matters
            words = line.split()
        if words and words[0].startswith("/"):
            yield SyncedFolder("WebDAV", words[0], _SECRETS)


SERVICES: Final = (
    CloudService(
        "WebDAV",
        filesystems=frozenset({"davfs", "fuse.davfs", "fuse.davfs2", "fuse.wdfs"}),
        sources=re.compile(r"https?://|davs?://"),
        in_system=_in_system,
    ),
)
