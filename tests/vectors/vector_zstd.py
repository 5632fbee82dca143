"""Zstandard frames with one defect each.

Owns: how a frame (RFC 8878) departs from what FORMAT.md §1 and §13 allow. Does not know: where it is sealed.
"""

from collections.abc import Callable, Iterator

from backports import zstd


def raw_blocks(plain: bytes) -> bytes:
    """``plain`` in blocks that are not compressed."""
    out = b""
    for at in range(0, len(plain), 65536):
        piece = plain[at : at + 65536]
        last = at + 65536 >= len(plain)
        out += (len(piece) << 3 | last).to_bytes(3, "little") + piece
    return out


def zeros(length: int) -> bytes:
    """Blocks of four bytes that stand for 128 KiB each."""
    out = b""
    while length:
        size = min(length, 131072)
        length -= size
        out += (size << 3 | 2 | (length == 0)).to_bytes(3, "little") + b"\0"
    return out


def frame(size: int, blocks: bytes) -> bytes:
    """One segment, content size in eight bytes, no checksum."""
    return b"\x28\xb5\x2f\xfd" + b"\xe0" + size.to_bytes(8, "little") + blocks


def no_size(plain: bytes) -> bytes:
    compressor = zstd.ZstdCompressor(options={zstd.CompressionParameter.content_size_flag: 0})
    return compressor.compress(plain, zstd.ZstdCompressor.FLUSH_FRAME)


def zstd_defects(limit: int) -> Iterator[tuple[str, str, Callable[[bytes], bytes]]]:
    """Name, rule, and what to do instead of compressing; ``limit`` is the largest content size allowed there."""
    yield "no-size", "a frame without content size", no_size
    yield "trailing", "bytes after the frame", lambda plain: zstd.compress(plain) + b"\0"
    yield "two-frames", "a second frame after the frame", lambda plain: zstd.compress(plain) + zstd.compress(b"x")
    yield "cut", "a frame that ends early", lambda plain: zstd.compress(plain)[:-1]
    yield "size-short", "decodes to more than it says", lambda plain: frame(len(plain) - 1, raw_blocks(plain))
    yield "size-long", "decodes to less than it says", lambda plain: frame(len(plain) + 1, raw_blocks(plain))
    yield "bomb", "a content size above the limit", lambda plain: frame(limit + 1, zeros(limit + 1))
    yield "bomb-hidden", "decodes to far more than it says", lambda plain: frame(len(plain), zeros(limit + 1))
    yield "size-hostile", "a content size above the limit", lambda plain: frame(1 << 60, raw_blocks(plain))
    yield "not-zstd", "not a zstd frame", lambda plain: b"\0" * 40
    yield "empty", "not a zstd frame", lambda plain: b""
