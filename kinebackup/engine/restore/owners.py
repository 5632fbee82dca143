"""Whose the files of a snapshot are on this computer.

Owns: numbers to numbers, by the names that both computers know; also within access control lists. Does not know: the
user database.
"""

import base64
import struct
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from kinebackup.engine.environment import Names
from kinebackup.engine.format.snapshot import Snapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.place import ACL, DEFAULT_ACL

# linux/posix_acl_xattr.h: a version, then (tag, permissions, id) for each entry
_ACL_VERSION: Final = 4
_ACL_ENTRY: Final = struct.Struct("<HHI")
_ACL_USER: Final = 0x02
_ACL_GROUP: Final = 0x08


class Owners:
    """Of one run. For several threads. ``names`` None: numbers stay what they are."""

    def __init__(self, snapshot: Snapshot, names: Names | None) -> None:
        self._same: set[tuple[int, int]] = set()  # user and group that have these numbers here too
        self._users = _Numbers(snapshot.users, names.uid_of) if names else None
        self._groups = _Numbers(snapshot.groups, names.gid_of) if names else None

    def here(self, entry: Entry) -> Entry:
        """The entry as this computer is to give it to its owners."""
        if self._users is None or self._groups is None:
            return entry
        saved = entry.uid, entry.gid
        if saved not in self._same:
            here = self._users.here(entry.uid), self._groups.here(entry.gid)
            if here == saved:
                self._same.add(saved)
            else:
                entry = msgspec.structs.replace(entry, uid=here[0], gid=here[1])
        if entry.xattrs and not entry.xattrs.keys().isdisjoint((ACL, DEFAULT_ACL)):
            lists = {name: self._list_here(text) for name, text in entry.xattrs.items() if name in (ACL, DEFAULT_ACL)}
            entry = msgspec.structs.replace(entry, xattrs=entry.xattrs | lists)
        return entry

    def _list_here(self, text: str) -> str:
        raw = bytearray(base64.b64decode(text))
        numbers = {_ACL_USER: self._users, _ACL_GROUP: self._groups}
        for at in range(_ACL_VERSION, len(raw) - _ACL_ENTRY.size + 1, _ACL_ENTRY.size):
            tag, permissions, number = _ACL_ENTRY.unpack_from(raw, at)
            if (known := numbers.get(tag)) is not None:
                _ACL_ENTRY.pack_into(raw, at, tag, permissions, known.here(number))
        return base64.b64encode(raw).decode("ascii")

    @property
    def by_number(self) -> tuple[str, ...]:
        """Names, or numbers, of owners that this computer does not know by name."""
        unknown = {*(self._users.unknown if self._users else ()), *(self._groups.unknown if self._groups else ())}
        return tuple(sorted(unknown))


class _Numbers:
    """Users, or groups. ``saved``: the names of the snapshot."""

    def __init__(self, saved: Mapping[str, str], number_of: Callable[[str], int | None]) -> None:
        self._saved = saved
        self._number_of = number_of
        self._here: dict[int, int] = {0: 0}  # root everywhere
        self.unknown: set[str] = set()

    def here(self, number: int) -> int:
        known = self._here.get(number)
        if known is None:
            name = self._saved.get(str(number))
            known = self._number_of(name) if name else None
            if known is None:
                known = number
                self.unknown.add(name or str(number))
            self._here[number] = known
        return known
