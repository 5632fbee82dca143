"""A ``Store`` that writes through to another one and remembers, in order, what was asked of the file system.

Owns: the list of operations. Does not know: what a power cut would leave of them (``power_cut``).
"""

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from kinebackup.engine.format.constants import Buffer
from kinebackup.engine.repository.store import FileInfo, PendingFile, Store


@dataclass(frozen=True, slots=True)
class Created:
    """A new file in ``tmp/``; ``file`` is its number in this recording."""

    file: int


@dataclass(frozen=True, slots=True)
class Wrote:
    file: int
    data: bytes


@dataclass(frozen=True, slots=True)
class Synced:
    """fsync of the file: its bytes and length are durable from here on."""

    file: int


@dataclass(frozen=True, slots=True)
class Renamed:
    """From ``tmp/`` to its place; durable once that directory is synced."""

    file: int
    path: str


@dataclass(frozen=True, slots=True)
class Unlinked:
    path: str


@dataclass(frozen=True, slots=True)
class MadeDirectory:
    path: str


@dataclass(frozen=True, slots=True)
class SyncedDirectory:
    path: str


Operation = Created | Wrote | Synced | Renamed | Unlinked | MadeDirectory | SyncedDirectory


class _RecordedFile:
    def __init__(self, store: "RecordingStore", inner: PendingFile, number: int) -> None:
        self._store = store
        self._inner = inner
        self._number = number

    @property
    def size(self) -> int:
        return self._inner.size

    @size.setter
    def size(self, value: int) -> None:
        self._inner.size = value

    def write(self, data: Buffer) -> None:
        with self._store.lock:
            self._inner.write(data)
            self._store.operations.append(Wrote(self._number, bytes(data)))

    def commit(self, path: str) -> None:
        with self._store.lock:
            self._inner.commit(path)
            self._store.operations += [Synced(self._number), Renamed(self._number, path)]

    def abandon(self) -> None:
        self._inner.abandon()


class RecordingStore:
    """Reads go through unseen; ``operations`` holds everything that changes the drive."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner
        self._files = 0
        self.operations: list[Operation] = []
        self.lock = threading.Lock()

    def create(self, *, apart: int = 0) -> PendingFile:
        with self.lock:
            inner = self._inner.create(apart=apart)
            self._files += 1
            self.operations.append(Created(self._files))
            return _RecordedFile(self, inner, self._files)

    def make_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            with self.lock:
                self._inner.make_directories([path])
                self.operations.append(MadeDirectory(path))

    def remove(self, path: str) -> None:
        with self.lock:
            self._inner.remove(path)
            self.operations.append(Unlinked(path))

    def sync_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            with self.lock:
                self._inner.sync_directories([path])
                self.operations.append(SyncedDirectory(path))

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        return self._inner.read(path, offset, size)

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        return self._inner.read_into(path, offset, buffer)

    def size(self, path: str) -> int:
        return self._inner.size(path)

    def list_files(self, directory: str) -> list[FileInfo]:
        return self._inner.list_files(directory)

    def subdirectories(self, directory: str) -> list[str]:
        return self._inner.subdirectories(directory)

    def drop_cache(self, path: str) -> None:
        self._inner.drop_cache(path)

    def free_bytes(self) -> int:
        return self._inner.free_bytes()
