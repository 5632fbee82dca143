"""Writing parity files, and removing them with the files that they belong to (FORMAT.md §12).

Owns: what a run owes, and when it is written. Does not know: what earlier runs owe (completing.py), or healing.

A parity file is written after another file than its own, and apart from all of them where the file system can do that
(placement.py), for what lies side by side on a drive dies together. It goes
before its own file goes: one that is there without its file tells that the file was lost.
"""

from collections import deque
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from kinebackup.engine.format.layout import PARITY, parity_directory, parity_path
from kinebackup.engine.format.parity import (
    BLOCK_BYTES,
    Encoder,
    blocks_of,
    checksums,
    columns_of,
    encode,
    size_of,
    table,
)
from kinebackup.engine.repository.redundancy.giving_way import GivingWayStore
from kinebackup.engine.repository.store import PendingFile, Store
from kinebackup.errors import Damaged, DriveFull, NotFound
from kinebackup.i18n import _
from kinebackup.model import CancelToken, FileName

_PIECE_BYTES: Final = 256 * BLOCK_BYTES


@dataclass(frozen=True, slots=True)
class _Owed:
    """``parity``: where it was made when the file was read back; else it is made from the file."""

    path: str
    is_copy: bool
    parity: bytes | None


class UnsoundFile(Damaged):
    """A file whose bytes cannot be read, or are not those that its name stands for. Parity would prove them right."""


class ParityWriter:
    """Of a run that holds the writer lock. For one thread at a time."""

    def __init__(self, store: GivingWayStore) -> None:
        self._store = store
        self._owed: deque[_Owed] = deque()
        self._written_in: set[str] = set()
        self._drive_is_full = False

    @property
    def has_no_room(self) -> bool:
        """Whether the drive is too full for parity. Nothing is tried any more then: data come first."""
        return self._drive_is_full or self._store.gave_way

    def owe(self, path: str, *, is_copy: bool, parity: bytes | None = None) -> None:
        """That file is durable, and gets its parity when another one has been written after it."""
        self._owed.append(_Owed(path, is_copy, parity))

    def owe_copy(self, path: str, data: bytes) -> None:
        """The same of a file of which the bytes are at hand: a small one is not read again."""
        self.owe(path, is_copy=True, parity=encode(data, is_copy=True) if len(data) <= _PIECE_BYTES else None)

    def write_earlier(self) -> None:
        """Write what is owed, but for the last file."""
        while len(self._owed) > 1:
            self._try(self._owed.popleft())

    def settle(self, cancel: CancelToken) -> None:
        """Write all that is owed, durably, until somebody asks to stop."""
        while self._owed and not cancel.cancelled:
            self._try(self._owed.popleft())
        self.sync()

    def sync(self) -> None:
        """Make durable what was written: once for all, for what a power cut takes the next run makes again."""
        folders, self._written_in = sorted(self._written_in), set()
        if folders:
            self._store.sync_directories([*folders, PARITY])

    def _try(self, owed: _Owed) -> None:
        with suppress(Damaged, NotFound):  # the end of the run looks at what has none, and says why
            self.write(owed.path, is_copy=owed.is_copy, parity=owed.parity)

    def write(self, path: str, *, is_copy: bool, parity: bytes | None = None) -> bool:
        """Write the parity file of that file; False where there is no room for it.

        Raises ``UnsoundFile``, and ``Damaged`` where something else stands in the place of the parity file.
        """
        if self.has_no_room:
            return False
        store, name = self._store.inner, FileName(path.rpartition("/")[2])
        try:
            store.make_directories([PARITY, parity_directory(name)])
            file = store.create(apart=_length(store, path, is_copy=is_copy) if parity is None else len(parity))
            try:
                if parity is not None:
                    file.write(parity)
                else:
                    _fill(file, store, path, is_copy=is_copy)
                file.commit(parity_path(name))
            except BaseException:
                file.abandon()
                raise
        except DriveFull:
            self._drive_is_full = True
            return False
        self._written_in.add(parity_directory(name))
        return True

    def remove(self, names: Collection[FileName]) -> None:
        """Durably, before the files of these names are removed."""
        self._owed = deque(owed for owed in self._owed if owed.path.rpartition("/")[2] not in names)
        folders: set[str] = set()
        for name in names:
            path = parity_path(name)
            try:
                self._store.size(path)
            except NotFound:
                continue
            except Damaged:  # an empty folder in its place goes, anything else is not ours
                with suppress(Damaged):
                    self._store.remove(path)
                continue
            self._store.remove(path)
            folders.add(parity_directory(name))
        self._store.sync_directories(sorted(folders))


def _length(store: Store, path: str, *, is_copy: bool) -> int:
    """How long the parity file of that file will be. Raises ``UnsoundFile``."""
    try:
        size = store.size(path)
    except (Damaged, NotFound) as error:
        raise UnsoundFile(error.message) from error
    return size_of(size, columns_of(size, is_copy=is_copy))


def _fill(file: PendingFile, store: Store, path: str, *, is_copy: bool) -> None:
    """Raises ``UnsoundFile``."""
    try:
        if is_copy:
            _write_copy(store, path, file)
        else:
            file.write(_encoded(store, path))
    except (Damaged, NotFound) as error:
        raise UnsoundFile(error.message) from error


def _encoded(store: Store, path: str) -> bytes:
    """The parity file of a data pack."""
    size = store.size(path)
    encoder, digest = Encoder(size, columns_of(size, is_copy=False)), sha256()
    for piece in _pieces(store, path, size, _PIECE_BYTES):
        digest.update(piece)
        encoder.update(piece)
    _check(digest.hexdigest(), path)
    return encoder.finish()


def _write_copy(store: Store, path: str, file: PendingFile) -> None:
    """Read twice, for the checksums stand first, and the file may be long."""
    size, digest = store.size(path), sha256()
    sums: list[int] = []
    for piece in _pieces(store, path, size, _PIECE_BYTES):
        digest.update(piece)
        sums += checksums(piece)
    _check(digest.hexdigest(), path)
    filled_up = bytes(blocks_of(size) * BLOCK_BYTES - size)
    last = bytes(store.read(path, size - size % BLOCK_BYTES)) + filled_up if filled_up else b""
    file.write(table(size, sums, [*sums[:-1], *checksums(last)] if last else sums))
    digest = sha256()
    for piece in _pieces(store, path, size, _PIECE_BYTES):
        digest.update(piece)
        file.write(piece)
    file.write(filled_up)
    _check(digest.hexdigest(), path)


def _pieces(store: Store, path: str, size: int, length: int) -> Iterator[memoryview]:
    """The bytes of a file, each time in the same buffer."""
    view = memoryview(bytearray(min(length, size)))
    done = 0
    while done < size and (count := store.read_into(path, done, view[: min(length, size - done)])):
        yield view[:count]
        done += count


def _check(digest: str, path: str) -> None:
    if digest != path.rpartition("/")[2]:
        raise Damaged(_("its bytes are not those that its name stands for"))
