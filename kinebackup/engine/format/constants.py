"""Numbers and frames of format version 1: magic, types, codecs, limits.

Owns: what docs/FORMAT.md §5 and §13 fix. Does not know: keys, files on a drive, or what is inside a record.
"""

import struct
from enum import IntEnum

from kinebackup.errors import Damaged
from kinebackup.i18n import _

VERSION = 1

Buffer = bytes | bytearray | memoryview

MAGIC = b"KINEBKP"
SALT_BYTES = 32
FRAME_BYTES = 48
TAG_BYTES = 16
TRAILER_BYTES = 8
ID_BYTES = 16

MAX_BLOB_BYTES = 16 * 2**20
MAX_SEGMENT_BYTES = 16 * 2**20
MAX_RECORD_BYTES = 64 * 2**20  # plaintext of an index, table or snapshot record, after decompression
MAX_SEALED_RECORD_BYTES = 66 * 2**20  # the same record as it lies on the drive
MIN_PACK_BYTES = FRAME_BYTES + TAG_BYTES + TRAILER_BYTES
MAX_PACK_BYTES = 80 * 2**20  # so 32 bits hold every offset in a pack, and parity every pack
MAX_PACK_SEGMENTS = 65_536
MAX_PACK_BLOBS = 1_048_576
MAX_INDEX_BLOBS = 1_048_576
MAX_HEADER_BYTES = 64 * 2**10

_FRAME = struct.Struct("<7s1sII32s")


class FileType(bytes):
    """One letter that says what a sealed file is; it is bound into the file's key and every record."""

    __slots__ = ()


PACK = FileType(b"P")
INDEX = FileType(b"I")
SNAPSHOT = FileType(b"S")
REMOVAL = FileType(b"R")


class Kind(IntEnum):
    """What a blob is. Part of the format: never renumber."""

    DATA = 0
    TREE = 1
    LIST = 2


class Codec(IntEnum):
    """How a segment's plaintext was packed before sealing. Part of the format: never renumber."""

    RAW = 0
    ZSTD = 1


def encode_frame(file_type: FileType, salt: bytes) -> bytes:
    """The 48 bytes that begin a sealed file."""
    return _FRAME.pack(MAGIC, file_type, VERSION, 0, salt)


def decode_frame(data: bytes, expected: FileType) -> bytes:
    """The salt of a sealed file, after checking everything else in its first 48 bytes.

    Raises ``Damaged`` for another magic, version or type, and for a reserved field that is not zero.
    """
    if len(data) < FRAME_BYTES:
        raise Damaged(_("the file is shorter than its first header"))
    magic, file_type, version, reserved, salt = _FRAME.unpack_from(data)
    if magic != MAGIC:
        raise Damaged(_("the file does not begin as a KineBackup file"))
    if version != VERSION:
        text = _("the file has format version {version}, this program reads version {known}")
        raise Damaged(text.format(version=version, known=VERSION))
    if file_type != expected:
        raise Damaged(_("the file is of another type than its directory says"))
    if reserved:
        raise Damaged(_("a reserved field of the file is not zero"))
    return bytes(salt)
