"""The files of a repository as they were written: what is damaged or gone is healed by its parity file.

Owns: healing a file, giving its bytes to whoever reads on, and writing it anew where this process is the only writer.
Does not know: how damage is met (whoever reads says so, for only a key or a digest shows it), or what is told of it.
"""

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, TypeVar

from kinebackup.engine.format import parity
from kinebackup.engine.format.layout import DAMAGED, SNAPSHOTS, is_file_name, pack_path, parity_path
from kinebackup.engine.format.parity import Parity
from kinebackup.engine.repository.damage_markers import remove_markers, set_markers
from kinebackup.engine.repository.files import write_file
from kinebackup.engine.repository.redundancy.giving_way import never_giving_way, spare_parity_of
from kinebackup.engine.repository.redundancy.lost_files import find_lost_files
from kinebackup.engine.repository.store import FileInfo, PendingFile, Store, Unlistable
from kinebackup.errors import Damaged, DriveFailed, NotFound
from kinebackup.i18n import _
from kinebackup.model import FileName, HealedFile

MEMORY_BYTES: Final = 48 * 2**20  # three packs: what was healed and is not at hand any more is healed again when met
_PIECE_BYTES: Final = 2**20
_MAX_BYTES: Final = 2 * parity.MAX_FILE_BYTES  # of a parity file

_Read = TypeVar("_Read")


class HealingStore:
    """A ``Store`` that can heal. Safe for several threads.

    ``bare``: the drive as it is.
    """

    def __init__(self, bare: Store, *, memory_bytes: int = MEMORY_BYTES) -> None:
        """``memory_bytes``: what is held of healed files, the newest one in any case."""
        self.bare = bare
        self._memory_bytes = memory_bytes
        self._rewrites = False
        self._lock = threading.RLock()
        self._memory: OrderedDict[str, bytes] = OrderedDict()
        self._hopeless: set[str] = set()
        self._healed: dict[str, HealedFile] = {}
        self.set_aside: list[str] = []  # paths of folders that stood in the place of what was written anew
        self._lost: dict[str, tuple[FileName, ...]] | None = None

    def anew(self) -> "HealingStore":
        """The same drive, of which nothing is known yet."""
        return HealingStore(self.bare, memory_bytes=self._memory_bytes)

    def begin_rewriting(self) -> None:
        """The caller is the only writer: what was healed is written anew, and what will be; and the packs that a
        verification found damaged are healed. Raises ``DriveFailed``.
        """
        with self._lock:
            self._rewrites = True
            for path in list(self._healed):
                self._memory.pop(path, None)
                self.heal(path)
        # A snapshot is healed when it is read.
        others = {info.name for info in _listed(self.bare, SNAPSHOTS)}.union(self.lost_files(SNAPSHOTS))
        for info in _listed(self.bare, DAMAGED):
            if is_file_name(info.name) and info.name not in others:
                self.heal(pack_path(info.name))

    @property
    def healed(self) -> tuple[HealedFile, ...]:
        """What was damaged, and came back, in the order in which it was met."""
        with self._lock:
            return tuple(self._healed.values())

    def lost_files(self, directory: str) -> tuple[FileName, ...]:
        """Index files, snapshots or removal records that only ``parity/`` has, as it was when this was asked first.

        Whether somebody removed them on purpose is for the caller to tell.
        """
        with self._lock:
            if self._lost is None:
                self._lost = find_lost_files(self.bare)
            return self._lost[directory]

    def heal(self, path: str) -> bool:
        """Whether the file can now be read as it was written. It is noted as healed where it was damaged.

        Raises ``DriveFailed``.
        """
        with self._lock:
            if path in self._memory or self._is_rewritten(path):
                return True
            found = None if path in self._hopeless else self._healed_bytes(path)
            if found is None:
                self._hopeless.add(path)
                return False
            if self._differs(path, found):
                rewritten = self._rewrites and self._rewrite(path, found.data)
                self._healed[path] = HealedFile(path, found.blocks, rewritten=rewritten)
                if rewritten:
                    return True
            self._remember(path, found.data)
            return True

    def is_healable(self, path: str) -> bool:
        """Whether the file is damaged and parity gives it back; nothing is kept or noted. Raises ``DriveFailed``."""
        with self._lock:
            found = None if path in self._healed else self._healed_bytes(path)
            return path in self._healed or (found is not None and self._differs(path, found))

    def copy_of(self, path: str) -> bytes | None:
        """The file's bytes by its parity, to be looked at; nothing is kept or noted. Raises ``DriveFailed``."""
        with self._lock:
            found = self._healed_bytes(path)
            return None if found is None else found.data

    def has_parity(self, path: str) -> bool:
        """Whether there is a parity file of that file, of which nothing else is looked at: it was not removed."""
        try:
            return self.bare.size(parity_path(FileName(path.rpartition("/")[2]))) > 0
        except (Damaged, NotFound):
            return False

    def is_on_drive(self, path: str) -> bool:
        """Whether the drive itself has the file again, and not only memory."""
        with self._lock:
            return path not in self._healed or self._is_rewritten(path)

    def _is_rewritten(self, path: str) -> bool:
        healed = self._healed.get(path)
        return healed is not None and healed.rewritten

    def _differs(self, path: str, found: parity.Healed) -> bool:
        """Whether the file on the drive is another than the healed one: where none is wrong, nothing was healed."""
        try:
            return found.blocks > 0 or self.bare.size(path) != len(found.data)
        except (Damaged, NotFound):
            return True

    def _remember(self, path: str, data: bytes) -> None:
        self._memory[path] = data
        room = self._memory_bytes - sum(map(len, self._memory.values()))
        while room < 0 and len(self._memory) > 1:
            room += len(self._memory.popitem(last=False)[1])

    def _healed_bytes(self, path: str) -> parity.Healed | None:
        table = self._parity_of(path)
        if table is None:
            return None
        reading = _Reading(self.bare, path)
        found = table.heal(path.rpartition("/")[2], reading)
        if reading.failure is not None:
            raise reading.failure
        return found

    def _parity_of(self, path: str) -> Parity | None:
        where = parity_path(FileName(path.rpartition("/")[2]))
        try:
            if not (parity.is_copy(self.bare.read(where, 0, parity.HEAD_BYTES)) or self._is_there(path)):
                return None  # before a megabyte is read for nothing
            return parity.decode(_whole(self.bare, where)) if self.bare.size(where) <= _MAX_BYTES else None
        except (Damaged, NotFound):
            return None

    def _is_there(self, path: str) -> bool:
        try:
            return self.bare.size(path) > 0
        except (Damaged, NotFound):
            return False

    def _rewrite(self, path: str, data: bytes) -> bool:
        """Put the file on the drive again, where there is room; the damaged one gives way to it at once."""
        store, name = never_giving_way(self.bare), FileName(path.rpartition("/")[2])
        directory = path.rpartition("/")[0]
        folders = _folders(self.bare, directory)
        try:
            store.make_directories([directory])
            write_file(store, path, data, apart=True)  # its parity may lie anywhere
            store.drop_cache(path)
            kept = hashlib.sha256(store.read(path)).digest() == hashlib.sha256(data).digest()
        except (DriveFailed, Damaged, NotFound):  # a full drive: memory must do
            kept = False
        if name in folders:
            self.set_aside += [f"{directory}/{each}" for each in sorted(_folders(self.bare, directory) - folders)]
        if kept:
            remove_markers(self.bare, [name])
        elif path == pack_path(name):  # as long as it is not there, its parity is all there is of it
            spare_parity_of(self.bare, name)
            set_markers(store, [name])
        return kept

    # -- the store ---------------------------------------------------------------------------------------------------

    def _remembered(self, path: str) -> bytes | None:
        if not self._memory:
            return None
        with self._lock:
            data = self._memory.get(path)
            if data is not None:
                self._memory.move_to_end(path)
            return data

    def create(self, *, apart: int = 0) -> PendingFile:
        return self.bare.create(apart=apart)

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        data = self._remembered(path)
        if data is None:
            return self.bare.read(path, offset, size)
        found = data[offset:] if size is None else data[offset : offset + size]
        if size is not None and len(found) < size:
            raise Damaged(_("{path} is shorter than it should be").format(path=path))
        return found

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        data = self._remembered(path)
        if data is None:
            return self.bare.read_into(path, offset, buffer)
        found = memoryview(data)[offset : offset + len(buffer)]
        buffer[: len(found)] = found
        return len(found)

    def size(self, path: str) -> int:
        data = self._remembered(path)
        return self.bare.size(path) if data is None else len(data)

    def list_files(self, directory: str) -> list[FileInfo]:
        return self.bare.list_files(directory)

    def subdirectories(self, directory: str) -> list[str]:
        return self.bare.subdirectories(directory)

    def make_directories(self, paths: Iterable[str]) -> None:
        self.bare.make_directories(paths)

    def remove(self, path: str) -> None:
        with self._lock:
            self._memory.pop(path, None)
            self._hopeless.add(path)
        self.bare.remove(path)

    def sync_directories(self, paths: Iterable[str]) -> None:
        self.bare.sync_directories(paths)

    def drop_cache(self, path: str) -> None:
        self.bare.drop_cache(path)

    def free_bytes(self) -> int:
        return self.bare.free_bytes()


def healing(store: Store) -> HealingStore:
    """That store, able to heal."""
    return store if isinstance(store, HealingStore) else HealingStore(store)


def _folders(store: Store, directory: str) -> set[str]:
    try:
        return set(store.subdirectories(directory))
    except Unlistable:
        return set()


def _listed(store: Store, directory: str) -> list[FileInfo]:
    try:
        return store.list_files(directory)
    except Unlistable as error:
        return error.found


def read_healed(store: HealingStore, path: str, read: Callable[[], _Read]) -> _Read:
    """What ``read`` gives of that file; where it shows damage, once more of the healed one. Raises what it raises."""
    try:
        return read()
    except (Damaged, NotFound):
        if not store.heal(path):
            raise
        return read()


class _Reading:
    """Reads of a damaged file: by the megabyte where that succeeds, by the block where it does not."""

    def __init__(self, store: Store, path: str) -> None:
        self._store = store
        self._path = path
        self._begin = 0
        self._piece = b""
        self._failed_at = -1
        self.failure: DriveFailed | None = None  # the drive itself has gone: nothing is said of the file by that

    def __call__(self, at: int, size: int) -> bytes:
        piece = at // _PIECE_BYTES
        if self.failure is not None:
            raise self.failure
        if piece != self._failed_at and not self._begin <= at < self._begin + len(self._piece):
            try:
                self._begin, self._piece = at, self._told(lambda: _some(self._store, self._path, at))
            except (Damaged, NotFound):
                self._failed_at, self._piece = piece, b""
                _forget_pages(self._store, self._path)
        if self._begin <= at < self._begin + len(self._piece):
            return self._piece[at - self._begin : at - self._begin + size]
        return self._told(lambda: self._store.read(self._path, at, size))

    def _told(self, read: Callable[[], bytes]) -> bytes:
        try:
            return read()
        except DriveFailed as error:
            self.failure = error
            raise


def _some(store: Store, path: str, at: int) -> bytes:
    """From there to the end of the megabyte, or of the file."""
    buffer = bytearray(_PIECE_BYTES - at % _PIECE_BYTES)
    return bytes(buffer[: store.read_into(path, at, memoryview(buffer))])


def _forget_pages(store: Store, path: str) -> None:
    """A read that failed leaves large pages of the system, all of which fail again for one bad sector in them."""
    with suppress(Damaged, NotFound):
        store.drop_cache(path)


def _whole(store: Store, path: str) -> bytes:
    """A parity file; zeros where the drive does not give its bytes."""
    try:
        return store.read(path)
    except Damaged:
        size = store.size(path)
        _forget_pages(store, path)
    data = bytearray(size)
    for at in range(0, size, parity.BLOCK_BYTES):
        with suppress(Damaged, NotFound):
            part = store.read(path, at, min(parity.BLOCK_BYTES, size - at))
            data[at : at + len(part)] = part
    return bytes(data)
