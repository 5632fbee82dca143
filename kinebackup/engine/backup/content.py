"""Reading a file into blobs, and noticing that it changes meanwhile.

Owns: the two ways (small files in the caller's thread, large ones in a lane), re-reading, sparse files. Does not
know: directories.
"""

import errno
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import msgspec

from kinebackup.engine.backup.chunker import WINDOW_BYTES, Cutter, cutting_for
from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import ID_BYTES, MAX_BLOB_BYTES, Buffer, Kind
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.repository.blob_index import Index
from kinebackup.engine.repository.pack_pipeline import Lane, PackPipeline
from kinebackup.model import CancelToken

SMALL_FILE_BYTES = 512 * 2**10
MAX_INLINE_ITEMS = 256  # ids or extents in the entry itself; more stand in list blobs
LIST_BLOB_ITEMS = 1024
_READINGS = 3
_HEAD_BYTES = 32
# Some files of the kernel, and of file systems that do not know sizes, claim to be empty. They are read to their end,
# which some do not have.
UNSIZED_BYTES = 64 * 2**20
_UNSIZED_S = 30.0


class Content(msgspec.Struct):
    """What a reading of a file gave. ``steady``: nothing showed that it changed while it was read; ``stat``: after
    it. A struct, because each file makes one.
    """

    size: int
    steady: bool
    stat: os.stat_result | None = None
    bytes_read: int = 0
    blobs: list[str] = []
    lists: list[str] = []
    extents: list[tuple[int, int]] | None = None
    extent_lists: list[str] = []


def same_file_state(a: os.stat_result, b: os.stat_result) -> bool:
    """Whether two ``fstat`` of a file show the same content: any write changes mtime and ctime."""
    return a.st_size == b.st_size and a.st_mtime_ns == b.st_mtime_ns and a.st_ctime_ns == b.st_ctime_ns


def read_small(
    fd: int, before: os.stat_result, *, keys: RepositoryKeys, index: Index, packer: PackPipeline
) -> Content | None:
    """Read a file of at most ``SMALL_FILE_BYTES`` straight into a segment. None: it is longer than it says."""
    bytes_read = 0
    for reading in range(1, _READINGS + 1):
        size = before.st_size
        if size > SMALL_FILE_BYTES:
            return None
        segment = packer.reserve(Kind.DATA, size + 1)  # one byte more than expected shows that the file grew
        view = memoryview(segment.buffer)[segment.size : segment.size + size + 1]
        count = os.preadv(fd, [view], 0)
        if count < size:
            count += _fill(fd, view[count:], count)
        if count > size == 0:
            return None
        bytes_read += count
        after = os.fstat(fd)
        steady = count == size and same_file_state(before, after)
        if steady or reading == _READINGS:
            break
        before = after
    content = Content(count, steady, after, bytes_read)
    if count:
        blob_id = keys.blob_id(Kind.DATA, view[:count])
        content.blobs = [blob_id.hex()]
        if index.claim(blob_id):
            segment.commit(blob_id, count)
    return content


def _fill(fd: int, view: memoryview, offset: int) -> int:
    done = 0
    while done < len(view):
        count = os.preadv(fd, [view[done:]], offset + done)
        if not count:
            break
        done += count
    return done


@dataclass(slots=True)
class LargeFileReader:
    """Reads one large file in a lane."""

    name: str
    keys: RepositoryKeys
    index: Index
    cancel: CancelToken
    elapsed_s: Callable[[], float]

    def read(self, fd: int, lane: Lane) -> Content:
        """Up to three readings until one is steady. Blobs of an unsteady reading are kept as long as nothing better
        comes.
        """
        bytes_read = 0
        for reading in range(1, _READINGS + 1):
            before = os.fstat(fd)
            wanted = find_extents(fd, before)
            # One byte more than expected shows that the file grew; a log that grows all the time would never end.
            stretches = [(0, (before.st_size or UNSIZED_BYTES) + 1)] if wanted is None else wanted
            ids, got = self._read_once(fd, before, stretches, lane)
            bytes_read += sum(length for _, length in got)
            size, after = _size_of(got, wanted, before), os.fstat(fd)
            if size > UNSIZED_BYTES > before.st_size == 0:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
            steady = size == (before.st_size or size) and same_file_state(before, after)
            if steady or reading == _READINGS:
                break
        content = Content(size, steady, after, bytes_read)
        content.lists = self._listed(ids, lane)
        if not content.lists:
            content.blobs = tree.decode_ids(bytes(ids))
        if wanted is not None:
            content.extent_lists = self._listed(tree.encode_extents(got), lane)
            content.extents = None if content.extent_lists else got
        lane.flush()
        return content

    def _read_once(
        self, fd: int, before: os.stat_result, wanted: list[tuple[int, int]], lane: Lane
    ) -> tuple[bytearray, list[tuple[int, int]]]:
        """The ids of the blobs, joined, and what of the wanted stretches was there: of the last one, perhaps a part."""
        head = os.pread(fd, _HEAD_BYTES, 0)
        cutter = Cutter(cutting_for(self.name, head, before.st_size, self.keys.chunker_seed))
        if not lane.window:
            lane.window = bytearray(WINDOW_BYTES)
        window = memoryview(lane.window)
        ids = bytearray()
        filled = 0
        got: list[tuple[int, int]] = []
        until_s = self.elapsed_s() + _UNSIZED_S if before.st_size == 0 else None
        for offset, length in wanted:
            at = offset
            while at < offset + length:
                self.cancel.check()
                if until_s is not None and self.elapsed_s() > until_s:
                    raise OSError(errno.ETIME, os.strerror(errno.ETIME))
                count = _fill(fd, window[filled : filled + min(len(window) - filled, offset + length - at)], at)
                if not count:
                    break
                at += count
                filled += count
                if filled == len(window):
                    filled = self._store(window, filled, cutter, ids, lane, last=False)
            if at > offset:
                got.append((offset, at - offset))
            if at < offset + length:
                break
        if filled:
            self._store(window, filled, cutter, ids, lane, last=True)
        lane.flush()
        return ids, got

    def _store(self, window: memoryview, filled: int, cutter: Cutter, ids: bytearray, lane: Lane, *, last: bool) -> int:
        """Store the certain pieces of the window; moves the rest to its front and returns its length."""
        end = 0
        for start, end in cutter.cut(window[:filled], last=last):
            piece = window[start:end]
            blob_id = self.keys.blob_id(Kind.DATA, piece)
            ids += blob_id
            if self.index.claim(blob_id):
                lane.put(Kind.DATA, blob_id, piece)
        rest = filled - end
        if rest:
            window[:rest] = bytes(window[end:filled])
        return rest

    def _listed(self, items: Buffer, lane: Lane) -> list[str]:
        """The list blobs of that many items of 16 bytes; none where they are few enough to stand in the entry itself.

        An entry stays short however long the file: where there are very many, the lists become longer instead.
        """
        if len(items) <= MAX_INLINE_ITEMS * ID_BYTES:
            return []
        step = LIST_BLOB_ITEMS * ID_BYTES
        while len(items) > MAX_INLINE_ITEMS * step and step < MAX_BLOB_BYTES:
            step *= 2
        found: list[str] = []
        for at in range(0, len(items), step):
            part = bytes(items[at : at + step])
            blob_id = self.keys.blob_id(Kind.LIST, part)
            found.append(blob_id.hex())
            if self.index.claim(blob_id):
                lane.put(Kind.LIST, blob_id, part)
        return found


def _size_of(got: list[tuple[int, int]], wanted: list[tuple[int, int]] | None, before: os.stat_result) -> int:
    """The size of the file as it was read: a sparse one that was read to its last stretch may end in a hole."""
    if wanted is not None and got == wanted:
        return before.st_size
    return sum(got[-1]) if got else 0


def find_extents(fd: int, stat: os.stat_result) -> list[tuple[int, int]] | None:
    """(offset, length) of each stretch of data in a file with holes; None for a file without."""
    if stat.st_blocks * 512 >= stat.st_size:
        return None
    try:
        extents = list(_data_stretches(fd, stat.st_size))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOTSUP):
            return None  # a file system that cannot tell: its holes are read as zeros
        raise
    return None if extents == [(0, stat.st_size)] else extents


def _data_stretches(fd: int, size: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < size:
        try:
            start = os.lseek(fd, at, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        if start >= size:
            return
        end = min(os.lseek(fd, start, os.SEEK_HOLE), size)
        yield start, end - start
        at = end
