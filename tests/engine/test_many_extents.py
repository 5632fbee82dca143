"""Files of very many extents, as disk images of virtual computers have them: there and back with each of them.

Owns: a real one on a file system of small blocks, and one of 930,000 extents that no backup has found. Does not know:
the bounds that their lists keep (test_limits.py).
"""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    back_up,
    below,
    enroll,
    proven,
    pruned,
    restored,
    verified,
    writable,
)
from support.engine.forged_snapshot import an_entry, forge
from support.loop_disk import MIB, mounted_ext4
from support.project import RECOVER

from kinebackup.engine.backup.content import LargeFileReader, find_extents
from kinebackup.engine.format import tree
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.pack_pipeline import Lane, PackPipeline
from kinebackup.model import CancelToken

pytestmark = pytest.mark.slow
BLOCK = 1024


def recover(drive: Drive, into: Path) -> None:
    """By the stand-alone reader."""
    secret = into.with_name("secret")
    secret.write_text("exemple de phrase pour les essais\n", encoding="utf-8")
    program = [sys.executable, "-I", str(RECOVER), str(drive.root.parent)]
    done = subprocess.run(
        [*program, "--passphrase-file", str(secret), "--to", str(into)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def extents_of(path: Path) -> list[tuple[int, int]] | None:
    with path.open("rb") as file:
        return find_extents(file.fileno(), os.fstat(file.fileno()))


def same_bytes(one: Path, other: Path) -> bool:
    return subprocess.run(["cmp", "--quiet", str(one), str(other)], check=False).returncode == 0


@pytest.fixture
def small_blocks(tmp_path: Path) -> Iterator[Path]:
    """An ext4 of blocks of 1 KiB."""
    with mounted_ext4(tmp_path, 1000 * MIB, "-b", str(BLOCK)) as place:
        yield place


@pytest.mark.root
def test_a_file_of_100000_extents_comes_back_with_each_of_them(small_blocks: Path) -> None:
    """With 930,000, and an image of 12 GB, the same comes out in two minutes."""
    source, count = small_blocks / "source", 100_000
    source.mkdir()
    image = source / "creux.img"
    with image.open("wb") as file:
        for number in range(count):
            os.pwrite(file.fileno(), b"%1024d" % number, 2 * BLOCK * number)
        file.truncate(2 * BLOCK * count)
    found = extents_of(image)
    assert found is not None
    assert len(found) == count
    drive = enroll(small_blocks / "drive")

    first = back_up(drive, source)
    assert (first.problems, first.bytes_read) == ((), BLOCK * count)
    second = back_up(drive, source)
    assert (second.files_unmodified, second.bytes_read) == (1, 0)
    pruned(drive, str(first.snapshot))

    assert verified(drive).result == "ok"
    tested = proven(drive, small_blocks / "scratch")
    assert (tested.result, tested.files_tested) == ("ok", 1)
    assert restored(drive, small_blocks / "back").problems == ()
    recover(drive, small_blocks / "recovered")
    for way in ("back", "recovered"):
        back = below(small_blocks / way, source) / image.name
        assert same_bytes(back, image)
        assert extents_of(back) == found


def written_in_stretches(drive: Drive, path: Path, wanted: list[tuple[int, int]]) -> Entry:
    """The entry of a file whose data is said to lie in these stretches, as the reader of large files stores it."""
    made: list[Entry] = []
    with writable(drive) as repository, contextlib.closing(path.open("rb", buffering=0)) as file:
        packer = PackPipeline(repository, drive.dice, read_back=True, cancel=CancelToken())
        reader = LargeFileReader("a", repository.keys, repository.index, CancelToken(), drive.world().elapsed_s)

        def store(lane: Lane) -> None:
            stat = os.fstat(file.fileno())
            ids, got = reader._read_once(file.fileno(), stat, wanted, lane)
            assert got == wanted
            lists = reader._listed(tree.encode_extents(got), lane)
            lane.flush()
            entry = an_entry(path.name, [], drive, size=stat.st_size, extent_lists=lists)
            entry.blobs = tree.decode_ids(bytes(ids))
            made.append(entry)

        packer.run(store)
        packer.finish()
    return made[0]


def test_930000_extents_go_through_writer_and_readers(tmp_path: Path) -> None:
    """Of one byte each, which no file system has: so it is small, and each of them is written on its own."""
    count, drive, source = 930_000, enroll(tmp_path / "drive"), tmp_path / "source"
    source.mkdir()
    image = source / "creux.img"
    content = bytearray(2 * count)
    content[::2] = bytes(1 + number % 255 for number in range(count))
    image.write_bytes(content)

    entry = written_in_stretches(drive, image, [(2 * number, 1) for number in range(count)])

    assert len(entry.extent_lists) <= 256
    assert entry.blobs != []
    forge(drive, source, [entry], [])
    drive.lose_parity()  # of which the pipeline alone makes a part
    assert verified(drive).result == "ok"
    assert proven(drive, tmp_path / "scratch", compare_with_source=False).result == "ok"
    assert restored(drive, tmp_path / "back").problems == ()
    recover(drive, tmp_path / "recovered")
    for way in ("back", "recovered"):
        assert same_bytes(below(tmp_path / way, source) / image.name, image)
