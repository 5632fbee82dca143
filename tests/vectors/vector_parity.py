"""Files that are damaged and have a parity file, and parity files that are wrong themselves.

Owns: what heals by FORMAT.md §12 and what must not. Does not know: how a reader does it.
"""

import struct
import zlib
from collections.abc import Iterator

from vectors.vector_plans import OTHER, TARGET, Made, Plan, build
from vectors.vector_writer import DATA, Pack, Segment, digest

BLOCK = 4096
ParityCase = tuple[str, str, dict[str, bytes], str, bool]


def parity_of(data: bytes, columns: int, *, size: int | None = None, version: int = 1, reserved: int = 0) -> bytes:
    """The parity file; block i belongs to column i mod ``columns``. Named fields are wrong on purpose."""
    blocks = [data[at : at + BLOCK] for at in range(0, len(data), BLOCK)]
    folded = [0] * columns
    for number, block in enumerate(blocks):
        folded[number % columns] ^= int.from_bytes(block, "little")
    spare = [each.to_bytes(BLOCK, "little") for each in folded]
    head = struct.pack("<7s1sIIQII", b"KINEBKP", b"X", version, BLOCK, size or len(data), columns, reserved)
    table = head + struct.pack(f"<{len(blocks) + columns}I", *map(zlib.crc32, [*blocks, *spare]))
    return table + struct.pack("<I", zlib.crc32(table)) + b"".join(spare)


def parity_path(path: str) -> str:
    name = path.rpartition("/")[2]
    return f"KINEBACKUP/parity/{name[:2]}/{name}.xor"


def altered(raw: bytes, *places: int) -> bytes:
    changed = bytearray(raw)
    for at in places:
        changed[at] ^= 1
    return bytes(changed)


def several_blocks() -> Made:
    """The target's pack has seven blocks: noise, which does not compress, and then the target."""
    noise = b"".join(digest(f"parity noise {number}") for number in range(6 * BLOCK // 32))
    return build(Plan(pack=Pack("target", [Segment(DATA, 0, [OTHER, noise]), Segment(DATA, 0, [TARGET])])))


def parity_cases() -> Iterator[ParityCase]:
    """Name, rule, files, the file that is refused, and whether all comes back."""
    small, large = build(Plan()), several_blocks()
    target = large.files[large.pack]
    assert 6 * BLOCK < len(target) < 7 * BLOCK

    def pack(raw: bytes | None, parity: bytes) -> dict[str, bytes]:
        files = {path: data for path, data in large.files.items() if path != large.pack}
        return files | ({} if raw is None else {large.pack: raw}) | {parity_path(large.pack): parity}

    sound, copy = parity_of(target, 3), parity_of(target, 7)
    inside = 6 * BLOCK + 200  # in the segment of the target, in the last block
    for name, raw, parity, rule, heals in (
        ("pack-bit", altered(target, inside), sound, "one wrong block of a column heals", True),
        ("pack-burst", altered(target, inside, 5 * BLOCK, 4 * BLOCK), sound, "neighbours are in other columns", True),
        ("pack-gone", None, copy, "as many columns as blocks: a copy", True),
        ("pack-cut", target[: 6 * BLOCK], sound, "a block that is not there is wrong", True),
        (
            "two-in-a-column",
            altered(target, inside, 3 * BLOCK),
            sound,
            "two wrong blocks of a column do not heal",
            False,
        ),
        ("of-another", altered(target, inside), parity_of(target[::-1], 3), "what is healed hashes to its name", False),
        (
            "block-damaged",
            altered(target, inside),
            altered(sound, -3 * BLOCK),
            "a wrong parity block heals nothing",
            False,
        ),
        ("table-damaged", altered(target, inside), altered(sound, 40), "a parity file of a wrong checksum", False),
        ("version", altered(target, inside), parity_of(target, 3, version=2), "an unknown version", False),
        ("reserved", altered(target, inside), parity_of(target, 3, reserved=1), "a non-zero reserved field", False),
        ("cut", altered(target, inside), sound[:60], "a parity file that ends early", False),
        ("of-no-use", target, b"\0" * 100, "a damaged parity file of a sound pack is not looked at", True),
        ("size-hostile", target, hostile(sound, "<Q", 16, 1 << 62), "a size above 83,886,080", True),
        ("columns-hostile", target, hostile(sound, "<I", 24, 0xFFFFFFFF), "more columns than blocks", True),
        ("columns-none", target, hostile(sound, "<I", 24, 0), "no column", True),
    ):
        yield f"parity-{name}", rule, pack(raw, parity), "" if heals else large.pack, heals
    for name, path, change, rule in (
        ("index-bit", small.index, True, "an index file heals"),
        ("index-gone", small.index, False, "an index file that is gone heals"),
        ("snapshot-bit", small.snapshot, True, "a snapshot heals"),
        ("snapshot-gone", small.snapshot, False, "a snapshot that is gone heals"),
    ):
        files = dict(small.files)
        raw = files.pop(path)
        files[parity_path(path)] = parity_of(raw, 1)
        if change:
            files[path] = altered(raw, 70)
        yield f"parity-{name}", rule, files, "", True


def hostile(raw: bytes, form: str, at: int, value: int) -> bytes:
    """Another number, with a checksum that is right for it."""
    field = struct.pack(form, value)
    table = raw[:at] + field + raw[at + len(field) : -3 * BLOCK - 4]
    return table + struct.pack("<I", zlib.crc32(table)) + raw[-3 * BLOCK :]
