"""Where the path of a source leads.

Owns: following the links on the way to a source, and for whom that is refused. Does not know: what is saved there.

The service runs as root, and a user may make a link in their folder that leads to anything. Root follows only links of
its own, and those whose target belongs to whoever made the link.
"""

import os
import stat
from contextlib import suppress

from kinebackup.engine import LinkRefused

_MOST_LINKS = 40  # as many as the kernel follows


def real_path(path: str, *, as_root: bool) -> str:
    """The absolute path without links; what is not there stays as it is. Raises ``LinkRefused``."""
    here = ""
    names = path.split("/")[::-1]
    followed = 0
    while names:
        name = names.pop()
        if name in ("", "."):
            continue
        if name == "..":
            here = here.rpartition("/")[0]
            continue
        here = f"{here}/{name}"
        try:
            found = os.lstat(here)
            target = os.readlink(here) if stat.S_ISLNK(found.st_mode) else ""
        except OSError:
            continue
        if not target or followed == _MOST_LINKS:
            continue
        followed += 1
        above = here.rpartition("/")[0]
        if as_root and found.st_uid != 0:
            _check(here, os.path.join(above or "/", target), found.st_uid)
        here = "" if target.startswith("/") else above
        names += target.split("/")[::-1]
    return here or "/"


def _check(link: str, target: str, owner: int) -> None:
    """Raises ``LinkRefused`` for a target that does not belong to the link's owner; one that is not there may."""
    with suppress(FileNotFoundError):
        if os.stat(target).st_uid != owner:
            raise LinkRefused(link, os.path.realpath(target))
