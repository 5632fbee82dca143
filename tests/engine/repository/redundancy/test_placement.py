"""What protects another file does not lie beside it, on a real file system: one bad place never takes both.

Owns: where the files of a drive lie after days of backups (FIEMAP), and damage of the medium itself, wherever it is.
Does not know: damage of a file by its name (test_damage_matrix.py).
"""

import contextlib
import fcntl
import os
import random
import shutil
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    Seen,
    back_up,
    below,
    edit_patients,
    enroll,
    in_memory,
    make_patients,
    noise,
    restored,
    seen,
    verified,
)
from support.engine.emergency import recovered
from support.engine.parity_files import parity_of, protected_files
from support.engine.with_parity import victims
from support.loop_disk import mounted_ext4

from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.engine.repository.store import FolderStore

KIB, MIB = 2**10, 2**20
pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]


@dataclass(frozen=True, slots=True)
class Piece:
    """Where a file's bytes from ``offset`` on lie in the image: from ``begin`` to ``end``."""

    offset: int
    begin: int
    end: int


def pieces(path: Path) -> list[Piece]:
    """Those of one file (FIEMAP)."""
    request = bytearray(struct.pack("=QQLLLL", 0, 2**64 - 1, 1, 0, 64, 0) + bytes(56 * 64))
    with path.open("rb") as file:
        fcntl.ioctl(file, 0xC020660B, request)
    (count,) = struct.unpack_from("=L", request, 20)
    found = [struct.unpack_from("=QQQ", request, 32 + 56 * number) for number in range(count)]
    return [Piece(logical, physical, physical + length) for logical, physical, length in found]


def distance(one: Path, other: Path) -> int:
    """Bytes between the nearest pieces of two files."""
    return min(max(a.begin, b.begin) - min(a.end, b.end) for a in pieces(one) for b in pieces(other))


@dataclass(frozen=True)
class Aged:
    """A drive of some days, mounted. ``image``: its medium."""

    drive: Drive
    image: Path
    source: Path
    held: dict[str, Seen]


@pytest.fixture
def aged(tmp_path: Path) -> Iterator[Aged]:
    with mounted_ext4(tmp_path, 400 * MIB) as place:
        source = make_patients(tmp_path / "patients")
        (source / "film.bin").write_bytes(noise("film", 20 * MIB))
        drive = enroll(place, keeps_parity=True)
        for day in range(4):
            back_up(drive, source)
            (source / f"jour-{day}.txt").write_text(f"séance {day}\n" * 200, encoding="utf-8")
            subprocess.run(["sync", "-f", str(place)], check=True)
        edit_patients(source)
        back_up(drive, source)
        yield Aged(drive, tmp_path / "disk.img", source, seen(source))


def test_no_file_lies_within_two_mebibytes_of_its_parity(aged: Aged) -> None:
    near = {
        str(path.relative_to(aged.drive.root)): distance(path, parity_of(aged.drive, path))
        for path in protected_files(aged.drive)
        if distance(path, parity_of(aged.drive, path)) < 2 * MIB
    }
    assert near == {}


def test_no_two_copies_of_the_header_lie_within_a_mebibyte(aged: Aged) -> None:
    copies = [aged.drive.root / name for name in HEADER_COPIES]
    assert min(distance(a, b) for number, a in enumerate(copies) for b in copies[:number]) > MIB


def test_a_mebibyte_of_the_medium_may_go_wherever_it_lies_and_everything_comes_back(aged: Aged, tmp_path: Path) -> None:
    """Of packs of contents up to 8 MiB it is 64 KiB. What the file system keeps for itself is a matter for fsck.

    A place begins before, with, or within each piece of a file.
    """
    dice = random.Random(9)
    begins = sorted({piece.begin for path in aged.drive.files("") for piece in pieces(path)})
    places = [max(0, begin - dice.choice([0, 1, 300_000, MIB - 4096, MIB - 1])) for begin in begins]
    for at in dice.sample(places, 40):
        with in_memory(tmp_path) as folder:
            copy = aged.drive.copied_to(folder)
            length = MIB if min([9 * MIB, *small_contents(aged, at, at + MIB)]) > 8 * MIB else 64 * KIB
            hit = [path for path in aged.drive.files("") if spoilt(path, copy, aged, at, at + length)]
            try:
                assert restored(copy, folder / "back").problems == ()
                assert seen(below(folder / "back", aged.source)) == aged.held
            except BaseException as error:
                error.add_note(f"{length} bytes at {at}: {[path.name for path in hit]}")
                raise


def small_contents(aged: Aged, begin: int, end: int) -> list[int]:
    """Sizes of the packs of contents that have bytes there."""
    return [
        path.stat().st_size
        for path in victims(aged.drive, "data-pack")
        if any(piece.begin < end and piece.end > begin for piece in pieces(path))
    ]


def spoilt(path: Path, copy: Drive, aged: Aged, begin: int, end: int) -> bool:
    """Put zeros in that file of the copy, wherever the original's bytes lie there; whether there were any."""
    size, hit = path.stat().st_size, False
    with (copy.root / path.relative_to(aged.drive.root)).open("r+b") as file:
        for piece in pieces(path):
            first = piece.offset + max(begin, piece.begin) - piece.begin
            last = min(size, piece.offset + min(end, piece.end) - piece.begin)
            if first < last:
                hit = True
                file.seek(first)
                file.write(bytes(last - first))
    return hit


def test_what_the_medium_does_not_give_comes_back_by_parity(aged: Aged, tmp_path: Path) -> None:
    """The kernel answers EIO for the end of a large pack: the image ends before it."""
    victim = max(victims(aged.drive, "data-pack"), key=lambda path: path.stat().st_size)
    put_last(aged, victim)
    end = max(piece.end for piece in pieces(victim))
    subprocess.run(["mount", "-o", "remount,ro", str(aged.drive.root.parent)], check=True)
    for path in aged.drive.files(""):
        forget_pages(path)
    os.truncate(aged.image, end - 900 * KIB)
    with pytest.raises(OSError, match="Input/output error"):
        victim.read_bytes()
    assert restored(aged.drive, tmp_path / "back").problems == ()
    assert seen(below(tmp_path / "back", aged.source)) == aged.held
    report = verified(aged.drive)
    assert [(problem.path, problem.healable) for problem in report.problems] == [
        (str(victim.relative_to(aged.drive.root)), True)
    ]
    ran = recovered(aged.drive, tmp_path / "recovered")
    assert ran.code == 0, ran.err


def put_last(aged: Aged, victim: Path) -> None:
    """Behind everything else on the medium: the disk is filled with copies of it, and what lies behind the last one is
    written anew where another copy was.
    """
    place, copies = aged.drive.root.parent, list[Path]()
    with contextlib.suppress(OSError):  # full
        while True:
            copies.append(place / f"copy-{len(copies)}")
            shutil.copyfile(victim, copies[-1])
            forget_pages(copies[-1])
    copies.pop().unlink()
    copies.sort(key=begin_of)
    last = copies.pop()
    for path in aged.drive.files(""):
        if path != victim and pieces(path) and max(piece.end for piece in pieces(path)) > begin_of(last):
            copies.pop(0).unlink()
            shutil.copyfile(path, place / "elsewhere")
            forget_pages(place / "elsewhere")
            (place / "elsewhere").rename(path)
            assert max(piece.end for piece in pieces(path)) < begin_of(last)
    last.rename(victim)
    for copy in copies:
        copy.unlink()
    subprocess.run(["sync", "-f", str(place)], check=True)


def begin_of(path: Path) -> int:
    return min(piece.begin for piece in pieces(path))


def forget_pages(path: Path) -> None:
    """The next read is the medium's."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def test_a_file_system_that_cannot_place_files_takes_them_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "KINEBACKUP").mkdir()
    old = mounted_ext4(tmp_path, 40 * MIB, "-O", "^extent,^64bit")
    with old as place, contextlib.closing(FolderStore(str(place))) as store:
        for number in range(3):
            file = store.create(apart=1000)
            file.write(b"whole")
            file.commit(f"file-{number}")
            assert store.read(f"file-{number}") == b"whole"
