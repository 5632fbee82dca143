"""Hard links of a restore: which names are one file, and making the further ones.

Owns: the name that is written, where it lies, the names that follow. Does not know: how content is written.

A further name is linked only to what this run wrote or found identical in content; else the content is written again.
"""

import errno
import hashlib
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import suppress
from operator import attrgetter
from typing import Final

import msgspec

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.restore.destination import Destination, Folder
from kinebackup.engine.restore.publisher import Target
from kinebackup.engine.restore.records import Records
from kinebackup.engine.restore.same_content import has_content_of
from kinebackup.errors import Damaged

_PACKED: Final = struct.Struct("<QQ?")  # device, number, written


class Later(msgspec.Struct, frozen=True):
    """A further name, made once all that is first is there."""

    path: str
    target: Target
    entry: Entry


class LinkResult(msgspec.Struct, frozen=True):
    """``is_next_first``: where none was made, the content is written again, and further names are linked to that."""

    made: bool
    is_next_first: bool


class _PutOff(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A ``Later`` to be kept. ``folder``: its number."""

    path: bytes
    folder: int
    name: bytes
    replaces: bool
    entry: Entry


class _Located(msgspec.Struct, frozen=True):
    """``written``: by this run, or found identical."""

    folder: str
    name: str
    inode: tuple[int, int]
    written: bool

    def packed(self) -> bytes:
        """In a third of the memory."""
        return _PACKED.pack(*self.inode, self.written) + os.fsencode(f"{self.folder}/{self.name}")

    @classmethod
    def of(cls, packed: bytes) -> "_Located":
        device, number, written = _PACKED.unpack_from(packed)
        folder, _slash, name = os.fsdecode(packed[_PACKED.size :]).rpartition("/")
        return cls(folder, name, (device, number), written)


class _Inode(msgspec.Struct, gc=False):
    """What is known of one inode of the backup. ``first``: by its hash, the path that is to be written."""

    first: int
    located: bytes = b""


class HardLinks:
    """Of one run. For several threads. There may be a million, so that of each little is kept."""

    def __init__(self, destination: Destination, repository: LoadedRepository) -> None:
        self._destination = destination
        self._repository = repository
        self._inodes: dict[bytes, _Inode] = {}
        self._folders: list[Folder] = []
        self._later = Records(_PutOff)
        self._lock = threading.Lock()

    def note(self, entry: Entry, path: str) -> None:
        """The first of its names is the one to be written: the same in each run, so that one can go on."""
        self._inodes.setdefault(_inode_of(entry), _Inode(hash(path)))

    def is_first(self, entry: Entry, path: str) -> bool:
        """Whether it is the name to be written."""
        return self._inodes[_inode_of(entry)].first == hash(path)

    def put_off(self, later: Later) -> None:
        """The others come once all files are there."""
        target = later.target
        with self._lock:
            if not self._folders or self._folders[-1] is not target.folder:
                self._folders.append(target.folder)
            number = len(self._folders) - 1
            name = os.fsencode(target.name)
            self._later.add(_PutOff(os.fsencode(later.path), number, name, target.replaces, later.entry))

    def put_off_names(self) -> Iterator[Later]:
        """In order of their paths, as far as the workers kept to it."""
        for part in self._later.parts():
            for each in sorted(part, key=attrgetter("path")):
                target = Target(self._folders[each.folder], os.fsdecode(each.name), each.replaces)
                yield Later(os.fsdecode(each.path), target, each.entry)

    def found(self, entry: Entry, directory: int, folder: str, name: str, *, written: bool) -> None:
        """A name of the file lies in the open directory. ``written``: by this run; else it looks like the saved one."""
        stat = os.stat(name, dir_fd=directory, follow_symlinks=False)
        located = _Located(folder, name, (stat.st_dev, stat.st_ino), written).packed()
        inode = self._inodes[_inode_of(entry)]
        with self._lock:
            if written or not inode.located:
                inode.located = located

    def link(self, entry: Entry, directory: int, temporary: str, reader: BlobReader) -> LinkResult:
        """Make a temporary name of the file in the open directory."""
        located = self._inodes[_inode_of(entry)].located
        place = _Located.of(located) if located else None
        if place is None or not (place.written or self._is_identical(place, entry, reader)):
            return LinkResult(made=False, is_next_first=True)
        try:
            self._make(place, directory, temporary)
            stat = os.stat(temporary, dir_fd=directory, follow_symlinks=False)
        except OSError as error:
            with suppress(OSError):
                os.unlink(temporary, dir_fd=directory)
            return LinkResult(made=False, is_next_first=error.errno == errno.EMLINK)
        if (stat.st_dev, stat.st_ino) != place.inode:  # somebody has put another file there meanwhile
            os.unlink(temporary, dir_fd=directory)
            return LinkResult(made=False, is_next_first=True)
        return LinkResult(made=True, is_next_first=False)

    def _make(self, place: _Located, directory: int, temporary: str) -> None:
        try:
            self._destination.link(place.folder, place.name, directory, temporary)
        except FileExistsError:
            os.unlink(temporary, dir_fd=directory)
            self._destination.link(place.folder, place.name, directory, temporary)

    def _is_identical(self, place: _Located, entry: Entry, reader: BlobReader) -> bool:
        """Whether a file that was there holds what was saved. It is read once."""
        same = self._compared(place, entry, reader)
        with self._lock:
            self._inodes[_inode_of(entry)].located = (
                msgspec.structs.replace(place, written=True).packed() if same else b""
            )
        return same

    def _compared(self, place: _Located, entry: Entry, reader: BlobReader) -> bool:
        if entry.type != "file":
            return False
        try:
            with self._destination.opened_file(place.folder, place.name) as fd:
                stat = os.fstat(fd)
                return (
                    (stat.st_dev, stat.st_ino) == place.inode
                    and stat.st_size == entry.size
                    and has_content_of(fd, entry, self._repository, reader)
                )
        except (OSError, Damaged):
            return False


def _inode_of(entry: Entry) -> bytes:
    """The same for entries that are to be one inode: of one ``link``, and alike in all but the name.

    ``link`` alone does not do: an inode's number is given to another file once the first is deleted, a device's after
    a restart. Linked to the wrong one, a file would come back with another's content.
    """
    return hashlib.sha256(msgspec.json.encode(msgspec.structs.replace(entry, name="", rawname=""))).digest()[:16]
