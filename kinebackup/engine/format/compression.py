"""Zstandard frames, bounded on the way back (RFC 8878).

Owns: level, limits and the choice between raw and zstd. Does not know: what is compressed.
"""

import sys

from kinebackup.engine.format.constants import MAX_RECORD_BYTES, Buffer
from kinebackup.errors import Damaged
from kinebackup.i18n import _

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

LEVEL = 3
# Below this gain, decompressing at each restore costs more than the bytes saved are worth.
WORTH_IT = 0.97

_MAGIC = b"\x28\xb5\x2f\xfd"


class Compressor:
    """Compresses one buffer after another with one context. Not for several threads at once."""

    __slots__ = ("_context",)

    def __init__(self, level: int = LEVEL) -> None:
        self._context = zstd.ZstdCompressor(level=level)

    def compress(self, plain: Buffer) -> bytes:
        """One frame that records its content size."""
        self._context.set_pledged_input_size(len(plain))
        return self._context.compress(plain, zstd.ZstdCompressor.FLUSH_FRAME)


def compress(plain: Buffer) -> bytes:
    """One frame, for records that are written seldom."""
    return Compressor().compress(plain)


def decompress(frame: Buffer, *, limit_bytes: int = MAX_RECORD_BYTES, expected_bytes: int | None = None) -> bytes:
    """The content of exactly one frame.

    Raises ``Damaged`` for trailing bytes, a missing or too large content size, or another length than said. The size
    in the frame is checked before anything is allocated: a frame of a few bytes may claim gigabytes.
    """
    if bytes(frame[:4]) != _MAGIC:  # a skippable frame would pass for an empty content
        raise Damaged(_("a compressed record is not a Zstandard frame"))
    try:
        size = zstd.get_frame_info(frame).decompressed_size
        if size is None:
            raise Damaged(_("a compressed record does not say how long it is"))
        if size > limit_bytes or (expected_bytes is not None and size != expected_bytes):
            raise Damaged(_("a compressed record claims {size} bytes, which it may not have").format(size=size))
        decoder = zstd.ZstdDecompressor()
        plain = decoder.decompress(frame, max_length=size + 1)
    except zstd.ZstdError:
        raise Damaged(_("a compressed record cannot be decompressed")) from None
    if not decoder.eof or decoder.unused_data or len(plain) != size:
        raise Damaged(_("a compressed record is not one whole frame"))
    return plain
