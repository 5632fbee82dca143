"""How recover.py reads: slots that it does not know, frames of zstd to their last byte, and room for many blobs.

Owns: its functions, called in this process where a process of its own would show less. Does not know: the product.
"""

import os
import runpy
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backports import zstd
from support.project import RECOVER
from vectors.vector_plans import CODE, PASSPHRASE, TARGET, Plan, build, header_members
from vectors.vector_writer import Json, header

UNKNOWN = {"kdf": "of-a-later-version", "passes": "many", "lanes": None}


def drive_with(top: Path, *changed: int, change: Json) -> None:
    """A drive in whose header those slots (0: the passphrase's, 1: the code's) are changed so."""
    members = header_members()
    for number in changed:
        members["slots"][number] |= change
    for path, raw in build(Plan(head=header(members))).files.items():
        (top / "drive" / path).parent.mkdir(parents=True, exist_ok=True)
        (top / "drive" / path).write_bytes(raw)


def restored_with(top: Path, option: str, secret: str) -> "subprocess.CompletedProcess[str]":
    (top / "secret").write_text(secret + "\n", encoding="utf-8")
    words = [sys.executable, "-I", str(RECOVER), str(top / "drive"), option, str(top / "secret")]
    return subprocess.run([*words, "--to", str(top / "back")], capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("change", [UNKNOWN, {"kdf": "hkdf"}, {"kdf": None}, {"kdf": ["argon2id"]}])
def test_a_slot_whose_kdf_is_not_that_of_its_kind_is_refused_and_another_one_opens(
    tmp_path: Path, change: Json
) -> None:
    drive_with(tmp_path, 0, change=change)
    refused = restored_with(tmp_path, "--passphrase-file", PASSPHRASE)
    assert (refused.returncode, "00000001" in refused.stderr) == (1, True), refused.stderr
    assert not (tmp_path / "back").exists()
    opened = restored_with(tmp_path, "--code-file", CODE)
    assert opened.returncode == 0, opened.stderr
    assert (tmp_path / "back/home/cible.txt").read_bytes() == TARGET


def test_a_code_does_not_open_a_slot_that_names_the_kdf_of_a_passphrase(tmp_path: Path) -> None:
    drive_with(tmp_path, 1, change={"kdf": "argon2id"})
    assert restored_with(tmp_path, "--code-file", CODE).returncode == 1
    assert restored_with(tmp_path, "--passphrase-file", PASSPHRASE).returncode == 0


# -- frames --------------------------------------------------------------------------------------------------------


@pytest.fixture
def unzstd() -> Callable[[bytes, int], bytes]:
    found: Callable[[bytes, int], bytes] = runpy.run_path(str(RECOVER))["unzstd"]
    return found


def frame_of(plain: bytes, **more: int) -> bytes:
    return zstd.compress(plain, options={zstd.CompressionParameter[name]: value for name, value in more.items()})


def claiming(size: int, *blocks: tuple[int, int, bytes]) -> bytes:
    """A frame of the given blocks (kind, length, content) that says that it is ``size`` bytes long."""
    raw = b"\x28\xb5\x2f\xfd\x80\x38" + struct.pack("<I", size)  # with a window of 128 KiB
    for number, (kind, length, content) in enumerate(blocks, 1):
        raw += (length << 3 | kind << 1 | (number == len(blocks))).to_bytes(3, "little") + content
    return raw


SIZES = [0, 1, 255, 256, 300, 65_791, 65_792, 200_000, 3_000_000]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("checksum", [0, 1])
def test_a_frame_of_any_size_is_read(unzstd: Callable[[bytes, int], bytes], size: int, checksum: int) -> None:
    for plain in (bytes(size), os.urandom(size), (b"Bonjour Marie. " * (size // 15 + 1))[:size]):
        assert unzstd(frame_of(plain, checksum_flag=checksum), size) == plain
        assert unzstd(frame_of(plain, window_log=17), size) == plain


GOOD = frame_of(TARGET, checksum_flag=1)
SKIPPABLE = b"\x50\x2a\x4d\x18" + struct.pack("<I", 3) + b"abc"
BAD = {
    "nothing": b"",
    "a magic number alone": GOOD[:4],
    "no size": frame_of(TARGET, content_size_flag=0),
    "larger than allowed": frame_of(TARGET + b"."),
    "a byte after it": GOOD + b"\0",
    "another one after it": GOOD + GOOD,
    "an empty one after it": GOOD + frame_of(b""),
    "a skippable one after it": GOOD + SKIPPABLE,
    "a skippable one before it": SKIPPABLE + GOOD,
    "an empty one before it": frame_of(b"") + GOOD,
    "its end is missing": GOOD[:-1],
    "its checksum is missing": GOOD[:-4],
    "its checksum is wrong": GOOD[:-1] + bytes([GOOD[-1] ^ 1]),
    "its last block is missing": claiming(5, (0, 5, b"abcde"), (0, 0, b""))[:-3],
    "its last block is not marked": claiming(5, (0, 5, b"abcde"))[:10] + b"\x28\0\0abcde",
    "an impossible block": claiming(5, (3, 5, b"abcde")),
    "less than it says": claiming(6, (0, 5, b"abcde")),
    "more than it says": claiming(5, (0, 5, b"abcde"), (0, 5, b"fghij")),
    "four gibibytes more than there are": b"\x28\xb5\x2f\xfd\xc0\x38"
    + struct.pack("<Q", (1 << 32) + 5)
    + b"\x29\0\0abcde",
    "two gibibytes, it says": b"\x28\xb5\x2f\xfd\xc0\x38" + struct.pack("<Q", 1 << 31) + b"\x29\0\0abcde",
    "far more than it says": claiming(5, *[(1, 131_072, b"x")] * 2000),
}


@pytest.mark.parametrize("name", BAD)
def test_what_is_not_one_whole_frame_of_the_size_that_it_says_is_refused(
    unzstd: Callable[[bytes, int], bytes], name: str
) -> None:
    with pytest.raises(Exception):  # noqa: B017, PT011 -- recover.py names whatever it is that is raised
        unzstd(BAD[name], len(TARGET))


def test_a_frame_that_is_more_than_it_says_does_not_fill_the_memory(unzstd: Callable[[bytes, int], bytes]) -> None:
    bomb = claiming(1_000_000, *[(1, 131_072, b"x")] * 2000)
    tracemalloc.start()
    try:
        with pytest.raises(Exception):  # noqa: B017, PT011 -- as above
            unzstd(bomb, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 8_000_000
    finally:
        tracemalloc.stop()


# -- room ----------------------------------------------------------------------------------------------------------


def index_of_many(count: int) -> bytes:
    """The content of an index file: one segment for eight blobs."""
    segments = count // 8
    ids = sorted(n.to_bytes(2, "big") + os.urandom(14) for n in (i * 65536 // count for i in range(count)))
    return b"".join(
        (
            struct.pack("<4I", 1, segments, count, 0),
            struct.pack("<32s32sQ", bytes(32), bytes(32), 80 << 20),
            *(struct.pack("<5I2BH", 0, n, 48 + 1000 * n, 1000, 8000, 1, 0, 0) for n in range(segments)),
            *ids,
            *(struct.pack("<3I", n // 8, 1000 * (n % 8), 1000) for n in range(count)),
        )
    )


def test_a_blob_costs_little_more_than_what_must_be_known_of_it(tmp_path: Path) -> None:
    functions: dict[str, Any] = runpy.run_path(str(RECOVER))
    plain = index_of_many(count := 65_536)
    tracemalloc.start()
    try:
        drive = functions["Drive"](str(tmp_path), bytes(32), bytes(16))
        empty, _ = tracemalloc.get_traced_memory()
        drive.take_in(plain)
        held, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (held - empty) / count < 72  # its row has 48 bytes
    assert (most - empty) / count < 128
    first = plain[16 + 72 + 24 * (count // 8) :][:16]
    assert [place[-2:] for place in drive.found(first.hex(), 0)] == [(0, 1000)]
    assert drive.found(first.hex(), 1) == []
