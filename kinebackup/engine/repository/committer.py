"""Makes finished packs durable, reads them back, lists them in index files: one thread, in the order of FORMAT.md §11.

Owns: the moment at which a pack counts as kept. Does not know: what is in it, or who made it.
"""

import hashlib
import queue
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from kinebackup.engine.format import compression, index, pack
from kinebackup.engine.format.constants import INDEX, SALT_BYTES
from kinebackup.engine.format.index import FLUSH_BLOBS, IndexTable
from kinebackup.engine.format.keyring import Entropy
from kinebackup.engine.format.pack import Pack
from kinebackup.engine.format.seal import seal_single
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.store import PendingFile, Store
from kinebackup.errors import Damaged, DriveFailed, KineError
from kinebackup.i18n import _
from kinebackup.model import FileName

READ_BYTES = 4 * 2**20
_WAITING_PACKS = 2


@dataclass(frozen=True, slots=True)
class _Finished:
    file: PendingFile
    pack: Pack


def write_file(store: Store, directory: str, name: str, data: bytes) -> None:
    """Write a whole file durably: index files and snapshots."""
    pending = store.create()
    try:
        pending.write(data)
        pending.commit(f"{directory}/{name}")
    except BaseException:
        pending.abandon()
        raise
    store.sync_directories([directory])


def write_index(repository: Repository, plain: bytes, entropy: Entropy) -> FileName:
    """Write an index file of that plaintext; returns its name."""
    data = seal_single(repository.keys, INDEX, entropy(SALT_BYTES), compression.compress(plain))
    name = FileName(hashlib.sha256(data).hexdigest())
    write_file(repository.store, "index", name, data)
    return name


def read_back(store: Store, path: str, size: int, buffer: bytearray) -> None:
    """Read a pack or snapshot from the drive itself, not from memory, and compare its digest with its name.

    Raises ``DriveFailed``: a drive that does not keep what it took is not a drive for backups. The file is then
    removed: nothing refers to it yet, and left there, a later run would find it and rely on it.
    """
    try:
        _compare(store, path, size, buffer)
    except BaseException:
        with suppress(KineError):
            store.remove(path)
        raise


def _compare(store: Store, path: str, size: int, buffer: bytearray) -> None:
    store.drop_cache(path)
    digest = hashlib.sha256()
    view = memoryview(buffer)
    done = 0
    try:
        while done < size:
            count = store.read_into(path, done, view[: min(len(view), size - done)])
            if not count:
                break
            digest.update(view[:count])
            done += count
    except Damaged as error:
        raise DriveFailed(_("the drive does not give back what was just written to it"), _replace_it()) from error
    if digest.hexdigest() != path.rpartition("/")[2]:
        raise DriveFailed(_("the drive gives back other bytes than were written to it"), _replace_it())


def _replace_it() -> str:
    return _("replace this drive; do not rely on it")


class Committer:
    """Takes finished packs from the lanes. ``close`` ends the thread and leaves the index complete."""

    def __init__(
        self,
        repository: Repository,
        entropy: Entropy,
        *,
        read_back: Callable[[], bool],
        failed: Callable[[BaseException], None],
    ) -> None:
        """``read_back`` is asked before each pack. ``failed`` hears the first error; later packs are then dropped."""
        self._repository = repository
        self._entropy = entropy
        self._read_back = read_back
        self._failed = failed
        self._broken = False
        self._queue: queue.Queue[_Finished | None] = queue.Queue(_WAITING_PACKS)
        # Packs of an interrupted run, known by their tables, are listed with the first index file that is written.
        self._unlisted: list[Pack] = list(repository.unlisted)
        self._buffer = bytearray()
        self.bytes_written = 0
        self._thread = threading.Thread(target=self._run, name="committer", daemon=True)
        self._thread.start()

    def submit(self, file: PendingFile, finished: Pack) -> None:
        """Hand over a pack whose bytes are all written."""
        self._queue.put(_Finished(file, finished))

    def close(self) -> None:
        """Wait until everything handed over is durable and listed."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            self._guarded(partial(self._commit, item), item)
        self._guarded(self._write_index, None)

    def _guarded(self, work: Callable[[], None], item: _Finished | None) -> None:
        if self._broken:
            if item is not None:
                item.file.abandon()
            return
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - carried to the thread that waits, which raises it
            self._broken = True
            if item is not None:
                item.file.abandon()
            self._failed(error)

    def _commit(self, item: _Finished) -> None:
        store, name = self._repository.store, item.pack.name
        directory = f"packs/{name[:2]}"
        store.make_directories([directory])
        item.file.commit(pack.path_of(name))
        store.sync_directories([directory, "packs"])
        if self._read_back():
            self._buffer = self._buffer or bytearray(READ_BYTES)
            read_back(store, pack.path_of(name), item.pack.size, self._buffer)
        self.bytes_written += item.pack.size
        self._repository.present[name] = item.pack.size
        self._unlisted.append(item.pack)
        if sum(p.blob_count for p in self._unlisted) >= FLUSH_BLOBS:
            self._write_index()

    def _write_index(self) -> None:
        # Mostly one group; after the loss of all index files, as many as the whole drive needs.
        for group in index.grouped(self._unlisted):
            plain = index.encode(group)
            name = write_index(self._repository, plain, self._entropy)
            self._repository.index.add(IndexTable(plain, name))
        self._repository.unlisted = []
        self._unlisted = []
