"""Packs on a drive: writing a new one segment by segment, and reading the table of one that is there.

Owns: when a pack is full, its digest. Does not know: which blobs are worth keeping, or when a pack counts as kept.
"""

import hashlib
from collections.abc import Sequence

from kinebackup.engine.format import compression
from kinebackup.engine.format.constants import MAX_PACK_BYTES, MAX_PACK_SEGMENTS, PACK, TAG_BYTES, Buffer, Codec, Kind
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.format.layout import pack_path
from kinebackup.engine.format.pack import (
    BLOB_BYTES,
    Pack,
    Segment,
    encode_blob,
    encode_table,
    encode_trailer,
    parse_table,
)
from kinebackup.engine.format.seal import RecordSealer
from kinebackup.engine.repository.store import PendingFile, Store
from kinebackup.model import BlobId, FileName

TARGET_BYTES = 16 * 2**20
TARGET_BLOBS = 32_768  # of tiny files, a pack of the target size would hold a million: too many to keep in mind


class PackWriter:
    """Writes one new pack, segment by segment. Not for several threads."""

    def __init__(self, store: Store, keys: RepositoryKeys, salt: bytes) -> None:
        """``salt``: 32 random bytes for this pack alone."""
        self._sealer = RecordSealer(keys, PACK, salt)
        self._salt = salt
        self._hash = hashlib.sha256()
        self._segments: list[Segment] = []
        self._blobs = bytearray()
        self.file: PendingFile = store.create()
        try:
            self._write(self._sealer.frame)
        except BaseException:
            self.file.abandon()
            raise

    @property
    def size(self) -> int:
        return self.file.size

    @property
    def full(self) -> bool:
        return (
            self.file.size >= TARGET_BYTES
            or len(self._segments) >= MAX_PACK_SEGMENTS - 1
            or len(self._blobs) >= TARGET_BLOBS * BLOB_BYTES
        )

    def _write(self, data: Buffer) -> None:
        self._hash.update(data)
        self.file.write(data)

    def add(
        self,
        kind: Kind,
        codec: Codec,
        body: Buffer,
        plain_size: int,
        blobs: Sequence[tuple[BlobId, int, int]],
        out: bytearray,
    ) -> None:
        """Seal ``body`` (``plain_size`` bytes before compression) as the next segment.

        ``blobs``: id, offset and size of each blob in the plaintext. ``out``: room for the sealed record, reused by the
        caller because fresh megabytes cost more in page faults than their encryption does.
        """
        size = len(body) + TAG_BYTES
        record = self._sealer.next_number
        sealed = memoryview(out)[:size]
        offset = self.file.size
        self._sealer.seal_into(body, sealed)
        self._write(sealed)
        self._segments.append(Segment(record, offset, size, plain_size, codec, kind))
        for blob_id, blob_offset, blob_size in blobs:
            self._blobs += encode_blob(blob_id, record, blob_offset, blob_size)

    def finish(self) -> Pack:
        """Write table and trailer. The pack exists once ``file`` is committed to ``pack_path(pack.name)``."""
        table = self._sealer.seal(compression.compress(encode_table(self._segments, self._blobs)), final=True)
        self._write(table)
        self._write(encode_trailer(len(table), len(self._segments)))
        if self.file.size > MAX_PACK_BYTES:  # no blobs that there can be make one so long
            raise ValueError("a pack is longer than its readers take")
        name = FileName(self._hash.hexdigest())
        return Pack(name, self.file.size, self._salt, tuple(self._segments), bytes(self._blobs))


def read_pack_table(store: Store, keys: RepositoryKeys, name: FileName) -> Pack:
    """The pack of that name by its own table, authenticated; its segments are not read. Raises ``Damaged``."""
    path = pack_path(name)
    return parse_table(lambda offset, size: store.read(path, offset, size), store.size(path), keys, name)
