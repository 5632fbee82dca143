"""A store in which the parity of data packs makes room for data, where the drive is full.

Owns: what gives way, and that the writer tries again then. Does not know: how parity is made, or when it is made again.

Without parity a drive holds all that was saved; without room it does not hold today's files. Copies of lists, index
files and snapshots stay: they are small, and what they protect is what everything else hangs on. The parity of a pack
that is known to be damaged stays, too: it is all there is of what the pack lost.
"""

import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Final, TypeVar

from kinebackup.engine.format.constants import Buffer
from kinebackup.engine.format.layout import DAMAGED, PARITY, PARITY_SUFFIX
from kinebackup.engine.format.parity import HEAD_BYTES, is_copy
from kinebackup.engine.repository.store import FileInfo, PendingFile, Store, Unlistable
from kinebackup.errors import Damaged, DriveFull, NotFound
from kinebackup.model import FileName

_AT_ONCE: Final = 64 * 2**20  # freed each time: what follows should not come back at once

_T = TypeVar("_T")


class GivingWayStore:
    """Passes everything on. ``gave_way``: parity had to go, so there is no use in making any now."""

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.gave_way = False
        self._turn = 0
        self._spared: set[str] = set()
        self._lock = threading.Lock()

    def with_room(self, work: Callable[[], _T]) -> _T:
        """Do that; where the drive is full, make room and do it again. Raises ``DriveFull`` when nothing is left."""
        while True:
            turn = self._turn
            try:
                return work()
            except DriveFull:
                if not self._make_room(turn):
                    raise

    def spare_parity_of(self, name: FileName) -> None:
        """That pack is damaged, and cannot be written anew."""
        self._spared.add(f"{name}{PARITY_SUFFIX}")

    def _make_room(self, turn: int) -> bool:
        """Remove parity files; False where there is none. ``turn``: whoever waited while another did it tries first."""
        with self._lock:
            if turn != self._turn:
                return True
            freed = 0
            spared = self._spared | {f"{info.name}{PARITY_SUFFIX}" for info in self._files(DAMAGED)}
            for folder in self._folders():
                before = freed
                for info in self._files(folder):
                    may_go = freed < _AT_ONCE and info.name not in spared
                    if may_go and self._may_go(path := f"{folder}/{info.name}"):
                        self.inner.remove(path)
                        freed += info.size
                if freed > before:
                    self.inner.sync_directories([folder])
                if freed >= _AT_ONCE:
                    break
            self._turn += 1
            self.gave_way = self.gave_way or freed > 0
            return freed > 0

    def _folders(self) -> list[str]:
        with suppress(Damaged):
            return [f"{PARITY}/{name}" for name in self.inner.subdirectories(PARITY)]
        return []

    def _files(self, folder: str) -> list[FileInfo]:
        try:
            return self.inner.list_files(folder)
        except Unlistable as error:
            return error.found

    def _may_go(self, path: str) -> bool:
        with suppress(Damaged, NotFound):
            return is_copy(self.inner.read(path, 0, HEAD_BYTES)) is False
        return False

    # -- the store -------------------------------------------------------------------------------------------------

    def create(self, *, apart: int = 0) -> PendingFile:
        return _InsistingFile(self, self.with_room(partial(self.inner.create, apart=apart)))

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        return self.inner.read(path, offset, size)

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        return self.inner.read_into(path, offset, buffer)

    def size(self, path: str) -> int:
        return self.inner.size(path)

    def list_files(self, directory: str) -> list[FileInfo]:
        return self.inner.list_files(directory)

    def subdirectories(self, directory: str) -> list[str]:
        return self.inner.subdirectories(directory)

    def make_directories(self, paths: Iterable[str]) -> None:
        for path in paths:
            self.with_room(partial(self.inner.make_directories, [path]))

    def remove(self, path: str) -> None:
        self.inner.remove(path)

    def sync_directories(self, paths: Iterable[str]) -> None:
        self.inner.sync_directories(paths)

    def drop_cache(self, path: str) -> None:
        self.inner.drop_cache(path)

    def free_bytes(self) -> int:
        return self.inner.free_bytes()


def never_giving_way(store: Store) -> Store:
    """The same files; where the drive is full, it is."""
    return store.inner if isinstance(store, GivingWayStore) else store


def spare_parity_of(store: Store, name: FileName) -> None:
    """That pack is damaged, and cannot be written anew: its parity stays, whatever has no room."""
    if isinstance(store, GivingWayStore):
        store.spare_parity_of(name)


class _InsistingFile:
    """Where the drive takes only the beginning of a piece, the rest follows when there is room."""

    def __init__(self, store: GivingWayStore, inner: PendingFile) -> None:
        self._store = store
        self._inner = inner
        self.size = inner.size

    def write(self, data: Buffer) -> None:
        view = memoryview(data)
        begin = self._inner.size
        self._store.with_room(lambda: self._inner.write(view[self._inner.size - begin :]))
        self.size = self._inner.size

    def commit(self, path: str) -> None:
        self._inner.commit(path)

    def abandon(self) -> None:
        self._inner.abandon()
