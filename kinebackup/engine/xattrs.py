"""Extended attributes of a source, as an entry keeps them.

Owns: reading them, with one try for each: what is refused costs itself and nothing else. Does not know: other
attributes (``metadata.py``), or how they come back.
"""

import base64
import errno
from collections.abc import Mapping, Sequence

import msgspec

from kinebackup.engine.format.snapshot import escaped
from kinebackup.engine.format.tree import Entry, is_text
from kinebackup.engine.source import SourceDirectory
from kinebackup.i18n import _

MAX_XATTR_BYTES = 2**20  # of one entry, names and values: the record of a directory has to stay readable


class Unread(msgspec.Struct, frozen=True):
    """An attribute of a source that could not be read. ``xattr``: which of the extended ones; empty: none of them."""

    reason: str | None
    xattr: str = ""

    @property
    def text(self) -> str:
        """For people."""
        if self.xattr:
            return _("the attribute {xattr} cannot be read ({reason})").format(xattr=self.xattr, reason=self.reason)
        return _("the attributes cannot be read ({reason})").format(reason=self.reason)


def encode_xattrs(values: Mapping[str, bytes]) -> dict[str, str] | None:
    """As an entry keeps them."""
    if not values:
        return None
    return {name: base64.b64encode(value).decode("ascii") for name, value in sorted(values.items())}


def read_xattrs(entry: Entry, directory: SourceDirectory, name: str | None, fd: int | None) -> Sequence[Unread]:
    """Fill them in: of an open file, of a name, or (both None) of the directory itself. Gives what could not."""
    try:
        listed = directory.xattr_names(name, fd)
    except OSError as error:
        return [Unread(error.strerror)]
    if not listed:
        return ()
    values: dict[str, bytes] = {}
    unread: list[Unread] = []
    room = MAX_XATTR_BYTES
    for attribute in listed:
        if not is_text(attribute):  # the format names attributes in UTF-8 (FORMAT.md §9)
            unread.append(Unread(_("its name is not UTF-8"), escaped(attribute)))
            continue
        try:
            value = directory.xattr(name, fd, attribute)
        except OSError as error:
            if error.errno != errno.ENODATA:  # removed since they were listed
                unread.append(Unread(error.strerror, attribute))
            continue
        if len(attribute) + len(value) > room:
            unread.append(Unread(_("there are more than a backup keeps of one file"), attribute))
            continue
        room -= len(attribute) + len(value)
        values[attribute] = value
    entry.xattrs = encode_xattrs(values)
    return unread
