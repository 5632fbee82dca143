"""What an entry says of a file: one table of how each member is captured, compared and restored.

Owns: the table, and what is derived from it for capturing and comparing. Does not know: contents, walking, trees; how a
restore goes through the table (``engine/restore/attributes.py``).

A new attribute is a member of ``Entry``, a row here, a row in FORMAT.md §9 and, where a restore needs it, a line in
``recover.py``. Tests fail until all four are there.
"""

import errno
import os
import stat as st
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum, auto
from operator import attrgetter
from typing import Any, Final, get_args

import msgspec

from kinebackup.engine.format import tree
from kinebackup.engine.format.tree import Entry, EntryType
from kinebackup.engine.inode_flags import read_flags
from kinebackup.engine.place import ACL, Link, Place
from kinebackup.engine.source import Found, SourceDirectory
from kinebackup.engine.xattrs import Unread, read_xattrs
from kinebackup.i18n import _

_TYPES: dict[int, EntryType] = {
    st.S_IFREG: "file",
    st.S_IFDIR: "dir",
    st.S_IFLNK: "symlink",
    st.S_IFIFO: "fifo",
    st.S_IFCHR: "char",
    st.S_IFBLK: "block",
}
ALL: Final[frozenset[EntryType]] = frozenset(get_args(EntryType))
_FILE: Final[frozenset[EntryType]] = frozenset({"file"})
_DIRECTORY: Final[frozenset[EntryType]] = frozenset({"dir"})
_SYMLINK: Final[frozenset[EntryType]] = frozenset({"symlink"})
_DEVICE: Final[frozenset[EntryType]] = frozenset({"char", "block"})


class Comparison(Enum):
    """Each question to which members of two entries, or of an entry and an ``lstat``, are compared."""

    UNCHANGED_FILE = auto()
    """A scan keeps a file unread. Its hot loop is written by hand; a test holds it against the table."""
    UNTOUCHED = auto()
    """Nothing was done to it: a folder is taken over unseen, the copy of a database kept."""
    WRITTEN = auto()
    """Every write to a file changes one of these."""
    APPEARANCE = auto()
    """``lstat`` shows no difference but, perhaps, the time at which something was changed."""
    CONTENT = auto()
    """Two files hold the same content and attributes, once both are known."""
    FOLDER = auto()
    """Two folders are the same but for what lies in them."""
    DIFF_CONTENT = auto()
    """The ``diff`` command and the versions of a file: what a restore would write."""
    DIFF_FILE = auto()
    """The ``diff`` command: rights, owner, attributes and times of what is no folder."""
    DIFF_FOLDER = auto()
    """The same of a folder, whose time changes with every name in it."""
    ALREADY_RESTORED = auto()
    """``--overwrite if-changed``: what lies at the destination is the file of the backup."""
    RESTORED_FOLDER = auto()
    """A folder at the destination is as a restore has left it."""
    RESTORE_TEST = auto()
    """A file that a restore test has written is the one of the backup."""


Setting = tuple[str, Callable[..., None], tuple[Any, ...]]
"""What is set (for an extended attribute its name), and the call that sets it."""


class Restored(Enum):
    """How a member comes back that is not set by a call of its own."""

    CREATED = auto()  # it is the content, the name or the kind of what is created
    LAST = auto()  # by ``apply_flags``, once the file has its name and nothing more is done to it
    NEVER = auto()  # no system call sets it, or it only tells a later backup whether something changed


class Attribute(msgspec.Struct, frozen=True, kw_only=True):
    """One row. ``members``: fields of ``Entry``, and how ``lstat`` gives each; None where it does not.

    ``read``: fills them in from an open directory of the source, by name or descriptor, and says which it could not; a
    change of them changes ``ctime``. Members with neither are filled with the content. ``restored``: the settings that
    bring the attribute back; they are made in the order of the table, in which none undoes another.
    """

    name: str
    members: Mapping[str, Callable[[os.stat_result], Any] | None]
    types: frozenset[EntryType] = ALL
    read: Callable[[Entry, SourceDirectory, str | None, int | None], Sequence[Unread]] | None = None
    compared: frozenset[Comparison] = frozenset()
    restored: Callable[[Place, Entry], Iterable[Setting]] | Restored
    root_only: bool = False


def _device(stat: os.stat_result) -> tuple[int, int]:
    return os.major(stat.st_rdev), os.minor(stat.st_rdev)


def _link(stat: os.stat_result) -> str:
    return f"{stat.st_dev:x}:{stat.st_ino:x}" if stat.st_nlink > 1 else ""


def _read_flags(entry: Entry, directory: SourceDirectory, name: str | None, fd: int | None) -> Sequence[Unread]:
    if name is None:  # what is not opened has none
        try:
            entry.flags = read_flags(directory.fd if fd is None else fd)
        except OSError as error:
            return [Unread(error.strerror)]
    return ()


def _set_owner(place: Place, entry: Entry) -> Iterable[Setting]:
    return (("owner", place.chown, (entry.uid, entry.gid)),)


def _set_xattrs(place: Place, entry: Entry) -> Iterable[Setting]:
    xattrs = entry.xattrs or {}
    settings: list[Setting] = [(name, place.set_xattr, (name, text)) for name, text in xattrs.items()]
    if not isinstance(place, Link) and place.inherits_acl and ACL not in xattrs:
        settings.insert(0, (ACL, place.remove_xattr, (ACL,)))
    return settings


def _set_mode(place: Place, entry: Entry) -> Iterable[Setting]:
    if isinstance(place, Link):
        return ()
    if not entry.mode & _SET_ID:
        return (("mode", place.chmod, (entry.mode,)),)
    uid, gid = place.owner()  # a program that runs with its owner's rights must not get somebody else's
    mode = entry.mode & ~((st.S_ISUID if uid != entry.uid else 0) | (st.S_ISGID if gid != entry.gid else 0))
    settings: list[Setting] = [("mode", place.chmod, (mode,))]
    if mode != entry.mode:
        settings.append((SET_ID, _refuse, ()))
    return settings


def _refuse() -> None:
    raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))


def _set_time(place: Place, entry: Entry) -> Iterable[Setting]:
    return (("time", place.set_mtime, (entry.mtime,)),)


_SET_ID: Final = st.S_ISUID | st.S_ISGID
SET_ID: Final = "set-id"
_C = Comparison
_DIFF_RIGHTS = frozenset({_C.DIFF_FILE, _C.DIFF_FOLDER})

TABLE: Final = (
    Attribute(name="name", members={"name": None, "rawname": None}, restored=Restored.CREATED),
    Attribute(
        name="type",
        members={"type": lambda stat: _TYPES.get(st.S_IFMT(stat.st_mode))},
        compared=frozenset(
            {_C.UNCHANGED_FILE, _C.UNTOUCHED, _C.APPEARANCE, _C.DIFF_CONTENT, _C.ALREADY_RESTORED, _C.RESTORED_FOLDER}
        ),
        restored=Restored.CREATED,
    ),
    Attribute(
        name="size",
        members={"size": attrgetter("st_size")},
        types=_FILE,
        compared=frozenset(
            {_C.UNCHANGED_FILE, _C.WRITTEN, _C.APPEARANCE, _C.DIFF_CONTENT, _C.ALREADY_RESTORED, _C.RESTORE_TEST}
        ),
        restored=Restored.CREATED,
    ),
    Attribute(
        name="content",
        members={"blobs": None, "lists": None, "extents": None, "extent_lists": None},
        types=_FILE,
        compared=frozenset({_C.CONTENT, _C.DIFF_CONTENT}),
        restored=Restored.CREATED,
    ),
    Attribute(name="tree", members={"tree": None}, types=_DIRECTORY, restored=Restored.CREATED),
    Attribute(
        name="target",
        members={"target": None, "rawtarget": None},
        types=_SYMLINK,
        compared=frozenset({_C.DIFF_CONTENT}),
        restored=Restored.CREATED,
    ),
    Attribute(
        name="device",
        members={"device": _device},
        types=_DEVICE,
        compared=frozenset({_C.DIFF_CONTENT}),
        restored=Restored.CREATED,
    ),
    Attribute(
        name="link",
        members={"link": _link},
        types=ALL - _DIRECTORY,
        compared=frozenset({_C.APPEARANCE}),
        restored=Restored.CREATED,
    ),
    Attribute(  # first of what is set: a new owner drops set-user-id bits and capabilities
        name="owner",
        members={"uid": attrgetter("st_uid"), "gid": attrgetter("st_gid")},
        compared=_DIFF_RIGHTS | {_C.APPEARANCE, _C.FOLDER},
        restored=_set_owner,
        root_only=True,
    ),
    Attribute(  # before the mode, which may forbid to write them
        name="xattrs",
        members={"xattrs": None},
        read=read_xattrs,
        compared=_DIFF_RIGHTS | {_C.CONTENT, _C.FOLDER},
        restored=_set_xattrs,
    ),
    Attribute(
        name="mode",
        members={"mode": lambda stat: st.S_IMODE(stat.st_mode)},
        compared=_DIFF_RIGHTS | {_C.APPEARANCE, _C.FOLDER, _C.RESTORED_FOLDER, _C.RESTORE_TEST},
        restored=_set_mode,
    ),
    Attribute(
        name="time",
        members={"mtime": lambda stat: tree.bounded_time(stat.st_mtime_ns)},
        compared=frozenset(
            {_C.UNCHANGED_FILE, _C.UNTOUCHED, _C.WRITTEN, _C.APPEARANCE, _C.FOLDER}
            | {_C.DIFF_FILE, _C.ALREADY_RESTORED, _C.RESTORED_FOLDER, _C.RESTORE_TEST}
        ),
        restored=_set_time,
    ),
    Attribute(
        name="flags",
        members={"flags": None},
        types=_FILE | _DIRECTORY,
        read=_read_flags,
        compared=_DIFF_RIGHTS | {_C.CONTENT, _C.FOLDER},
        restored=Restored.LAST,
    ),
    Attribute(
        name="ctime",
        members={"ctime": lambda stat: tree.bounded_time(stat.st_ctime_ns)},
        compared=frozenset({_C.UNCHANGED_FILE, _C.UNTOUCHED, _C.WRITTEN, _C.FOLDER}),
        restored=Restored.NEVER,
    ),
    Attribute(
        name="inode",
        members={"inode": attrgetter("st_ino")},
        compared=frozenset({_C.UNCHANGED_FILE, _C.UNTOUCHED, _C.APPEARANCE, _C.FOLDER}),
        restored=Restored.NEVER,
    ),
    Attribute(  # no member is compared, but what has one of these is always looked at more closely
        name="certainty",
        members={"uncertain": None, "copied": None},
        types=_FILE,
        compared=frozenset({_C.UNCHANGED_FILE}),
        restored=Restored.NEVER,
    ),
    Attribute(name="carried", members={"carried": None}, restored=Restored.NEVER),
)

# -- capturing -----------------------------------------------------------------------------------------------------

_READ: Final = tuple((tuple(a.members), a.read) for a in TABLE if a.read is not None)
_TYPE_BITS: Final = 0o170000
_MODE_BITS: Final = 0o7777


def entry_of(found: Found) -> Entry:
    """The entry of a name as ``lstat`` shows it. A socket has none: ``KeyError``.

    Written by hand, because each new file takes this way; a test holds it against the table.
    """
    stat = found.stat
    mode = stat.st_mode
    kind = _TYPES[mode & _TYPE_BITS]
    entry = Entry(
        type=kind,
        mode=mode & _MODE_BITS,
        uid=stat.st_uid,
        gid=stat.st_gid,
        mtime=tree.bounded_time(stat.st_mtime_ns),
        ctime=tree.bounded_time(stat.st_ctime_ns),
        inode=stat.st_ino,
    )
    if found.name.isascii():
        entry.name = found.name
    else:
        entry.name, entry.rawname = tree.encode_text(found.name)
    if kind == "file":
        entry.size = stat.st_size
    elif kind in ("char", "block"):
        entry.device = _device(stat)
    if stat.st_nlink > 1 and kind != "dir":
        entry.link = _link(stat)
    return entry


def read_attributes(
    entry: Entry, directory: SourceDirectory, name: str | None = None, fd: int | None = None
) -> Sequence[Unread]:
    """Fill in what ``lstat`` does not show: of an open file, of a name, or (both None) of the directory itself.

    What cannot be read is told, and costs nothing else. The entry is then without a ``ctime``, so that a later backup
    does not take it for unchanged, but tries again.
    """
    unread: Sequence[Unread] = ()
    for _members, read in _READ:
        if refused := read(entry, directory, name, fd):
            unread = (*unread, *refused)
    if unread:
        entry.ctime = 0
    return unread


def take_over_attributes(entry: Entry, known: Entry) -> None:
    """The same from another entry of an inode whose ``ctime`` is as it was: any change of them would show there."""
    for members, _read in _READ:
        for member in members:
            setattr(entry, member, getattr(known, member))


# -- comparing -----------------------------------------------------------------------------------------------------


def members_of(comparison: Comparison) -> tuple[str, ...]:
    """The members of ``Entry`` that a comparison is about."""
    return tuple(member for attribute in TABLE if comparison in attribute.compared for member in attribute.members)


_VALUES: Final[dict[Comparison, Callable[[Entry], tuple[Any, ...]]]] = {
    comparison: attrgetter(*members_of(comparison)) for comparison in Comparison
}
_SHOWN_IN: Final = {
    comparison: tuple(
        (attribute.name, member, capture)
        for attribute in TABLE
        if comparison in attribute.compared
        for member, capture in attribute.members.items()
        if capture is not None
    )
    for comparison in Comparison
}


def same(comparison: Comparison, a: Entry, b: Entry) -> bool:
    """Whether two entries are alike in what the comparison is about."""
    values = _VALUES[comparison]
    return values(a) == values(b)


def comparable(comparison: Comparison, entry: Entry) -> tuple[object, ...]:
    """What the comparison is about, as a value that can be a dictionary's key; absent and empty are one."""
    return tuple(map(_hashable, _VALUES[comparison](entry)))


def _hashable(value: object) -> object:
    if isinstance(value, dict):
        return tuple(sorted(value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(map(_hashable, value))
    return () if value is None else value


class Difference(msgspec.Struct, frozen=True):
    """An attribute of a file that is not what its entry says."""

    attribute: str
    found: int
    saved: int

    @property
    def text(self) -> str:
        """For people."""
        templates = {
            "size": _("the size of the restored file is {found} instead of {saved}"),
            "mode": _("the mode of the restored file is {found} instead of {saved}"),
            "time": _("the time of the restored file is {found} instead of {saved}"),
        }
        return templates[self.attribute].format(found=self.found, saved=self.saved)


def matches(comparison: Comparison, entry: Entry, stat: os.stat_result) -> bool:
    """Whether ``lstat`` shows what the entry says, in what the comparison is about."""
    return all(getattr(entry, member) == capture(stat) for _, member, capture in _SHOWN_IN[comparison])


def differences(comparison: Comparison, entry: Entry, stat: os.stat_result) -> list[Difference]:
    """In what a file is not as its entry says."""
    pairs = [(name, capture(stat), getattr(entry, member)) for name, member, capture in _SHOWN_IN[comparison]]
    return [Difference(name, found, saved) for name, found, saved in pairs if found != saved]
