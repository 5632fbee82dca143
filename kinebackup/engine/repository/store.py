"""The port through which every byte reaches a repository, and its real implementation on a directory.

Owns: the durable write (temporary file, length, fsync, rename, fsync of the directory) and the meaning of failures.
Does not know: what is written.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from kinebackup.engine.format.constants import Buffer
from kinebackup.errors import Damaged, DriveFailed, DriveFull, NotFound
from kinebackup.i18n import _

# Not supported by some file systems (exFAT and FUSE in places): durability is then the drive's own affair.
_FSYNC_UNSUPPORTED = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}
# While reading: a bad sector, a file system's own checksum, or a link or directory in the place of a file.
_DAMAGE = {errno.EIO, errno.EUCLEAN, errno.EBADMSG, errno.ELOOP, errno.EISDIR}
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY  # a pipe in the place of a file must not hold up a run


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file of the repository: its name within its directory, its size in bytes."""

    name: str
    size: int


class PendingFile(Protocol):
    """A file being written under ``tmp/``. It exists for nobody until it is committed."""

    size: int

    def write(self, data: Buffer) -> None:
        """Append all of ``data``. Raises ``DriveFailed``."""

    def commit(self, path: str) -> None:
        """Check the length, sync, rename to ``path``. Durable only after ``Store.sync_directories([…])``."""

    def abandon(self) -> None:
        """Drop it. Never raises."""


class Store(Protocol):
    """One repository's directory. Paths are relative, with ``/``. Safe to use from several threads.

    Contract, which every implementation passes (tests/engine/repository/test_store.py): ``read`` of what was
    committed gives the same bytes; a committed file is never seen in part; ``list_files`` shows committed files only;
    ENOSPC, EIO, EROFS and a vanished drive raise ``DriveFailed``; what cannot be read although it is there raises
    ``Damaged``; an absent file raises ``NotFound``.
    """

    def create(self) -> PendingFile: ...

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes ``offset … offset + size`` (to the end without a size). Raises ``Damaged`` when fewer are there."""

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        """Fill the buffer as far as the file goes; returns the number of bytes."""

    def size(self, path: str) -> int: ...

    def list_files(self, directory: str) -> list[FileInfo]:
        """Files of a directory, sorted by name; empty where it does not exist."""

    def subdirectories(self, directory: str) -> list[str]: ...

    def make_directories(self, paths: Iterable[str]) -> None: ...

    def remove(self, path: str) -> None:
        """Unlink; a file that is not there is no error."""

    def sync_directories(self, paths: Iterable[str]) -> None:
        """Make renames and removals in these directories durable."""

    def drop_cache(self, path: str) -> None:
        """Ask the system to forget its cached pages of the file, so that the next read comes from the drive."""

    def free_bytes(self) -> int: ...


@contextlib.contextmanager
def drive_errors(path: str, *, reading: bool = False) -> Iterator[None]:
    """Turn errors of the operating system into ours; the path is relative to the repository, so it tells nothing.

    While ``reading``, an I/O error is damage to that file; the rest of the drive may be sound.
    """
    try:
        yield
    except OSError as error:
        if reading and error.errno in _DAMAGE:
            raise Damaged(_("{path} cannot be read from the drive").format(path=path)) from error
        raise translate(error, path) from error


def translate(error: OSError, path: str) -> NotFound | DriveFailed:
    """What an ``OSError`` on the drive means to the person."""
    match error.errno:
        case errno.ENOENT | errno.ENOTDIR:
            return NotFound(_("the drive has no {path}").format(path=path))
        case errno.ENOSPC | errno.EDQUOT:
            return DriveFull(
                _("the drive is full"), _("remove old backups with: kinebackup prune; or use a larger drive")
            )
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return DriveFailed(
                _("the drive cannot be written to ({path}: {reason})").format(path=path, reason=error.strerror),
                _("check its write-protection switch, or run a file system check on it"),
            )
        case errno.EIO | errno.ENODEV | errno.ENXIO | errno.ESHUTDOWN | errno.ESTALE:
            return DriveFailed(
                _("the drive does not answer as it should ({path}: {reason})").format(path=path, reason=error.strerror),
                _("unplug it, plug it in again, and run: kinebackup verify; replace it if this happens again"),
            )
        case _:
            return DriveFailed(
                _("the drive refused an operation ({path}: {reason})").format(path=path, reason=error.strerror),
                _("run: kinebackup verify"),
            )


def _fsync(fd: int) -> None:
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in _FSYNC_UNSUPPORTED:
            raise


class _FolderFile:
    """A ``PendingFile`` of a ``FolderStore``."""

    def __init__(self, store: "FolderStore", name: str) -> None:
        self._store = store
        self._name = name
        self.size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with drive_errors(name):
            try:
                self._fd = store.open(name, flags)
            except FileNotFoundError:  # a copy of a drive may lack its empty folders
                store.make_directories(["tmp"])
                self._fd = store.open(name, flags)

    def write(self, data: Buffer) -> None:
        view = memoryview(data)
        with drive_errors(self._name):
            while view:
                written = os.write(self._fd, view)
                self.size += written
                view = view[written:]

    def commit(self, path: str) -> None:
        with drive_errors(path):
            try:
                _fsync(self._fd)
                if os.fstat(self._fd).st_size != self.size:
                    raise DriveFailed(_("the drive kept another length than was written"), _("run: kinebackup verify"))
            finally:
                os.close(self._fd)
                self._fd = -1
            self._store.rename(self._name, path)

    def abandon(self) -> None:
        with contextlib.suppress(OSError):
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            self._store.unlink(self._name)


class FolderStore:
    """A repository in a directory of a mounted drive. Links inside it are not followed: a drive may be hostile."""

    def __init__(self, root: str) -> None:
        """``root``: the KINEBACKUP directory, which exists. Raises ``NotFound``."""
        self.root = root
        self._counter = 0
        with drive_errors("KINEBACKUP"):
            self._fd = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _directory(self, path: str) -> int:
        fd = os.dup(self._fd)
        for part in path.split("/") if path else []:
            try:
                child = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=fd)
            finally:
                os.close(fd)
            fd = child
        return fd

    @contextlib.contextmanager
    def _parent(self, path: str) -> Iterator[tuple[int, str]]:
        """The open directory of a path, and the last name in it."""
        head, _, name = path.rpartition("/")
        fd = self._directory(head)
        try:
            yield fd, name
        finally:
            os.close(fd)

    def open(self, path: str, flags: int) -> int:
        """A file descriptor below the root; no component is opened through a link."""
        with self._parent(path) as (directory, name):
            return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=directory)

    def _open_to_read(self, path: str) -> int:
        fd = self.open(path, _READ_FLAGS)
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            raise Damaged(_("{path} is not a file").format(path=path))
        return fd

    def rename(self, source: str, target: str) -> None:
        with self._parent(source) as (from_fd, from_name), self._parent(target) as (to_fd, to_name):
            os.rename(from_name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)

    def unlink(self, path: str) -> None:
        with self._parent(path) as (directory, name):
            os.unlink(name, dir_fd=directory)

    def create(self) -> PendingFile:
        self._counter += 1
        return _FolderFile(self, f"tmp/{os.getpid()}-{self._counter}-{os.urandom(4).hex()}")

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        with drive_errors(path, reading=True):
            fd = self._open_to_read(path)
            try:
                if size is None:
                    size = max(0, os.fstat(fd).st_size - offset)
                data = os.pread(fd, size, offset)
                while len(data) < size:
                    more = os.pread(fd, size - len(data), offset + len(data))
                    if not more:
                        raise Damaged(_("{path} is shorter than it should be").format(path=path))
                    data += more
                return data
            finally:
                os.close(fd)

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        with drive_errors(path, reading=True):
            fd = self._open_to_read(path)
            try:
                done = 0
                while done < len(buffer):
                    count = os.preadv(fd, [buffer[done:]], offset + done)
                    if not count:
                        break
                    done += count
                return done
            finally:
                os.close(fd)

    def size(self, path: str) -> int:
        with drive_errors(path, reading=True), self._parent(path) as (directory, name):
            return os.stat(name, dir_fd=directory, follow_symlinks=False).st_size

    def _scan(self, directory: str) -> list[tuple[str, int, int]]:
        """Name, type and size of everything in a directory; what another program removes meanwhile is not there."""
        found: list[tuple[str, int, int]] = []
        with drive_errors(directory, reading=True):
            try:
                fd = self._directory(directory)
            except (FileNotFoundError, NotADirectoryError):
                return found
            try:
                with os.scandir(fd) as entries:
                    for entry in entries:
                        try:
                            info = entry.stat(follow_symlinks=False)
                            found.append((entry.name, stat.S_IFMT(info.st_mode), info.st_size))
                        except FileNotFoundError:
                            continue
                        except OSError as error:
                            if error.errno not in _DAMAGE:
                                raise
                            found.append((entry.name, stat.S_IFREG, 0))  # whoever reads it learns that it is damaged
            finally:
                os.close(fd)
        return sorted(found)

    def list_files(self, directory: str) -> list[FileInfo]:
        return [FileInfo(name, size) for name, kind, size in self._scan(directory) if kind == stat.S_IFREG]

    def subdirectories(self, directory: str) -> list[str]:
        return [name for name, kind, _size in self._scan(directory) if kind == stat.S_IFDIR]

    def make_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            with drive_errors(path), contextlib.suppress(FileExistsError), self._parent(path) as (directory, name):
                os.mkdir(name, 0o700, dir_fd=directory)

    def remove(self, path: str) -> None:
        with drive_errors(path), contextlib.suppress(FileNotFoundError):
            self.unlink(path)

    def sync_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            with drive_errors(path):
                fd = self._directory(path)
                try:
                    _fsync(fd)
                finally:
                    os.close(fd)

    def drop_cache(self, path: str) -> None:
        with drive_errors(path):
            fd = self._open_to_read(path)
            try:
                with contextlib.suppress(OSError):
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
            finally:
                os.close(fd)

    def free_bytes(self) -> int:
        with drive_errors("KINEBACKUP"):
            info = os.fstatvfs(self._fd)
            return info.f_bavail * info.f_frsize
