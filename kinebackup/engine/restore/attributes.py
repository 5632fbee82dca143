"""Giving what was restored the attributes of its entry, as the table says.

Owns: the order, what only root can do, the words for what was refused. Does not know: the attributes themselves
(``engine/metadata.py``).
"""

from collections.abc import Callable
from typing import Final

import msgspec

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.inode_flags import set_flags
from kinebackup.engine.metadata import SET_ID, TABLE, Restored
from kinebackup.engine.place import Place
from kinebackup.i18n import _


class Refused(msgspec.Struct, frozen=True):
    """An attribute that could not be set. ``xattr``: which of the extended ones.

    One of them is a part of the mode: ``SET_ID``, the right to be run with the owner's rights.
    """

    attribute: str
    reason: str
    xattr: str = ""

    @property
    def text(self) -> str:
        """For people."""
        templates = {
            "owner": _("the owner could not be set ({reason})"),
            "xattrs": _("the attribute {xattr} could not be set ({reason})"),
            "mode": _("the access rights could not be set ({reason})"),
            "time": _("the time could not be set ({reason})"),
            "flags": _("the protection against changes could not be set ({reason})"),
            SET_ID: _("it may not be run with its owner's rights here, for its owner could not be set ({reason})"),
        }
        return templates[self.attribute].format(reason=self.reason, xattr=self.xattr)


_SET: Final = tuple((a.name, a.restored, a.root_only) for a in TABLE if not isinstance(a.restored, Restored))


def apply(entry: Entry, place: Place, *, as_root: bool, refused: Callable[[Refused], None]) -> None:
    """Give what was created the attributes of its entry. ``as_root``: owners can be set."""
    for name, settings, root_only in _SET:
        if root_only and not as_root:
            continue
        for what, action, values in settings(place, entry):
            try:
                action(*values)
            except (OSError, OverflowError, ValueError) as error:  # ValueError: bad base64, a NUL in a name
                reason = error.strerror or "" if isinstance(error, OSError) else _("impossible value")
                refused(Refused(SET_ID if what == SET_ID else name, reason, what if name == "xattrs" else ""))


def apply_flags(entry: Entry, fd: int, refused: Callable[[Refused], None]) -> None:
    """Last of all: nothing can be done any more to a file that has them, not even be given its name."""
    if not entry.flags:
        return
    try:
        set_flags(fd, entry.flags)
    except OSError as error:
        refused(Refused("flags", error.strerror or ""))
