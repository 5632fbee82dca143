"""The port through which the engine sees what it saves. ``kinebackup.sources.folder`` is the real implementation.

Owns: the contract. Does not know: configuration, exclusions, databases' own means.
"""

import errno
import os
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

import msgspec

from kinebackup.engine.format.tree import Copied

SQLITE_MAGIC: Final = b"SQLite format 3\0"
# What SQLite keeps beside a database in use: the two belong together. A copy made by its own means has what they hold.
COMPANIONS: Final = ("-wal", "-shm", "-journal")


class Found(msgspec.Struct, frozen=True, gc=False):
    """A name in a directory, and ``lstat`` of it. A struct, because a million of them are made in a run."""

    name: str
    stat: os.stat_result


@dataclass(frozen=True, slots=True)
class Listing:
    """The names in a directory, excluded ones left out, sorted by their bytes.

    ``broken``: why there may be more names than these.
    """

    names: list[str]
    broken: OSError | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """Names of a directory, each with ``lstat`` of it; one that was removed meanwhile is as if never there.

    ``unseen``: names of which ``lstat`` fails, and how.
    """

    found: list[Found]
    unseen: Sequence[tuple[str, OSError]] = ()


@dataclass(frozen=True, slots=True)
class LiveCopy:
    """A consistent copy of a live database: an open file without a name, and what to remember of the original."""

    fd: int
    copied: Copied


class Border(Enum):
    """What begins at a directory."""

    NONE = auto()
    SUBVOLUME = auto()  # of the same file system, and entered; changes in it are seen by looking only
    FILE_SYSTEM = auto()  # another one, which is not entered
    SNAPSHOT = auto()  # a read-only one of the same file system, which is not entered


class SourceDirectory(Protocol):
    """An open directory of a source. Every method raises ``OSError`` as the system does; links are never followed."""

    fd: int

    def listing(self) -> Listing:
        """What lies here, as far as it can be listed. Whether what belongs to a database is left out is the database's
        affair.
        """

    def look_at(self, names: Sequence[str]) -> Looked:
        """Some of these names, in the same order; never raises."""

    def open_file(self, name: str) -> int:
        """A descriptor for reading, without changing the access time where that is possible. Never blocks on a fifo."""

    def open_directory(self, name: str) -> "SourceDirectory": ...

    def duplicate(self) -> "SourceDirectory":
        """The same directory, to be kept open on its own."""

    def read_link(self, name: str) -> str: ...

    def xattr_names(self, name: str | None, fd: int | None) -> list[str]:
        """Extended attributes of an open file, of a name here, or (both None) of the directory itself."""

    def xattr(self, name: str | None, fd: int | None, attribute: str) -> bytes:
        """The value of one of them."""

    def border(self, found: Found) -> Border:
        """What begins at a subdirectory; never raises."""

    def live_copy(self, name: str) -> LiveCopy | None:
        """A copy made by the database's own means; None where that is impossible. The caller closes ``fd``."""

    def close(self) -> None: ...


def listing_of(directory: SourceDirectory) -> Listing:
    """What lies in a directory, whatever happens: none of it, where it cannot even be begun."""
    try:
        return directory.listing()
    except OSError as error:
        return Listing([], broken=error)


def is_database(fd: int) -> bool:
    """Whether an open file begins as an SQLite database."""
    return os.pread(fd, len(SQLITE_MAGIC), 0) == SQLITE_MAGIC


class LinkRefused(PermissionError):
    """A link on the way to a source is not followed: what it leads to does not belong to the link's owner."""

    def __init__(self, link: str, target: str) -> None:
        super().__init__(errno.EPERM, os.strerror(errno.EPERM))
        self.link = link
        self.target = target


class Source(Protocol):
    """One configured source, or the way to it. ``configured``: its path as it was given; ``path``: without links."""

    configured: str
    path: str

    def write_out(self, done: set[int]) -> None:
        """Have its file system write what is in memory, unless its device is among those ``done``; it is then.

        A write through a memory map shows in a file's times only where the page was not waiting to be written already.
        """

    def open_root(self) -> SourceDirectory:
        """The folder itself, or the folder of a source that is one file. Raises ``OSError`` where it is missing."""

    def ancestors(self) -> list[Found]:
        """Each name from the child of ``/`` down to the source itself."""
