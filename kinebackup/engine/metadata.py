"""Entries as ``lstat`` shows them.

Owns: what of ``lstat`` an entry keeps, and when two entries look alike. Does not know: contents, or walking.
"""

import os
import stat as st

from kinebackup.engine.backup.source import Found
from kinebackup.engine.format import tree
from kinebackup.engine.format.tree import Entry

_TYPES: dict[int, tree.EntryType] = {
    st.S_IFREG: "file",
    st.S_IFDIR: "dir",
    st.S_IFLNK: "symlink",
    st.S_IFIFO: "fifo",
    st.S_IFCHR: "char",
    st.S_IFBLK: "block",
}


def entry_of(found: Found) -> Entry:
    """The entry of a name as ``lstat`` shows it, without content. A socket has none: ``KeyError``."""
    stat = found.stat
    mode = stat.st_mode
    kind = _TYPES[st.S_IFMT(mode)]
    entry = Entry(
        type=kind,
        mode=st.S_IMODE(mode),
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
        entry.device = (os.major(stat.st_rdev), os.minor(stat.st_rdev))
    if stat.st_nlink > 1 and kind != "dir":
        entry.link = f"{stat.st_dev:x}:{stat.st_ino:x}"
    return entry


def looks_like(a: Entry, b: Entry) -> bool:
    """Whether ``lstat`` shows no difference but, perhaps, the time at which something was changed."""
    return (a.type, a.mode, a.uid, a.gid, a.mtime, a.inode, a.size, a.link) == (
        b.type,
        b.mode,
        b.uid,
        b.gid,
        b.mtime,
        b.inode,
        b.size,
        b.link,
    )


def holds_the_same(a: Entry, b: Entry) -> bool:
    """Whether two files have the same content and attributes, once both are known."""
    return (a.blobs, a.lists, a.extents, a.xattrs) == (b.blobs, b.lists, b.extents, b.xattrs)


def same_but_for_tree(a: Entry, b: Entry) -> bool:
    """Whether two directories have the same attributes."""
    return (a.mode, a.uid, a.gid, a.mtime, a.ctime, a.inode, a.xattrs) == (
        b.mode,
        b.uid,
        b.gid,
        b.mtime,
        b.ctime,
        b.inode,
        b.xattrs,
    )
