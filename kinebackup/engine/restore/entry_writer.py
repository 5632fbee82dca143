"""Makes one entry of a snapshot real in a directory: content, links, devices, attributes.

Owns: system calls on the destination, always relative to an open directory and never through a link. Does not know:
trees, or which entries are wanted.

A restore gives it a temporary name; its own it gets from ``publisher.py``.
"""

import errno
import os
import stat as st
from collections.abc import Callable
from contextlib import suppress

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.place import Link, Node, Opened, Place
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import data_ids, extents_of
from kinebackup.engine.restore.attributes import Refused, apply
from kinebackup.engine.restore.owners import Owners
from kinebackup.engine.restore.sound_parts import Stretch, lay_out_sound_parts
from kinebackup.errors import Damaged
from kinebackup.i18n import _
from kinebackup.model import CancelToken, Problem

_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_STOPPING = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.ENODEV}


def stops_restore(error: OSError) -> bool:
    """Whether an error of the destination will meet every further file too."""
    return error.errno in _STOPPING


def refused_by_destination(path: str, error: OSError) -> Problem:
    """One file did not come back."""
    text = _("the destination refused it ({reason})").format(reason=error.strerror)
    return Problem("not-restored", f"/{path}", text)


class EntryWriter:
    """Writes entries with the blobs of one reader. One for each thread."""

    def __init__(
        self,
        reader: BlobReader,
        *,
        cancel: CancelToken,
        as_root: bool,
        owners: Owners | None = None,
        inherits_acl: bool = False,
    ) -> None:
        """``as_root``: owners can be set; ``owners`` says who they are here, None: the numbers that were saved.

        ``inherits_acl``: the folder gives what is made in it an access control list.
        """
        self._cancel = cancel
        self._reader = reader
        self._as_root = as_root
        self._owners = owners
        self._inherits_acl = inherits_acl

    def write(self, directory: int, name: str, entry: Entry, refused: Callable[[Refused], None]) -> int:
        """Create ``name`` in the open directory, in place of what an earlier try left; returns the bytes of content.

        ``refused`` hears of attributes that could not be set. Raises ``Damaged`` where the content cannot be had whole,
        ``OSError`` where the destination refuses, or ``Cancelled``, for a large file may take minutes; none leaves a
        trace.
        """
        try:
            try:
                return self._create(directory, name, entry, refused)
            except FileExistsError:
                os.unlink(name, dir_fd=directory)
                return self._create(directory, name, entry, refused)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
            raise

    def write_sound_parts(
        self, directory: int, name: str, entry: Entry, refused: Callable[[Refused], None]
    ) -> list[Stretch]:
        """The same for a damaged file, as far as it is sound; returns the stretches that are zero instead."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        fd = os.open(name, _CREATE, 0o600, dir_fd=directory)
        try:
            holes = lay_out_sound_parts(fd, entry, self._reader, self._cancel)
            self._apply(entry, Opened(fd, self._inherits_acl), refused)
        except BaseException:
            with suppress(OSError):
                os.unlink(name, dir_fd=directory)
            raise
        finally:
            os.close(fd)
        return holes

    def write_text(self, directory: int, name: str, text: str) -> None:
        """A file of our own beside restored ones. Raises ``OSError``."""
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=directory)
        with open(os.open(name, _CREATE, 0o600, dir_fd=directory), "w", encoding="utf-8") as file:
            file.write(text)

    def _create(self, directory: int, name: str, entry: Entry, refused: Callable[[Refused], None]) -> int:
        match entry.type:
            case "file":
                fd = os.open(name, _CREATE, 0o600, dir_fd=directory)
                try:
                    size = self._fill(fd, entry)
                    self._apply(entry, Opened(fd, self._inherits_acl), refused)
                finally:
                    os.close(fd)
                return size
            case "symlink":
                try:
                    os.symlink(entry.path_target, name, dir_fd=directory)
                except ValueError:  # a NUL in the bytes of the target
                    raise Damaged(_("the link points to an impossible path")) from None
                self._apply(entry, Link(directory, name), refused)
            case "fifo":
                os.mkfifo(name, 0o600, dir_fd=directory)
                self._apply_to_node(directory, name, entry, st.S_IFIFO, refused)
            case "char" | "block":
                kind = st.S_IFCHR if entry.type == "char" else st.S_IFBLK
                os.mknod(name, kind | 0o600, os.makedev(*(entry.device or (0, 0))), dir_fd=directory)
                self._apply_to_node(directory, name, entry, kind, refused)
            case "dir":
                raise ValueError("directories are made by the restore itself")
        return 0

    def _apply_to_node(
        self, directory: int, name: str, entry: Entry, kind: int, refused: Callable[[Refused], None]
    ) -> None:
        fd = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
        try:
            if st.S_IFMT(os.fstat(fd).st_mode) != kind:  # somebody has put something else in its place
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), name)
            self._apply(entry, Node(fd, self._inherits_acl), refused)
        finally:
            os.close(fd)

    def _apply(self, entry: Entry, place: Place, refused: Callable[[Refused], None]) -> None:
        owned = self._owners.here(entry) if self._owners else entry
        apply(owned, place, as_root=self._as_root, refused=refused)

    def _fill(self, fd: int, entry: Entry) -> int:
        blobs = data_ids(entry, self._reader)
        extents = extents_of(entry, self._reader)
        if extents is not None:
            return self._fill_extents(fd, entry.size, extents, blobs)
        done = 0
        for text in blobs:
            done += _write_all(fd, self._read(text), done)
            if done > entry.size:
                break
        if done != entry.size:
            raise _wrong_length()
        return done

    def _read(self, text: str) -> bytes | memoryview:
        self._cancel.check()
        return self._reader.read(Kind.DATA, tree.blob_id(text))

    def _fill_extents(self, fd: int, size: int, where: list[tuple[int, int]], blobs: list[str]) -> int:
        os.ftruncate(fd, size)
        extents = tree.data_extents(size, where)
        offset, room = 0, 0
        for text in blobs:
            piece = memoryview(self._read(text))
            while piece:
                if not room:
                    offset, room = next(extents, (0, 0))
                    if not room:
                        raise Damaged(_("the content is longer than the backup says"))
                part = piece[:room]
                _write_all(fd, part, offset)
                offset, room, piece = offset + len(part), room - len(part), piece[len(part) :]
        if room or next(extents, None) is not None:
            raise _wrong_length()
        return sum(length for _, length in where)


def _wrong_length() -> Damaged:
    return Damaged(_("the content is not as long as the backup says"))


def _write_all(fd: int, data: bytes | memoryview, offset: int) -> int:
    done = os.pwrite(fd, data, offset)
    while done < len(data):
        done += os.pwrite(fd, memoryview(data)[done:], offset + done)
    return done
