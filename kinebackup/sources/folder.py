"""Folders of the practice as the engine reads them: the real ``Source``.

Owns: walking by directory descriptors, exclusions, the mount boundary, extended attributes, owners' names.
Does not know: what is new, or where it is written.

Every step is taken from an open directory (openat) and never through a link: the daemon runs as root and reads folders
that an ordinary program may rearrange while it does.
"""

import errno
import fnmatch
import grp
import os
import pwd
import re
import stat
import unicodedata
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass
from operator import attrgetter

from kinebackup.engine import COMPANIONS, Border, Found, LinkRefused, Listing, LiveCopy, Looked, is_database, is_text
from kinebackup.sources.borders import border_at
from kinebackup.sources.links import real_path
from kinebackup.sources.live_database import DatabaseCopier

_READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
_WAY_FLAGS = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_DIRECTORY_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# A label of the local security policy; it means nothing on another computer and cannot be set there.
_SKIPPED_XATTRS = {"security.selinux"}
_name = attrgetter("name")


class Exclusions:
    """Patterns: one without ``/`` matches a name anywhere, one with ``/`` the path below the source.

    ``*`` and ``?`` stand for others, every other character for itself. Unicode's two ways of writing an accent make no
    difference: a name from a Mac looks the same on the screen.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._names = _union([p for p in patterns if "/" not in p])
        self._paths = _union([p.strip("/") for p in patterns if "/" in p])

    def __bool__(self) -> bool:
        return bool(self._names or self._paths)

    def match(self, name: str, relative: str) -> bool:
        if not relative.isascii() or not name.isascii():
            name, relative = unicodedata.normalize("NFC", name), unicodedata.normalize("NFC", relative)
        return bool((self._names and self._names.match(name)) or (self._paths and self._paths.match(relative)))


def _union(patterns: Sequence[str]) -> re.Pattern[str] | None:
    return re.compile("|".join(map(_translated, patterns))) if patterns else None


def _translated(pattern: str) -> str:
    """As a regular expression; ``[`` is a letter like others, for folders bear such names."""
    return fnmatch.translate(unicodedata.normalize("NFC", pattern).replace("[", "[[]"))


@dataclass(frozen=True, slots=True)
class Scope:
    """Which files belong to a source: two sources of equal scope read the same files."""

    path: str
    exclude: tuple[str, ...]
    one_file_system: bool


class FolderDirectory:
    """One open directory."""

    __slots__ = ("_device", "_owner", "_relative", "fd")

    def __init__(self, owner: "FolderSource", fd: int, relative: str, device: int) -> None:
        self._owner = owner
        self.fd = fd
        self._relative = relative
        self._device = device

    def listing(self) -> Listing:
        names: list[str] = []
        broken = None
        with os.scandir(self.fd) as scan:
            try:
                names.extend(map(_name, scan))  # where it breaks off, what came before is kept
            except OSError as error:
                broken = error
        names.sort(key=None if is_text("".join(names)) else os.fsencode)  # UTF-8 keeps the order of the characters
        if self._owner.exclusions and (left_out := self._left_out(names)):
            names = [name for name in names if name not in left_out]
        return Listing(names, broken)

    def look_at(self, names: Sequence[str]) -> Looked:
        found: list[Found] = []
        unseen: list[tuple[str, OSError]] = []
        lstat, fd = os.stat, self.fd
        for name in names:
            try:
                found.append(Found(name, lstat(name, dir_fd=fd, follow_symlinks=False)))
            except FileNotFoundError:
                continue  # removed since the directory was listed: as if never there
            except OSError as error:
                unseen.append((name, error))
        return Looked(found, unseen)

    def _left_out(self, names: Sequence[str]) -> set[str]:
        """The names that are excluded. What belongs to a database goes with it: neither is worth anything alone."""
        match = self._owner.exclusions.match
        left_out = {name for name in names if match(name, self._below(name))}
        for name in names:
            if name.endswith(COMPANIONS):
                database = name.rpartition("-")[0]
                if (database in left_out) != (name in left_out) and self._is_database(database):
                    left_out ^= {name}
        return left_out

    def _is_database(self, name: str) -> bool:
        try:
            fd = os.open(name, _READ_FLAGS, dir_fd=self.fd)
        except OSError:
            return False
        try:
            return stat.S_ISREG(os.fstat(fd).st_mode) and is_database(fd)
        except OSError:
            return False
        finally:
            os.close(fd)

    def _below(self, name: str) -> str:
        return f"{self._relative}/{name}" if self._relative else name

    def open_file(self, name: str) -> int:
        try:
            return os.open(name, _READ_FLAGS | os.O_NOATIME, dir_fd=self.fd)
        except PermissionError:  # O_NOATIME is for the owner and root
            return os.open(name, _READ_FLAGS, dir_fd=self.fd)

    def open_directory(self, name: str) -> "FolderDirectory":
        fd = os.open(name, _DIRECTORY_FLAGS, dir_fd=self.fd)
        return FolderDirectory(self._owner, fd, self._below(name), os.fstat(fd).st_dev)

    def duplicate(self) -> "FolderDirectory":
        return FolderDirectory(self._owner, os.dup(self.fd), self._relative, self._device)

    def read_link(self, name: str) -> str:
        return os.readlink(name, dir_fd=self.fd)

    def xattr_names(self, name: str | None, fd: int | None) -> list[str]:
        where, follow = self._place(name, fd)
        try:
            listed = os.listxattr(where, follow_symlinks=follow)
        except OSError as error:
            if error.errno == errno.ENOTSUP:
                return []
            raise
        if not listed:
            return listed
        return [attribute for attribute in listed if attribute not in _SKIPPED_XATTRS]

    def xattr(self, name: str | None, fd: int | None, attribute: str) -> bytes:
        where, follow = self._place(name, fd)
        return os.getxattr(where, attribute, follow_symlinks=follow)

    def _place(self, name: str | None, fd: int | None) -> tuple[int | str, bool]:
        """What the calls for attributes take, and whether they are to follow it."""
        if name is not None and fd is None:
            return f"/proc/self/fd/{self.fd}/{name}", False
        return (self.fd if fd is None else fd), True

    def border(self, found: Found) -> Border:
        if found.stat.st_dev == self._device:
            return Border.NONE
        border = border_at(self.fd, found.name)
        return border if self._owner.one_file_system or border is Border.SNAPSHOT else Border.NONE

    def live_copy(self, name: str) -> LiveCopy | None:
        return self._owner.copier.copy(self.fd, name) if self._owner.copier else None

    def close(self) -> None:
        os.close(self.fd)


class FolderSource:
    """One configured source folder."""

    def __init__(
        self,
        path: str,
        *,
        exclude: Sequence[str] = (),
        one_file_system: bool = True,
        copier: DatabaseCopier | None = None,
    ) -> None:
        """``path``: absolute. Links on the way to the folder are resolved once, here; ``open_root`` follows none."""
        self.configured = path
        self._refused: LinkRefused | None = None
        try:
            self.path = real_path(path, as_root=os.geteuid() == 0)
        except LinkRefused as error:
            self.path, self._refused = path, error
        self.scope = Scope(self.path, tuple(exclude), one_file_system)
        self.exclusions = Exclusions(exclude)
        self.one_file_system = one_file_system
        self.copier = copier

    def write_out(self, done: set[int]) -> None:
        if not self.one_file_system:  # others are entered on the way
            os.sync()
            return
        with suppress(OSError):  # a folder that cannot be opened is said later
            fd = os.open(self.path, _READ_FLAGS)
            try:
                device = os.fstat(fd).st_dev
                if device not in done:
                    done.add(device)
                    _sync_file_system(fd)
            finally:
                os.close(fd)

    def open_root(self) -> FolderDirectory:
        if self._refused is not None:
            raise self._refused
        above, _slash, name = self.path.rpartition("/")
        fd = os.open("/", _WAY_FLAGS)
        try:
            for part in filter(None, above.split("/")):
                fd = _step(fd, os.open(part, _WAY_FLAGS, dir_fd=fd))
            is_folder = stat.S_ISDIR(os.stat(name, dir_fd=fd, follow_symlinks=False).st_mode)
            fd = _step(fd, os.open(name if is_folder else ".", _DIRECTORY_FLAGS, dir_fd=fd))
            return FolderDirectory(self, fd, "", os.fstat(fd).st_dev)
        except BaseException:
            os.close(fd)
            raise

    def ancestors(self) -> list[Found]:
        found: list[Found] = []
        path = ""
        for part in self.path.strip("/").split("/"):
            path += f"/{part}"
            found.append(Found(part, os.lstat(path)))
        return found


def _step(from_fd: int, to_fd: int) -> int:
    os.close(from_fd)
    return to_fd


def _sync_file_system(fd: int) -> None:
    import ctypes  # not for commands that save nothing

    ctypes.CDLL(None).syncfs(fd)  # what it could not write is the affair of whoever wrote it


class SystemNames:
    """Owners' names from this computer's user database; a number without a name is left out."""

    def users(self, uids: Collection[int]) -> dict[str, str]:
        return _named(uids, lambda uid: pwd.getpwuid(uid).pw_name)

    def groups(self, gids: Collection[int]) -> dict[str, str]:
        return _named(gids, lambda gid: grp.getgrgid(gid).gr_name)

    def uid_of(self, name: str) -> int | None:
        try:
            return pwd.getpwnam(name).pw_uid
        except (KeyError, ValueError):  # ValueError: a NUL in the name
            return None

    def gid_of(self, name: str) -> int | None:
        try:
            return grp.getgrnam(name).gr_gid
        except (KeyError, ValueError):
            return None


def _named(numbers: Collection[int], look_up: Callable[[int], str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for number in sorted(numbers):
        try:
            found[str(number)] = look_up(number)
        except KeyError:
            continue
    return found
