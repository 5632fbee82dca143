"""A ``Store`` on a drive that fails: full, with bad sectors, or pulled out.

Owns: which operation fails, how, and whether it recovers. Does not know: what the engine makes of it. The errors are
those of the real store, because they pass through the same translation.
"""

import errno
import os
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from kinebackup.engine.drive_errors import drive_errors
from kinebackup.engine.format.constants import Buffer
from kinebackup.engine.repository.store import FileInfo, PendingFile, Store, Unlistable
from kinebackup.errors import Damaged

READS = frozenset({"read", "read_into", "size", "list_files", "subdirectories"})
WRITES = frozenset({"create", "write", "commit", "make_directories", "sync_directories"})
EVERYTHING = READS | WRITES | {"remove", "drop_cache", "free_bytes"}


@dataclass
class Fault:
    """Operation number ``at`` (from 0) of these kinds fails, and with ``for_good`` each one after it. -1: none."""

    kinds: frozenset[str]
    error: int
    at: int = -1
    for_good: bool = True
    count: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def strike(self, kind: str) -> None:
        """Raise the error where it is due."""
        if kind not in self.kinds:
            return
        with self.lock:
            number = self.count
            self.count += 1
        if 0 <= self.at <= number if self.for_good else number == self.at:
            raise OSError(self.error, os.strerror(self.error))


def full_drive(at: int = -1) -> Fault:
    """No room for anything from there on."""
    return Fault(WRITES - {"sync_directories"}, errno.ENOSPC, at)


def failed_write(at: int = -1) -> Fault:
    """One write or sync that the drive refuses."""
    return Fault(WRITES, errno.EIO, at, for_good=False)


def bad_sector(at: int = -1) -> Fault:
    """One read that the drive refuses."""
    return Fault(frozenset({"read", "read_into"}), errno.EIO, at, for_good=False)


def pulled_out(at: int = -1) -> Fault:
    """Gone from there on."""
    return Fault(EVERYTHING, errno.ENODEV, at)


class _FaultingFile:
    def __init__(self, inner: PendingFile, fault: Fault) -> None:
        self._inner = inner
        self._fault = fault

    @property
    def size(self) -> int:
        return self._inner.size

    @size.setter
    def size(self, value: int) -> None:
        self._inner.size = value

    def write(self, data: Buffer) -> None:
        with drive_errors("tmp"):
            self._fault.strike("write")
        self._inner.write(data)

    def commit(self, path: str) -> None:
        with drive_errors(path):
            self._fault.strike("commit")
        self._inner.commit(path)

    def abandon(self) -> None:
        self._inner.abandon()


class FaultingStore:
    """Passes everything on, until the fault strikes. ``before`` hears of each operation first: its kind, its path."""

    def __init__(
        self, inner: Store, fault: Fault, before: Callable[[str, str], None] = lambda kind, path: None
    ) -> None:
        self._inner = inner
        self._fault = fault
        self._before = before

    def _pass(self, kind: str, path: str) -> None:
        self._before(kind, path)
        with drive_errors(path, self._answers if kind in READS or kind == "drop_cache" else None):
            self._fault.strike(kind)

    def _pass_listing(self, kind: str, directory: str) -> None:
        try:
            self._pass(kind, directory)
        except Damaged as error:
            raise Unlistable(directory, []) from error

    def _answers(self) -> bool:
        """Whether the drive gives anything else: a fault that lasts strikes whatever is read next."""
        try:
            self._fault.strike("read")
        except OSError:
            return False
        return True

    def create(self, *, apart: int = 0) -> PendingFile:
        self._pass("create", "tmp")
        return _FaultingFile(self._inner.create(apart=apart), self._fault)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        self._pass("read", path)
        return self._inner.read(path, offset, size)

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        self._pass("read_into", path)
        return self._inner.read_into(path, offset, buffer)

    def size(self, path: str) -> int:
        self._pass("size", path)
        return self._inner.size(path)

    def list_files(self, directory: str) -> list[FileInfo]:
        self._pass_listing("list_files", directory)
        return self._inner.list_files(directory)

    def subdirectories(self, directory: str) -> list[str]:
        self._pass_listing("subdirectories", directory)
        return self._inner.subdirectories(directory)

    def make_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._pass("make_directories", path)
            self._inner.make_directories([path])

    def remove(self, path: str) -> None:
        self._pass("remove", path)
        self._inner.remove(path)

    def sync_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            self._pass("sync_directories", path)
            self._inner.sync_directories([path])

    def drop_cache(self, path: str) -> None:
        self._pass("drop_cache", path)
        self._inner.drop_cache(path)

    def free_bytes(self) -> int:
        self._pass("free_bytes", "KINEBACKUP")
        return self._inner.free_bytes()
