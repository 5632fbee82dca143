"""Packs that no index file lists, as the next run finds and lists them.

Owns: what a run lists that only opens and ends. Does not know: how packs come to be.
"""

import hashlib
import struct
from pathlib import Path

from support.engine.drives import enroll, writable

from kinebackup.engine.format.constants import MAX_INDEX_BLOBS, Codec, Kind
from kinebackup.engine.format.pack import Pack, Segment
from kinebackup.engine.repository.committer import Committer
from kinebackup.engine.repository.inventory import read_index_file
from kinebackup.model import BlobId, CancelToken, FileName


def a_pack(number: int, blob_count: int) -> Pack:
    ids = hashlib.shake_256(b"%d" % number).digest(16 * blob_count)
    blobs = b"".join(ids[16 * n : 16 * n + 16] + struct.pack("<III", 0, n, 1) for n in range(blob_count))
    segment = Segment(0, 48, blob_count + 16, blob_count, Codec.RAW, Kind.DATA)
    return Pack(FileName(hashlib.sha256(b"%d" % number).hexdigest()), blob_count + 500, bytes(32), (segment,), blobs)


def test_more_blobs_than_one_index_file_can_list_go_into_several(tmp_path: Path) -> None:
    """After the loss of all index files of a large drive."""
    drive = enroll(tmp_path / "drive")
    packs = [a_pack(number, MAX_INDEX_BLOBS // 4) for number in range(5)]
    failures: list[BaseException] = []
    with writable(drive) as repository:
        repository.unlisted = packs
        Committer(repository, drive.dice, read_back=False, cancel=CancelToken(), failed=failures.append).close()
        assert failures == []
        tables = [read_index_file(repository.store, repository.keys, name) for name in repository.list_names("index")]
    assert sum(table.count for table in tables) == 5 * MAX_INDEX_BLOBS // 4
    assert all(any(table.has(BlobId(pack.blobs[:16])) for table in tables) for pack in packs)
