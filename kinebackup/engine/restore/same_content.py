"""Whether a file on this computer holds what an entry says.

Owns: reading the file, recomputing the id of each blob, and that holes are empty. Does not know: where the file came
from.
"""

import errno
import os

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.tree_reader import data_ids, extents_of

_READ_BYTES = 2**20


def has_content_of(fd: int, entry: Entry, repository: LoadedRepository, reader: BlobReader) -> bool:
    """Of an open file. Raises ``OSError``, and ``Damaged`` for a lost list."""
    extents = iter(list(tree.data_extents(entry.size, extents_of(entry, reader))))
    position = end = 0
    for text in data_ids(entry, reader):
        blob_id = tree.blob_id(text)
        size = repository.index.locations(blob_id)[0].size
        data = bytearray()
        while len(data) < size:
            if position == end:
                offset, length = next(extents, (0, 0))
                if not length or not _is_empty(fd, end, offset):
                    return False
                position, end = offset, offset + length
            part = os.pread(fd, min(size - len(data), end - position), position)
            if not part:
                return False
            data += part
            position += len(part)
        if repository.keys.blob_id(Kind.DATA, data) != blob_id:
            return False
    return position == end and next(extents, None) is None and _is_empty(fd, end, entry.size)


def _is_empty(fd: int, start: int, end: int) -> bool:
    """Whether nothing but zeros lies there; what the file system calls a hole is not read."""
    while start < end:
        try:
            start = os.lseek(fd, start, os.SEEK_DATA)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return True
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # these: it cannot tell, and gives zeros
                raise
        if start >= end:
            return True
        part = os.pread(fd, min(end - start, _READ_BYTES), start)
        if not part or part.count(0) != len(part):
            return False
        start += len(part)
    return True
