"""Files with holes that are at the destination already: what lies in the holes counts, and very many cost no more each.

Owns: sparse files with further names, and how long a comparison takes. Does not know: other files (test_restore.py).
"""

import os
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, restored

STEP = 16_384  # a stretch of data and a hole, on every file system that has holes


def make_holes(path: Path, stretches: int) -> None:
    with path.open("wb") as file:
        for number in range(stretches):
            os.pwrite(file.fileno(), b"%8d" % number, number * STEP)
        file.truncate(stretches * STEP)


def write_at(path: Path, offset: int, data: bytes) -> None:
    """As somebody does that leaves size and time as they are."""
    stat = path.stat()
    with path.open("r+b") as file:
        os.pwrite(file.fileno(), data, offset)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# With few stretches they stand in the entry, with more in lists of their own.
@pytest.mark.parametrize("stretches", [3, 600])
@pytest.mark.parametrize("hole", ["first", "last", "none"])
def test_a_file_with_something_in_a_hole_gets_no_further_name(
    drive: Drive, docs: Path, tmp_path: Path, stretches: int, hole: str
) -> None:
    make_holes(docs / "a.img", stretches)
    os.link(docs / "a.img", docs / "b.img")
    back_up(drive, docs)
    restored(drive, tmp_path / "back")
    back = below(tmp_path / "back", docs)
    (back / "b.img").unlink()
    if hole != "none":
        write_at(back / "a.img", STEP - 4 if hole == "first" else stretches * STEP - 4, b"mine")

    restored(drive, tmp_path / "back")

    assert (back / "b.img").read_bytes() == (docs / "a.img").read_bytes()
    assert ((back / "a.img").stat().st_ino == (back / "b.img").stat().st_ino) == (hole == "none")
