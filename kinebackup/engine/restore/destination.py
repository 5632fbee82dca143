"""The folder that a restore writes below.

Owns: opening, making and syncing folders in it without ever leaving it, and giving files their names there without
replacing what this run wrote. Does not know: what is restored.
"""

import errno
import os
import stat as st
import threading
from collections import OrderedDict
from collections.abc import Callable, Container, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from kinebackup.engine.inode_flags import read_flags
from kinebackup.engine.place import ACL, DEFAULT_ACL, has_default_acl, remove_xattr
from kinebackup.engine.restore.names import NameSet, is_substitute, leftover_of, substitute_name
from kinebackup.engine.restore.system_calls import rename_without_replacing, sync_file_system

_DIRECTORY_FLAGS: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FILE_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_KEPT_OPEN: Final = 64
_UNKNOWN_FLAG: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP})
UNFINISHED: Final = 0o1700
"""The mode of a folder that a restore made and has not finished: closed to others, and no program else makes such."""


class Folder(msgspec.Struct, frozen=True):
    """A directory below the destination. ``names``: what lay there before this run; None where nobody may list it.

    ``made``: by this run, or by one that was killed before it could finish it. ``inherits_acl``: it gives what is made
    in it an access control list. ``is_closed``: nothing in it can be renamed or removed, not even by root.
    """

    at: str
    device: int
    names: Container[str] | None = NameSet()
    made: bool = False
    has_substitutes: bool = False
    inherits_acl: bool = False
    is_closed: bool = False

    def had(self, name: str) -> bool:
        """Whether something lay there under exactly this name, or might have."""
        return self.names is None or name in self.names

    def name_of(self, name: str) -> str:
        """What an earlier run called that file: by another name, where its own could not be had."""
        if self.has_substitutes and not self.had(name) and self.had(other := substitute_name(name)):
            return other
        return name


class Destination:
    """The directory that everything is restored below; nothing outside it is ever touched. For several threads.

    The directories used last stay open, so that a path is not opened from the top for each name in it.
    """

    def __init__(self, path: str) -> None:
        os.makedirs(path, exist_ok=True)
        self._fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._kept: OrderedDict[str, int] = OrderedDict()
        self._file_systems: dict[int, int] = {}
        self._lock = threading.Lock()

    def open(self, path: str) -> int:
        """A descriptor of a directory below, for the caller to close.

        Raises ``OSError`` where a component is missing or is a link.
        """
        with self._lock:
            return os.dup(self._open(path))

    @contextmanager
    def opened_file(self, path: str, name: str) -> Iterator[int]:
        """A file in a directory below, to be read. Raises ``OSError``; a link is not followed."""
        directory = self.open(path)
        try:
            fd = os.open(name, _FILE_FLAGS, dir_fd=directory)
        finally:
            os.close(directory)
        try:
            yield fd
        finally:
            os.close(fd)

    def _open(self, path: str) -> int:
        at, fd = path, self._fd
        while at:
            if at in self._kept:
                self._kept.move_to_end(at)
                fd = self._kept[at]
                break
            at = at.rpartition("/")[0]
        for part in path[len(at) :].split("/"):
            if part:
                at = f"{at}/{part}" if at else part
                fd = self._kept[at] = os.open(part, _DIRECTORY_FLAGS, dir_fd=fd)
                if len(self._kept) > _KEPT_OPEN:
                    os.close(self._kept.popitem(last=False)[1])
        return fd

    # -- folders -------------------------------------------------------------------------------------------------

    def top(self) -> Folder:
        """The destination itself."""
        return self._enter("", made=False)

    def make(self, parent: Folder, name: str, is_restored: Callable[[os.stat_result], bool]) -> Folder:
        """Make a directory, or take the one that lay there under exactly that name before.

        ``is_restored``: whether one is as an earlier run left it; its owner may then write in it. Raises
        ``FileExistsError`` where something else has the name, or what this run made looks the same here.
        """
        at = f"{parent.at}/{name}" if parent.at else name
        with self._lock:
            fd = self._open(parent.at)
            try:
                os.mkdir(name, UNFINISHED, dir_fd=fd)
            except FileExistsError:
                if not parent.had(name):
                    raise
                there = os.stat(name, dir_fd=fd, follow_symlinks=False)
                if not st.S_ISDIR(there.st_mode):
                    raise
                if is_restored(there):
                    _open_up(fd, name, st.S_IMODE(there.st_mode))
            else:
                if parent.inherits_acl:
                    _without_acls(self._open(at))
                return Folder(at, parent.device, made=True)
        unfinished = st.S_IMODE(there.st_mode) == UNFINISHED and os.geteuid() in (0, there.st_uid)
        return self._enter(at, made=unfinished)

    def _enter(self, at: str, *, made: bool) -> Folder:
        """A directory that was there before, without what killed runs left in it."""
        with self._lock:
            try:
                fd = self._open(at)
            except OSError:  # somebody else's: each file in it will be reported
                return Folder(at, device=0, names=None, made=made)
            device = os.fstat(fd).st_dev
            if device not in self._file_systems:
                self._file_systems[device] = os.dup(fd)
            folder = Folder(at, device, None, made, inherits_acl=has_default_acl(fd), is_closed=_is_closed(fd))
            try:
                has_substitutes = _swept(fd, is_closed=folder.is_closed)
                return msgspec.structs.replace(folder, names=NameSet(_names_in(fd)), has_substitutes=has_substitutes)
            except OSError:
                return folder

    def sync(self, devices: Iterable[int]) -> None:
        """Returns when everything written to these file systems is on their devices. Raises ``OSError``."""
        for device in sorted(set(devices) & self._file_systems.keys()):
            sync_file_system(self._file_systems[device])

    # -- names ---------------------------------------------------------------------------------------------------

    def replace(self, directory: int, temporary: str, name: str) -> None:
        """Give a file its name in the open directory; what had it goes. Raises ``OSError``."""
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        with suppress(FileNotFoundError):  # where both are one inode already, rename(2) does nothing
            os.unlink(temporary, dir_fd=directory)

    def name(self, directory: int, temporary: str, name: str) -> None:
        """Give a file its name in the open directory, if nothing has it: else ``FileExistsError``."""
        try:
            self.rename_without_replacing(directory, temporary, name)
        except OSError as error:
            if error.errno not in _UNKNOWN_FLAG:
                raise
            with self._lock:  # no two threads find the same name free
                self._name_otherwise(directory, temporary, name)

    def rename_without_replacing(self, directory: int, temporary: str, name: str) -> None:
        """One system call, which some file systems do not have. Raises ``OSError``."""
        rename_without_replacing(directory, temporary, name)

    def link_beside(self, directory: int, temporary: str, name: str) -> None:
        """A further name in the same directory, likewise."""
        os.link(temporary, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=False)

    def _name_otherwise(self, directory: int, temporary: str, name: str) -> None:
        """By a hard link, or else by looking first."""
        try:
            self.link_beside(directory, temporary, name)
        except FileExistsError:
            raise
        except OSError:
            if _is_there(directory, name):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), name) from None
            os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        else:
            os.unlink(temporary, dir_fd=directory)

    def link(self, source: str, first: str, directory: int, temporary: str) -> None:
        """Make a further name of a file in the folder ``source``. Raises ``OSError``."""
        with self._lock:
            fd = self._open(source)
            os.link(first, temporary, src_dir_fd=fd, dst_dir_fd=directory, follow_symlinks=False)

    def close(self) -> None:
        for fd in (self._fd, *self._kept.values(), *self._file_systems.values()):
            os.close(fd)
        self._kept.clear()
        self._file_systems.clear()


def _is_there(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except OSError:
        return False
    return True


def _names_in(directory: int) -> Iterator[str]:
    """One by one: there may be a million. Raises ``OSError``."""
    with os.scandir(directory) as found:
        for entry in found:
            yield entry.name


def _swept(directory: int, *, is_closed: bool) -> bool:
    """Whether there are substitutes in a directory, from which goes what killed runs left. Raises ``OSError``."""
    leftovers: list[str] = []
    has_substitutes = False
    for name in _names_in(directory):
        has_substitutes = has_substitutes or is_substitute(name)
        if not is_closed and leftover_of(name) is not None:
            leftovers.append(name)
    for name in leftovers:
        _sweep(directory, name)
    return has_substitutes


def _sweep(directory: int, name: str) -> None:
    """Remove what a killed run left; what another run is writing stays."""
    pid = leftover_of(name)
    if pid and pid != os.getpid() and os.path.exists(f"/proc/{pid}"):
        return
    with suppress(OSError):  # a folder of that name, or one in which nothing may be removed
        os.unlink(name, dir_fd=directory)


def _is_closed(fd: int) -> bool:
    try:
        return bool(read_flags(fd))
    except OSError:
        return False


def _without_acls(fd: int) -> None:
    """Nobody is let in by a list that the backup does not have; nor does it go on to what is made below."""
    for name in (ACL, DEFAULT_ACL):
        remove_xattr(fd, name)


def _open_up(parent: int, name: str, mode: int) -> None:
    """Let the owner write in a directory of an earlier run, which has its own mode already; it gets that again."""
    if mode & 0o700 == 0o700:
        return
    with suppress(OSError):  # somebody else's: what cannot be written in it is reported file by file
        fd = os.open(name, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            os.chmod(f"/proc/self/fd/{fd}", mode | 0o700)
        finally:
            os.close(fd)
