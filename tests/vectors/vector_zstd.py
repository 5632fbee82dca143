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


def with_dictionary(plain: bytes) -> bytes:
    """Two bytes for the id of a dictionary, which nobody has."""
    return b"\x28\xb5\x2f\xfd" + b"\xe2" + b"\x2a\x00" + len(plain).to_bytes(8, "little") + raw_blocks(plain)


def with_checksum(plain: bytes) -> bytes:
    return zstd.compress(plain, options={zstd.CompressionParameter.checksum_flag: 1})


def without_dictionary(plain: bytes) -> bytes:
    """The field of the dictionary is there, and says that there is none."""
    return b"\x28\xb5\x2f\xfd" + b"\xe1" + b"\x00" + len(plain).to_bytes(8, "little") + raw_blocks(plain)


def wide_window(plain: bytes) -> bytes:
    """Not of a single segment, with a window of 8 MiB: what every decoder can do."""
    return b"\x28\xb5\x2f\xfd" + b"\xc0" + bytes([13 << 3]) + len(plain).to_bytes(8, "little") + raw_blocks(plain)


SKIPPABLE = b"\x50\x2a\x4d\x18" + b"\x04\x00\x00\x00" + b"rien"
FINE = {
    "checksum": ("a content checksum", with_checksum),
    "no-dictionary": ("a dictionary id of 0", without_dictionary),
    "window": ("a window of 8 MiB", wide_window),
}
"""What a writer does not do, and a reader takes."""


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
    yield "dictionary", "a frame that names a dictionary", with_dictionary
    yield "skippable-first", "begins with another frame", lambda plain: SKIPPABLE + zstd.compress(plain)
    yield "skippable-last", "bytes after the frame", lambda plain: zstd.compress(plain) + SKIPPABLE
    yield "checksum-wrong", "a content checksum that is wrong", lambda plain: with_checksum(plain)[:-1] + b"\x5a"
    yield "empty", "not a zstd frame", lambda plain: b""
