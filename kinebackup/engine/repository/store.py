"""The port through which every byte reaches a repository, and its real implementation on a directory.

Owns: the durable write (temporary file, length, fsync, rename, fsync of the directory), and asking whether the drive
still answers. Does not know: what is written, or the words for a failure (drive_errors.py).
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from kinebackup.engine.drive_errors import drive_errors
from kinebackup.engine.format.constants import Buffer
from kinebackup.engine.format.layout import FIRST_HEADERS, FOR_PEOPLE
from kinebackup.engine.repository.redundancy.placement import Placement
from kinebackup.engine.repository.redundancy.set_aside import make_way
from kinebackup.engine.writeback import Writeback, fsync
from kinebackup.errors import Damaged, DriveFailed
from kinebackup.i18n import _

# A pipe in the place of a file must not hold up a run.
_READ_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class FileInfo:
    """What bears a name in a directory of the repository; its size in bytes, and when it was last written.

    ``is_file`` False: there is a folder, a link, a device in its place, and whoever reads it learns that it is damaged.
    """

    name: str
    size: int
    is_file: bool = True
    written_ns: int = field(default=0, compare=False)


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
    ENOSPC, EROFS, a refused write and a vanished drive raise ``DriveFailed``; what cannot be read or listed although it
    is there, while the drive still answers, raises ``Damaged``; an absent file raises ``NotFound``.
    """

    def create(self, *, apart: int = 0) -> PendingFile:
        """``apart``: that many bytes follow, and shall lie far from all others where the file system can do that."""

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        """Bytes ``offset … offset + size`` (to the end without a size). Raises ``Damaged`` when fewer are there."""

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        """Fill the buffer as far as the file goes; returns the number of bytes."""

    def size(self, path: str) -> int: ...

    def list_files(self, directory: str) -> list[FileInfo]:
        """All that lies in a directory, sorted by name; empty where it does not exist. Raises ``Unlistable``."""

    def subdirectories(self, directory: str) -> list[str]: ...

    def make_directories(self, paths: Iterable[str]) -> None: ...

    def remove(self, path: str) -> None:
        """Unlink; a file that is not there is no error. Raises ``Damaged`` for a folder that is not empty."""

    def sync_directories(self, paths: Iterable[str]) -> None:
        """Make renames and removals in these directories durable."""

    def drop_cache(self, path: str) -> None:
        """Ask the system to forget its cached pages of the file, so that the next read comes from the drive."""

    def free_bytes(self) -> int: ...


def unlistable(path: str) -> str:
    """What is said of a folder of which not all that lies in it is known."""
    return _("the folder {path} cannot be listed").format(path=path)


class Unlistable(Damaged):
    """A directory of the repository that is there and cannot be listed to its end."""

    def __init__(self, path: str, found: list[FileInfo]) -> None:
        """``found``: what was listed before."""
        super().__init__(unlistable(path))
        self.found = found


def _check_regular(info: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise Damaged(not_a_file(path))


def not_a_file(path: str) -> str:
    """What is said of a folder, a link or a device in the place of a file."""
    return _("{path} is not a file").format(path=path)


def _remove_folder(directory: int, name: str, path: str) -> None:
    """A folder in the place of a file goes where it is empty; what may be somebody's own is never deleted."""
    try:
        os.rmdir(name, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        raise Damaged(not_a_file(path)) from error


def _infos(found: list[tuple[str, os.stat_result | None]]) -> list[FileInfo]:
    return [
        FileInfo(name, 0)  # whoever reads it learns that it is damaged
        if info is None
        else FileInfo(name, info.st_size, stat.S_ISREG(info.st_mode), info.st_mtime_ns)
        for name, info in sorted(found, key=lambda item: item[0])
    ]


class _FolderFile:
    """A ``PendingFile`` of a ``FolderStore``."""

    def __init__(self, store: "FolderStore", name: str, apart: int) -> None:
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
        self._placed = apart > 0 and store.placement.reserve(self._fd, apart)
        self._writeback = Writeback(self._fd)

    def write(self, data: Buffer) -> None:
        view = memoryview(data)
        with drive_errors(self._name, after_write=self._store.answers):
            while view:
                written = os.write(self._fd, view)
                self.size += written
                view = view[written:]
            self._writeback.follow(self.size)

    def commit(self, path: str) -> None:
        with drive_errors(path, after_write=self._store.answers):
            try:
                if self._placed:
                    os.ftruncate(self._fd, self.size)
                fsync(self._fd)
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
        self.placement = Placement()
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
        with self._parent(path) as (directory, name):
            # To open a device is to use it.
            _check_regular(os.stat(name, dir_fd=directory, follow_symlinks=False), path)
            fd = os.open(name, _READ_FLAGS, dir_fd=directory)
        try:
            _check_regular(os.fstat(fd), path)
        except BaseException:
            os.close(fd)
            raise
        return fd

    def answers(self) -> bool:
        """Whether the drive still gives anything: a byte of one of the small files at the top of the repository, from
        the drive itself and not from memory. Where none of them is there to be asked, it is taken to answer.
        """
        silent = False
        for name in (*FIRST_HEADERS, *FOR_PEOPLE):
            try:
                if not stat.S_ISREG(os.stat(name, dir_fd=self._fd, follow_symlinks=False).st_mode):
                    continue
                fd = os.open(name, _READ_FLAGS, dir_fd=self._fd)
                try:
                    with contextlib.suppress(OSError):
                        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
                    if os.pread(fd, 1, 0):
                        return True
                finally:
                    os.close(fd)
            except (FileNotFoundError, PermissionError):
                continue
            except OSError:
                silent = True
        return not silent

    def rename(self, source: str, target: str) -> None:
        with self._parent(source) as (from_fd, from_name), self._parent(target) as (to_fd, to_name):
            try:
                os.rename(from_name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)
            except IsADirectoryError:
                make_way(to_fd, to_name)
                os.rename(from_name, to_name, src_dir_fd=from_fd, dst_dir_fd=to_fd)

    def unlink(self, path: str) -> None:
        with self._parent(path) as (directory, name):
            os.unlink(name, dir_fd=directory)

    def create(self, *, apart: int = 0) -> PendingFile:
        self._counter += 1
        return _FolderFile(self, f"tmp/{os.getpid()}-{self._counter}-{os.urandom(4).hex()}", apart)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        with drive_errors(path, self.answers):
            fd = self._open_to_read(path)
            try:
                if size is None:
                    size = max(0, os.fstat(fd).st_size - offset)
                elif size <= 4096:  # a page by itself, and not in one piece with others that cannot be read
                    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_RANDOM)
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
        with drive_errors(path, self.answers):
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
        with drive_errors(path, self.answers), self._parent(path) as (directory, name):
            info = os.stat(name, dir_fd=directory, follow_symlinks=False)
        _check_regular(info, path)
        return info.st_size

    def _scan(self, directory: str) -> list[tuple[str, os.stat_result | None]]:
        """Name and state (None: not to be had) of what is there, but for what another program removes meanwhile."""
        found: list[tuple[str, os.stat_result | None]] = []
        try:
            with drive_errors(directory, self.answers):
                try:
                    fd = self._directory(directory)
                except FileNotFoundError:
                    return found
                except NotADirectoryError as error:  # something else is in its place
                    raise OSError(errno.EIO, error.strerror) from error
                try:
                    with os.scandir(fd) as entries:
                        for entry in entries:
                            with contextlib.suppress(FileNotFoundError):
                                found.append((entry.name, self._state_of(entry)))
                finally:
                    os.close(fd)
        except Damaged as error:
            raise Unlistable(directory, _infos(found)) from error
        return found

    def _state_of(self, entry: os.DirEntry[str]) -> os.stat_result | None:
        try:
            return entry.stat(follow_symlinks=False)
        except FileNotFoundError:
            raise
        except OSError:
            if not self.answers():
                raise
            return None

    def list_files(self, directory: str) -> list[FileInfo]:
        return _infos(self._scan(directory))

    def subdirectories(self, directory: str) -> list[str]:
        return sorted(name for name, info in self._scan(directory) if info is not None and stat.S_ISDIR(info.st_mode))

    def make_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            with drive_errors(path), self._parent(path) as (directory, name):
                try:
                    os.mkdir(name, 0o700, dir_fd=directory)
                except FileExistsError:
                    if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                        raise Damaged(_("{path} is not a folder").format(path=path)) from None

    def remove(self, path: str) -> None:
        absent = (FileNotFoundError, NotADirectoryError)
        with drive_errors(path), contextlib.suppress(*absent), self._parent(path) as (directory, name):
            try:
                os.unlink(name, dir_fd=directory)
            except (IsADirectoryError, PermissionError):  # which of the two, each system decides by itself
                if not stat.S_ISDIR(os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode):
                    raise
                _remove_folder(directory, name, path)

    def sync_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            with drive_errors(path, after_write=self.answers):
                fd = self._directory(path)
                try:
                    fsync(fd)
                finally:
                    os.close(fd)

    def drop_cache(self, path: str) -> None:
        with drive_errors(path, self.answers):
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
