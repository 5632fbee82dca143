"""Which page size suits a database: what one day's changes cost for each, in bytes written and in entries to keep.

Owns: the sum for docs/decisions/0004-chunking.md. Does not know: the engine; it cuts, compares and
compresses as the engine does.

    .venv/bin/python -m benchmarks.page_sizes [--mib 256]
"""

import argparse
import tempfile
from pathlib import Path

from blake3 import blake3
from pyfastcdc import FastCDC

from benchmarks.database import create_database, update_rows
from kinebackup.engine.backup.chunker import AVERAGE_BYTES, MAX_BYTES, MIN_BYTES
from kinebackup.engine.format.compression import compress
from kinebackup.engine.repository.pack_pipeline import SEGMENT_BYTES

PAGES_KIB = (4, 8, 16, 32, 64, 128)
SHARE = 0.001
ENTRY_BYTES = 2 * 28 + 16  # a blob's row in its pack's table and in the index, and its id in the list


def fixed(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def content_defined(data: bytes) -> list[bytes]:
    cutter = FastCDC(AVERAGE_BYTES, min_size=MIN_BYTES, max_size=MAX_BYTES, seed=1)
    return [bytes(chunk.data) for chunk in cutter.cut_buf(data)]


def packed_size(pieces: list[bytes]) -> int:
    joined = b"".join(pieces)
    return sum(len(compress(joined[at : at + SEGMENT_BYTES])) for at in range(0, len(joined), SEGMENT_BYTES))


def row(name: str, before: list[bytes], after: list[bytes]) -> str:
    known = {blake3(piece).digest() for piece in before}
    changed = [piece for piece in after if blake3(piece).digest() not in known]
    lists = len(after) * 16
    first = packed_size(before) + len(before) * ENTRY_BYTES
    later = packed_size(changed) + len(changed) * ENTRY_BYTES + (lists if len(after) > 256 else 0)
    return f"| {name} | {len(before):,} | {first / 1e6:.1f} | {len(changed):,} | {later / 1e6:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=256)
    size = parser.parse_args().mib * 2**20
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "base.db"
        create_database(path, size, "page sizes")
        before = path.read_bytes()
        rows = update_rows(path, SHARE, "page sizes, next day")
        after = path.read_bytes()
    print(f"{len(before) / 1e6:.0f} MB, {rows} rows changed ({SHARE:.1%})\n")
    print("| pieces | count | first backup MB | changed | next backup MB |\n|---|---|---|---|---|")
    for kib in PAGES_KIB:
        print(row(f"{kib} KiB", fixed(before, kib * 1024), fixed(after, kib * 1024)))
    print(row("FastCDC 512 KiB", content_defined(before), content_defined(after)))


if __name__ == "__main__":
    main()
