"""One writer for each repository.

Owns: the ``lock`` file on the drive. Does not know: what the writer does.

The lock itself is the kernel's ``flock``, of the file and of the folder that it lies in: it ends with the process that
holds it, however that ends, and whoever removes the file, to get rid of a lock, gets no second writer by it. The text
in the file only explains: who holds it, or who ended without releasing it. A drive is in one computer at a time, so
text left by another computer is always stale.
"""

import contextlib
import fcntl
import os
from collections.abc import Callable
from types import TracebackType

import msgspec

from kinebackup.engine.drive_errors import drive_errors
from kinebackup.engine.format.layout import LOCK
from kinebackup.errors import Locked
from kinebackup.i18n import _

_MAX_BYTES = 4096


class LockHolder(msgspec.Struct, frozen=True):
    """Who writes. ``boot`` tells one start of the computer from another."""

    host: str
    pid: int
    boot: str
    since: str
    work: str


class WriterLock:
    """Held while a run writes; a context manager. ``stale`` is the holder that left without releasing it, if any."""

    def __init__(self, root: str, holder: LockHolder, *, flock: Callable[[int, int], None] = fcntl.flock) -> None:
        """``root``: the KINEBACKUP directory. Raises ``Locked`` while another process of this computer writes there."""
        self._fd = -1
        with drive_errors(LOCK):
            self._folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                while not self._locked_the_file_of_that_name(flock):
                    pass
                self._lock_the_folder(flock)
            except BlockingIOError:
                found = _read(self._fd)
                self._close()
                raise Locked(*_explain(found)) from None
            except BaseException:
                self._close()
                raise
        self.stale = _read(self._fd)
        with contextlib.suppress(OSError):  # a full drive cannot hold the explanation, and must still be pruned
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, msgspec.json.encode(holder), 0)

    def _locked_the_file_of_that_name(self, flock: Callable[[int, int], None]) -> bool:
        """Lock the file. False where it was removed, or replaced, since it was opened: then that lock keeps nobody off.

        Raises ``BlockingIOError`` where another process holds it.
        """
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        self._fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self._folder)
        flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        try:
            there = os.stat(LOCK, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._fd))

    def _lock_the_folder(self, flock: Callable[[int, int], None]) -> None:
        """It cannot be removed as the file can. Raises ``BlockingIOError`` where another process holds it."""
        try:
            flock(self._folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:
            return  # some file systems of a network lock files only

    def release(self) -> None:
        """Give way to others. Never raises: the drive may be gone."""
        if self._fd < 0:
            return
        with contextlib.suppress(OSError):
            os.ftruncate(self._fd, 0)
        self._close()

    def _close(self) -> None:
        for fd in (self._fd, self._folder):
            if fd >= 0:
                with contextlib.suppress(OSError):
                    os.close(fd)
        self._fd = self._folder = -1

    def __enter__(self) -> "WriterLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()


def _read(fd: int) -> LockHolder | None:
    with contextlib.suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(os.pread(fd, _MAX_BYTES, 0), type=LockHolder)
    return None


def _explain(holder: LockHolder | None) -> tuple[str, str]:
    hint = _("wait until it has finished; if it hangs, end that process and try again")
    if holder is None:
        return _("another KineBackup is writing to this drive"), hint
    return (
        _("another KineBackup is writing to this drive ({work}, process {pid}, since {since})").format(
            work=holder.work, pid=holder.pid, since=holder.since
        ),
        hint,
    )
