"""From blobs to packs on the drive: threads that compress, seal and write.

Owns: segments being filled, the lanes (worker threads), their packs. Does not know: files, directories, or which
blobs are known.

The caller's thread does what Python must do and hands over whole segments of about a megabyte; a lane then makes
four calls
for each segment (zstd, AES-GCM, SHA-256, write), all of which release the interpreter lock. Lanes share nothing but
the index.
"""

import queue
import threading
from collections.abc import Callable
from functools import partial

import msgspec

from kinebackup.engine.format.compression import WORTH_IT, Compressor
from kinebackup.engine.format.constants import MAX_BLOB_BYTES, SALT_BYTES, TAG_BYTES, Buffer, Codec, Kind
from kinebackup.engine.format.keyring import Entropy
from kinebackup.engine.repository.committer import Committer
from kinebackup.engine.repository.pack_writer import PackWriter
from kinebackup.engine.repository.repository import WritableRepository
from kinebackup.model import BlobId, CancelToken, stopped_as_asked

SEGMENT_BYTES = 2**20
# A folder is looked at for its own sake, and a damaged segment takes all that is in it along: short ones, of a folder
# or few.
METADATA_SEGMENT_BYTES = 2**18
_WAITING_JOBS = 6
LANES = 2


def most_bytes(kind: Kind) -> int:
    """How much a segment gathers. A longer blob is a segment of its own."""
    return SEGMENT_BYTES if kind is Kind.DATA else METADATA_SEGMENT_BYTES


class OpenSegment:
    """Blobs of one kind being gathered in a buffer that is used again."""

    __slots__ = ("_room", "blobs", "buffer", "kind", "size")

    def __init__(self, kind: Kind, buffer: bytearray) -> None:
        self.kind = kind
        self._room = most_bytes(kind)
        self.buffer = buffer
        self.size = 0
        self.blobs: list[tuple[BlobId, int, int]] = []

    def free_bytes(self) -> int:
        return self._room - self.size

    def append(self, blob_id: BlobId, data: Buffer) -> None:
        """Copy a blob in; it fits."""
        end = self.size + len(data)
        self.buffer[self.size : end] = data
        self.commit(blob_id, len(data))

    def commit(self, blob_id: BlobId, size: int) -> None:
        """Count bytes that were read straight into the buffer as a blob."""
        self.blobs.append((blob_id, self.size, size))
        self.size += size


class Lane:
    """What one worker thread owns: a compressor, a buffer for sealed bytes, one pack for data and one for metadata."""

    def __init__(self, repository: WritableRepository, committer: Committer, entropy: Entropy) -> None:
        self._repository = repository
        self._committer = committer
        self._entropy = entropy
        self._compressor = Compressor()
        self._sealed = bytearray(SEGMENT_BYTES + TAG_BYTES)
        self._writers: dict[bool, PackWriter] = {}
        self._gathering = OpenSegment(Kind.DATA, bytearray(SEGMENT_BYTES))
        self.window = bytearray()  # for reading large files; made when the first one comes

    def write_segment(self, segment: OpenSegment) -> None:
        """Compress, seal and write a gathered segment."""
        self._write(segment.kind, memoryview(segment.buffer)[: segment.size], segment.blobs)

    def put(self, kind: Kind, blob_id: BlobId, data: Buffer) -> None:
        """Write one blob of a large file: alone when large, gathered with its neighbours when small."""
        if len(data) >= most_bytes(kind) // 2:
            self._write(kind, data, [(blob_id, 0, len(data))])
            return
        if self._gathering.kind is not kind or self._gathering.free_bytes() < len(data):
            self.flush()
            self._gathering = OpenSegment(kind, self._gathering.buffer)
        self._gathering.append(blob_id, data)

    def flush(self) -> None:
        """Write what ``put`` has gathered."""
        if self._gathering.size:
            self.write_segment(self._gathering)
            self._gathering = OpenSegment(self._gathering.kind, self._gathering.buffer)

    def _write(self, kind: Kind, plain: Buffer, blobs: list[tuple[BlobId, int, int]]) -> None:
        packed = self._compressor.compress(plain)
        worth_it = len(packed) < len(plain) * WORTH_IT
        body: Buffer = packed if worth_it else plain
        if len(self._sealed) < len(body) + TAG_BYTES:
            self._sealed = bytearray(len(body) + TAG_BYTES)
        # Directories are kept apart from contents: listing a backup then reads few, neighbouring packs.
        is_metadata = kind is not Kind.DATA
        writer = self._writers.get(is_metadata)
        if writer is None:
            writer = PackWriter(self._repository.store, self._repository.keys, self._entropy(SALT_BYTES))
            self._writers[is_metadata] = writer
        writer.add(kind, Codec.ZSTD if worth_it else Codec.RAW, body, len(plain), blobs, self._sealed)
        if writer.full:
            self._finish(is_metadata)

    def _finish(self, is_metadata: bool) -> None:
        writer = self._writers.get(is_metadata)
        if writer is not None:
            finished = writer.finish()  # where that fails, the writer is still known, and its file is abandoned
            del self._writers[is_metadata]
            self._committer.submit(writer.file, finished)

    def close(self) -> None:
        """Finish what is begun."""
        self.flush()
        for is_metadata in (False, True):
            self._finish(is_metadata)

    def abandon(self) -> None:
        """Drop what is begun."""
        for writer in self._writers.values():
            writer.file.abandon()
        self._writers.clear()


Job = Callable[[Lane], None]


class _Queued(msgspec.Struct, frozen=True):
    job: Job
    on_drop: Callable[[], None] | None = None


def _write_segment(segment: OpenSegment, lane: Lane) -> None:
    lane.write_segment(segment)


class PackPipeline:
    """Gathers blobs into segments and spreads the work over lanes. ``put`` and ``reserve`` are for one thread."""

    def __init__(
        self,
        repository: WritableRepository,
        entropy: Entropy,
        *,
        read_back: bool,
        cancel: CancelToken,
        lanes: int = LANES,
    ) -> None:
        self._error: BaseException | None = None
        self._cancel = cancel
        self._jobs: queue.Queue[_Queued | None] = queue.Queue(_WAITING_JOBS)
        self._buffers: queue.SimpleQueue[bytearray] = queue.SimpleQueue()
        self._open: dict[Kind, OpenSegment] = {}
        self.committer = Committer(repository, entropy, read_back=read_back, cancel=cancel, failed=self._fail)
        self._lanes = [Lane(repository, self.committer, entropy) for _ in range(lanes)]
        self._threads = [
            threading.Thread(target=self._work, args=(lane,), name=f"lane-{number}", daemon=True)
            for number, lane in enumerate(self._lanes)
        ]
        for thread in self._threads:
            thread.start()

    def _fail(self, error: BaseException) -> None:
        self._error = self._error or error

    def _note_cancel(self) -> None:
        """Who asks to stop does not wait for what is still to be written: whatever comes after is dropped."""
        if self._cancel.cancelled:
            self._fail(stopped_as_asked())

    def _work(self, lane: Lane) -> None:
        while (queued := self._jobs.get()) is not None:
            self._note_cancel()
            if self._error is None:
                self._guarded(partial(queued.job, lane))
            elif queued.on_drop is not None:
                self._guarded(queued.on_drop)
        if self._error is None:
            self._guarded(lane.close)
        lane.abandon()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - carried to the caller's thread, which raises it
            self._fail(error)

    def check(self) -> None:
        """Raise what went wrong in another thread, or ``Cancelled``."""
        if self._error is not None:
            raise self._error
        self._cancel.check()

    def reserve(self, kind: Kind, size: int) -> OpenSegment:
        """An open segment with room for ``size`` ≤ ``most_bytes(kind)`` bytes at ``buffer[size:]``."""
        segment = self._open.get(kind)
        if segment is not None and segment.free_bytes() >= size:
            return segment
        if segment is not None:
            self._submit(segment)
        try:
            buffer = self._buffers.get_nowait()
        except queue.Empty:
            buffer = bytearray(SEGMENT_BYTES)
        segment = OpenSegment(kind, buffer)
        self._open[kind] = segment
        return segment

    def put(self, kind: Kind, blob_id: BlobId, data: Buffer) -> None:
        """Store one blob that the caller has claimed."""
        if len(data) > MAX_BLOB_BYTES:
            raise ValueError("a blob is too large")
        if len(data) > most_bytes(kind):
            self.run(lambda lane: lane.put(kind, blob_id, data))
        else:
            self.reserve(kind, len(data)).append(blob_id, data)

    def _submit(self, segment: OpenSegment) -> None:
        def write(lane: Lane) -> None:
            lane.write_segment(segment)
            self._buffers.put(segment.buffer)

        self.run(write)

    def run(self, job: Job, *, on_drop: Callable[[], None] | None = None) -> None:
        """Give a job to the next free lane; waits while all are behind. Raises what went wrong elsewhere.

        ``on_drop`` is called instead of the job where something goes wrong before its turn.
        """
        self.check()
        self._jobs.put(_Queued(job, on_drop))

    def finish(self) -> int:
        """Write everything, make it durable, list it in the index; returns the bytes of packs written. Raises the
        first error.
        """
        for segment in self._open.values():
            if segment.size and self._error is None:
                self._jobs.put(_Queued(partial(_write_segment, segment)))
        self._open.clear()
        self._end_threads()
        if self._error is not None:
            raise self._error
        return self.committer.bytes_written

    def stop(self) -> None:
        """End without the segments still open. Packs that are in their place are kept, so that the next run need not
        write them again; those that are begun are too, unless somebody asked to stop and would have to wait for them.
        """
        self._open.clear()
        self._note_cancel()
        self._end_threads()

    def _end_threads(self) -> None:
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()
        self.committer.close()
