"""Makes finished packs durable, reads them back, lists them in index files: one thread, in the order of FORMAT.md §11.

Owns: the moment at which a pack counts as kept. Does not know: what is in it, or who made it.
"""

import queue
import threading
from collections.abc import Callable
from functools import partial

import msgspec

from kinebackup.engine.format.constants import Buffer, Kind
from kinebackup.engine.format.index import FLUSH_BLOBS
from kinebackup.engine.format.keyring import Entropy
from kinebackup.engine.format.pack import Pack
from kinebackup.engine.format.parity import Encoder, columns_of
from kinebackup.engine.repository.files import READ_BYTES, read_back
from kinebackup.engine.repository.index_files import list_packs_in_index
from kinebackup.engine.repository.repository import WritableRepository
from kinebackup.engine.repository.store import PendingFile
from kinebackup.errors import Cancelled
from kinebackup.model import CancelToken

_WAITING_PACKS = 2


class _Finished(msgspec.Struct, frozen=True):
    file: PendingFile
    pack: Pack


class Committer:
    """Takes finished packs from the lanes. ``close`` ends the thread and leaves the index complete."""

    def __init__(
        self,
        repository: WritableRepository,
        entropy: Entropy,
        *,
        read_back: bool,
        cancel: CancelToken,
        failed: Callable[[BaseException], None],
    ) -> None:
        """``read_back``: each pack from the drive, until somebody asks to stop: a person is not made to wait for a
        drive that is not called good anyway.

        ``failed`` is called with the first error, which may be ``Cancelled``; later packs are then dropped.
        """
        self._repository = repository
        self._entropy = entropy
        self._read_back = read_back
        self._cancel = cancel
        self._failed = failed
        self._broken = False
        self._queue: queue.Queue[_Finished | None] = queue.Queue(_WAITING_PACKS)
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
            self._broken = not isinstance(error, Cancelled)  # then what is in its place is still listed
            if item is not None:
                item.file.abandon()
            self._failed(error)

    def _commit(self, item: _Finished) -> None:
        self._cancel.check()
        repository, pack = self._repository, item.pack
        path = repository.place_pack(item.file, pack)
        is_copy = all(segment.kind is not Kind.DATA for segment in pack.segments)
        encoder = None if is_copy else Encoder(pack.size, columns_of(pack.size, is_copy=False))
        seen = self._read_back and self._read(path, pack.size, encoder)
        self.bytes_written += pack.size
        repository.count_pack(pack)
        repository.parity.owe(path, is_copy=is_copy, parity=encoder.finish() if encoder and seen else None)
        if not self._cancel.cancelled:
            repository.parity.write_earlier()
        if sum(p.blob_count for p in repository.unlisted) >= FLUSH_BLOBS:
            self._write_index()

    def _read(self, path: str, size: int, encoder: Encoder | None) -> bool:
        """From the drive. Its parity is made of what comes by: a pack is read once. False: somebody asked to stop."""
        self._buffer = self._buffer or bytearray(READ_BYTES)

        def see(data: Buffer) -> bool:
            if encoder is not None:
                encoder.update(data)
            return not self._cancel.cancelled

        return not self._cancel.cancelled and read_back(
            self._repository.store, path, size, memoryview(self._buffer), see
        )

    def _write_index(self) -> None:
        list_packs_in_index(self._repository, self._entropy)
