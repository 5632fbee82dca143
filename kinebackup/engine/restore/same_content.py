"""Whether a file on this computer holds what an entry says.

Owns: reading the file and recomputing the id of each blob. Does not know: where the file came from.
"""

import os

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.tree_reader import data_ids, extents_of


def has_content_of(fd: int, entry: Entry, repository: LoadedRepository, reader: BlobReader) -> bool:
    """Of an open file; where it is sparse, of its extents. Raises ``OSError``, and ``Damaged`` for a lost list."""
    stretches = list(tree.data_extents(entry.size, extents_of(entry, reader)))
    position, end = stretches.pop(0) if stretches else (0, 0)
    end += position
    for text in data_ids(entry, reader):
        blob_id = tree.blob_id(text)
        size = repository.index.locations(blob_id)[0].size
        data = bytearray()
        while len(data) < size:
            if position == end:
                if not stretches:
                    return False
                position, length = stretches.pop(0)
                end = position + length
            part = os.pread(fd, min(size - len(data), end - position), position)
            if not part:
                return False
            data += part
            position += len(part)
        if repository.keys.blob_id(Kind.DATA, data) != blob_id:
            return False
    return position == end and not stretches
