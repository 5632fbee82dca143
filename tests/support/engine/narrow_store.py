"""A drive with little room, which is counted in bytes as a file system does.

Owns: how much fits, and that a drive takes as much of a piece as does. Does not know: what gives way.
"""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from support.engine.drives import Drive
from support.engine.faulting_store import Fault, FaultingStore

from kinebackup.engine.format.constants import Buffer
from kinebackup.engine.repository.store import FolderStore, PendingFile
from kinebackup.errors import DriveFull


class NarrowStore(FaultingStore):
    """A drive with room for so many bytes beside what is there, as a file system counts them."""

    def __init__(self, inner: FolderStore, free: int) -> None:
        super().__init__(inner, Fault(frozenset(), errno.ENOSPC))
        self._root = Path(inner.root)
        self._capacity = self._used() + free

    def _used(self) -> int:
        total = 0
        for path in self._root.rglob("*"):
            with contextlib.suppress(FileNotFoundError):  # another thread has just given it its name
                total += path.stat().st_size if path.is_file() else 0
        return total

    def create(self, *, apart: int = 0) -> PendingFile:
        return _NarrowFile(self, super().create())  # no room is reserved where there is little

    def free_bytes(self) -> int:
        return max(0, self._capacity - self._used())


class _NarrowFile:
    """Takes as much of a piece as fits, as a drive does."""

    def __init__(self, store: NarrowStore, inner: PendingFile) -> None:
        self._store = store
        self._inner = inner
        self.size = inner.size

    def write(self, data: Buffer) -> None:
        view = memoryview(data)
        room = self._store.free_bytes()
        self._inner.write(view[:room])
        self.size = self._inner.size
        if room < len(view):
            raise DriveFull("the drive is full")

    def commit(self, path: str) -> None:
        self._inner.commit(path)

    def abandon(self) -> None:
        self._inner.abandon()


@contextlib.contextmanager
def narrow(drive: Drive, free: int) -> Iterator[NarrowStore]:
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        yield NarrowStore(folder, free)
