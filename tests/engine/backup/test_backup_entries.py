"""Every kind of entry, one by one: what is saved of it, and what comes back.

Owns: real files of each kind. Does not know: counts, deduplication.
"""

import os
import socket
import stat as st
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from support.engine.drives import PASSPHRASE, Drive, back_up, below, noise, restored, seen
from support.project import RECOVER, ROOT, TESTS

from kinebackup.model import BackupReport

AS_ROOT = os.geteuid() == 0
GIB = 2**30


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "témoin.txt").write_text("still here", encoding="utf-8")
    return tmp_path / "docs"


def round_trip(drive: Drive, docs: Path, tmp_path: Path) -> Path:
    """Back up twice and restore the second one, for an unchanged entry must be as good as a new one."""
    first = back_up(drive, docs)
    assert first.problems == ()
    second = back_up(drive, docs)
    assert (second.files_new, second.files_changed, second.problems) == (0, 0, ())
    assert restored(drive, tmp_path / "back").problems == ()
    back = below(tmp_path / "back", docs)
    assert seen(back) == seen(docs)
    return back


def kinds(report: BackupReport) -> list[tuple[str, str]]:
    return [(problem.kind, os.path.basename(problem.path)) for problem in report.problems]


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        b"plain",
        b" ",
        b"-rf",
        b"a\nb",
        b"\n",
        b"\xe9t\xe9.txt",
        b"\xff\xfe",
        b"\xed\xa0\x80",  # UTF-8 of a surrogate
        "œuf 💉 é".encode(),
        "e\u0301".encode(),
        b"\\",
        b"a\tb\x7f\x01",
        b"n" * 255,
        b"...",
        b"~",
        b"*?[",
    ],
)
def test_a_name_comes_back_byte_by_byte(drive: Drive, docs: Path, tmp_path: Path, name: bytes) -> None:
    path = os.fsencode(docs) + b"/" + name
    with open(path, "wb") as file:
        file.write(name)
    os.mkdir(path[:-1] + b"+") if len(name) > 1 else None
    os.symlink(name, os.fsencode(docs) + b"/zz-link")
    back = round_trip(drive, docs, tmp_path)
    assert name in os.listdir(os.fsencode(back))


def test_names_that_differ_only_in_normal_form_are_two_files(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "\u00e9").write_text("composed", encoding="utf-8")
    (docs / "e\u0301").write_text("decomposed", encoding="utf-8")
    round_trip(drive, docs, tmp_path)


def test_a_path_of_200_folders_comes_back(drive: Drive, docs: Path, tmp_path: Path) -> None:
    deep = docs
    for _ in range(200):
        deep = deep / "abcdefgh"
        deep.mkdir()
    (deep / "end.txt").write_text("deep", encoding="utf-8")
    round_trip(drive, docs, tmp_path)


def test_the_reader_on_the_drive_goes_down_a_path_of_900_folders(drive: Drive, tmp_path: Path) -> None:
    place = tmp_path / "deep"
    place.mkdir()
    _make_deep(place / "docs", 900)
    assert back_up(drive, place / "docs").problems == ()
    (place / "phrase").write_bytes(PASSPHRASE.reveal())
    options: list[str | Path] = ["--to", place / "back", "--passphrase-file", place / "phrase"]
    done = subprocess.run([sys.executable, RECOVER, drive.root.parent, *options], capture_output=True, check=False)
    found = subprocess.run(["find", place / "back", "-name", "end.txt"], capture_output=True, check=True)
    subprocess.run(["rm", "-r", place], check=True)  # too deep for what removes the folder of a test
    assert (done.returncode, done.stderr[-300:]) == (0, b"")
    assert found.stdout.endswith(b"/docs" + b"/d" * 900 + b"/end.txt\n")


def _make_deep(folder: Path, depth: int) -> None:
    """Step by step: the whole path would be too long for one call."""
    folder.mkdir()
    fd = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=fd)
        deeper = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(os.open("end.txt", os.O_CREAT | os.O_WRONLY, dir_fd=fd))
    os.close(fd)


def test_a_folder_of_11000_names_comes_back(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "many").mkdir()
    for number in range(11_000):
        os.symlink("x", docs / "many" / f"{number}")
    assert back_up(drive, docs).problems == ()
    (docs / "many" / "5000").unlink()
    back_up(drive, docs)
    restored(drive, tmp_path / "back")
    assert len(os.listdir(below(tmp_path / "back", docs) / "many")) == 10_999


# -- kinds ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 511 * 1024, 512 * 1024 - 1, 512 * 1024, 512 * 1024 + 1, 2**20, 5 * 2**20 + 3])
def test_files_of_every_size_come_back(drive: Drive, docs: Path, tmp_path: Path, size: int) -> None:
    (docs / "random").write_bytes(noise(str(size), size))
    (docs / "zeros").write_bytes(bytes(size))
    round_trip(drive, docs, tmp_path)


def test_empty_folders_come_back(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "a" / "b" / "c").mkdir(parents=True)
    round_trip(drive, docs, tmp_path)


@pytest.mark.parametrize("target", ["témoin.txt", "/etc/passwd", "..", "/", "nowhere", ".", "loop", "x/" * 1500, "é\n"])
def test_a_link_is_saved_and_never_followed(drive: Drive, docs: Path, tmp_path: Path, target: str) -> None:
    (docs / "loop").symlink_to(target)
    back = round_trip(drive, docs, tmp_path)
    assert os.readlink(back / "loop") == target


def test_a_link_to_bytes_that_are_not_utf_8_comes_back(drive: Drive, docs: Path, tmp_path: Path) -> None:
    os.symlink(b"caf\xe9/\xff", os.fsencode(docs) + b"/link")
    back = round_trip(drive, docs, tmp_path)
    assert os.readlink(os.fsencode(back) + b"/link") == b"caf\xe9/\xff"


def test_a_link_to_a_folder_does_not_bring_that_folder_along(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside" / "secret.txt").write_text("not to be saved", encoding="utf-8")
    (docs / "link").symlink_to(tmp_path / "outside")
    assert back_up(drive, docs).files_new == 1
    restored(drive, tmp_path / "back")
    assert (below(tmp_path / "back", docs) / "link").is_symlink()
    assert not below(tmp_path / "back", tmp_path / "outside").exists()


def test_hard_links_stay_one_file(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "sub").mkdir()
    (docs / "small").write_bytes(b"small")
    (docs / "large").write_bytes(noise("large", 900_000))
    for name in ("small", "large"):
        os.link(docs / name, docs / "sub" / f"{name}-2")
        os.link(docs / name, docs / f"aa-{name}")
    os.symlink("small", docs / "link")
    os.link(docs / "link", docs / "link-2", follow_symlinks=False)
    back = round_trip(drive, docs, tmp_path)
    assert (back / "large").stat().st_ino == (back / "sub" / "large-2").stat().st_ino
    assert (back / "small").stat().st_nlink == 3


def test_a_hard_link_to_something_outside_is_a_file_of_its_own(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (tmp_path / "outside.txt").write_text("outside", encoding="utf-8")
    os.link(tmp_path / "outside.txt", docs / "inside.txt")
    back_up(drive, docs)
    restored(drive, tmp_path / "back")
    assert (below(tmp_path / "back", docs) / "inside.txt").stat().st_nlink == 1


def test_a_fifo_is_saved_without_waiting_for_a_writer(drive: Drive, docs: Path, tmp_path: Path) -> None:
    os.mkfifo(docs / "fifo", 0o620)
    back = round_trip(drive, docs, tmp_path)
    assert st.S_ISFIFO((back / "fifo").lstat().st_mode)


def test_a_socket_is_skipped_with_a_note(drive: Drive, docs: Path, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.fsencode(docs) + b"/so\xe9")
        report = back_up(drive, docs)
    assert kinds(report) == [("skipped", "so\udce9")]
    restored(drive, tmp_path / "back")
    assert os.listdir(below(tmp_path / "back", docs)) == ["témoin.txt"]


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="making devices needs root")
def test_devices_come_back(drive: Drive, docs: Path, tmp_path: Path) -> None:
    os.mknod(docs / "null", st.S_IFCHR | 0o666, os.makedev(1, 3))
    os.mknod(docs / "disk", st.S_IFBLK | 0o660, os.makedev(259, 70_000))
    back = round_trip(drive, docs, tmp_path)
    assert os.major((back / "disk").stat().st_rdev) == 259
    assert os.minor((back / "disk").stat().st_rdev) == 70_000


# -- sparse --------------------------------------------------------------------------------------------------------


def sparse(path: Path, size: int, *stretches: tuple[int, bytes]) -> None:
    with path.open("wb") as file:
        file.truncate(size)
        for at, data in stretches:
            file.seek(at)
            file.write(data)


@pytest.mark.parametrize(
    ("size", "stretches"),
    [
        (3_000_000, ()),
        (100_000, ()),
        (3_000_000, ((0, b"a"),)),
        (3_000_000, ((2_999_999, b"z"),)),
        (8 * 2**20, ((2**20, noise("one", 2**20)), (4 * 2**20, noise("two", 2**20 + 7)))),
        (400_000, ((65_536, b"small"),)),
    ],
)
def test_a_file_with_holes_comes_back_with_holes(
    drive: Drive, docs: Path, tmp_path: Path, size: int, stretches: tuple[tuple[int, bytes], ...]
) -> None:
    sparse(docs / "sparse", size, *stretches)
    back = round_trip(drive, docs, tmp_path)
    assert (back / "sparse").stat().st_blocks <= (docs / "sparse").stat().st_blocks + 8


def test_a_sparse_file_of_five_gigabytes_costs_its_data_only(drive: Drive, docs: Path, tmp_path: Path) -> None:
    size = 5 * GIB + 12_345
    sparse(docs / "disk.img", size, (4 * GIB + 1, noise("beyond 4 GiB", 10_000)), (size - 3, b"end"))
    report = back_up(drive, docs)
    assert report.bytes_read < 100_000
    assert report.bytes_written < 100_000
    assert back_up(drive, docs).files_unmodified == 2
    restored(drive, tmp_path / "back")
    back = below(tmp_path / "back", docs) / "disk.img"
    assert back.stat().st_size == size
    assert back.stat().st_blocks * 512 < 2**20
    with back.open("rb") as file:
        for at, expected in ((4 * GIB - 5, bytes(6)), (4 * GIB + 1, noise("beyond 4 GiB", 10_000)), (size - 3, b"end")):
            file.seek(at)
            assert file.read(len(expected)) == expected


def test_a_sparse_file_that_is_filled_and_emptied_follows(drive: Drive, docs: Path, tmp_path: Path) -> None:
    for number, stretches in enumerate([(), ((0, noise("full", 2_000_000)),), ()]):
        (docs / "sparse").unlink(missing_ok=True)
        sparse(docs / "sparse", 2_000_000, *stretches)
        back_up(drive, docs)
        restored(drive, tmp_path / f"back-{number}")
        assert seen(below(tmp_path / f"back-{number}", docs)) == seen(docs)


# -- metadata ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0o000, 0o400, 0o777, 0o4755, 0o2644, 0o1777, 0o7777])
def test_modes_come_back(drive: Drive, docs: Path, tmp_path: Path, mode: int) -> None:
    (docs / "file").write_text("mode", encoding="utf-8")
    (docs / "folder").mkdir()
    (docs / "folder" / "inside").write_text("inside", encoding="utf-8")
    os.chmod(docs / "file", mode)
    os.chmod(docs / "folder", mode if AS_ROOT else mode | 0o700)
    if not AS_ROOT and not mode & 0o400:
        pytest.skip("only root reads such a file")
    round_trip(drive, docs, tmp_path)


@pytest.mark.parametrize(
    "mtime_ns",
    [
        0,
        -1,
        -86_400_000_000_001,
        -(2**31) * 10**9,  # 1901: the oldest that ext4 keeps
        2**31 * 10**9,  # 2038
        2**32 * 10**9 + 5,
        2**63 - 1,  # 2262: the last one that 64 bits hold
        1_700_000_000_123_456_789,
    ],
)
def test_times_come_back_to_the_nanosecond(drive: Drive, docs: Path, tmp_path: Path, mtime_ns: int) -> None:
    (docs / "folder").mkdir()
    (docs / "link").symlink_to("nowhere")
    for name in ("témoin.txt", "folder", "link"):
        os.utime(docs / name, ns=(0, mtime_ns), follow_symlinks=False)
    if (docs / "folder").stat().st_mtime_ns != mtime_ns:
        pytest.skip("this file system does not keep such a time")
    os.utime(docs, ns=(0, mtime_ns))
    back = round_trip(drive, docs, tmp_path)
    assert [(back / name).lstat().st_mtime_ns for name in ("témoin.txt", "folder", "link", ".")] == [mtime_ns] * 4


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="giving files away needs root")
def test_owners_come_back_even_those_without_a_name(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "folder").mkdir()
    (docs / "link").symlink_to("x")
    os.mkfifo(docs / "fifo")
    for number, name in enumerate(("témoin.txt", "folder", "link", "fifo")):
        os.chown(docs / name, 4_000_000_000 + number, 12_345, follow_symlinks=False)
    os.chown(docs, 1000, 1000)
    round_trip(drive, docs, tmp_path)


def test_a_time_that_64_bits_cannot_hold_becomes_the_last_one_that_they_can(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    os.utime(docs / "témoin.txt", ns=(0, 15_000_000_000 * 10**9))  # 2445
    (docs / "film.bin").write_bytes(noise("film", 700_000))
    os.utime(docs / "film.bin", ns=(0, 15_000_000_000 * 10**9))
    if (docs / "film.bin").stat().st_mtime_ns < 2**63:
        pytest.skip("this file system does not keep such a time")
    for _ in range(2):
        assert back_up(drive, docs).problems == ()
    assert restored(drive, tmp_path / "back").problems == ()
    for name in ("témoin.txt", "film.bin"):
        back = below(tmp_path / "back", docs) / name
        assert (back.read_bytes(), back.stat().st_mtime_ns) == ((docs / name).read_bytes(), 2**63 - 1)


def set_attribute(path: Path | bytes, name: str | bytes, value: bytes) -> None:
    try:
        os.setxattr(path, name, value, follow_symlinks=False)
    except OSError as error:
        pytest.skip(f"this file system keeps no such attribute ({error.strerror})")


def test_attributes_come_back(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "folder").mkdir()
    set_attribute(docs / "témoin.txt", "user.empty", b"")
    set_attribute(docs / "témoin.txt", "user.bytes", bytes(range(256)))
    set_attribute(docs / "folder", "user.é", b"accent")
    set_attribute(docs, "user.top", b"top")
    back = round_trip(drive, docs, tmp_path)
    assert os.getxattr(back / "témoin.txt", "user.bytes") == bytes(range(256))


def test_an_attribute_added_or_removed_is_noticed(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "folder").mkdir()
    back_up(drive, docs)
    set_attribute(docs / "folder", "user.a", b"1")
    set_attribute(docs / "témoin.txt", "user.b", b"2")
    back_up(drive, docs)
    restored(drive, tmp_path / "with")
    assert seen(below(tmp_path / "with", docs)) == seen(docs)
    os.removexattr(docs / "folder", "user.a")
    os.removexattr(docs / "témoin.txt", "user.b")
    back_up(drive, docs)
    restored(drive, tmp_path / "without")
    assert seen(below(tmp_path / "without", docs)) == seen(docs)


def test_an_attribute_whose_name_is_not_utf_8_does_not_stop_a_backup(drive: Drive, docs: Path, tmp_path: Path) -> None:
    set_attribute(docs / "témoin.txt", b"user.\xe9", b"value")
    set_attribute(docs, b"user.\xff", b"value")
    assert back_up(drive, docs).files_new == 1
    restored(drive, tmp_path / "back")
    assert (below(tmp_path / "back", docs) / "témoin.txt").read_text(encoding="utf-8") == "still here"


def test_access_lists_come_back(drive: Drive, docs: Path, tmp_path: Path) -> None:
    def acl(*entries: tuple[int, int, int]) -> bytes:
        return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)

    nobody = 2**32 - 1
    entries = ((1, 6, nobody), (2, 4, 1234), (4, 4, nobody), (0x10, 4, nobody), (0x20, 0, nobody))
    (docs / "folder").mkdir()
    set_attribute(docs / "témoin.txt", "system.posix_acl_access", acl(*entries))
    set_attribute(docs / "folder", "system.posix_acl_default", acl(*entries))
    (docs / "folder" / "inherits").write_text("x", encoding="utf-8")
    back = round_trip(drive, docs, tmp_path)
    assert os.getxattr(back / "folder", "system.posix_acl_default") == acl(*entries)


# -- what may not be read ------------------------------------------------------------------------------------------

_AS_ANOTHER_USER = """
import os, sys, _strptime  # all that is needed, while it may still be read
from pathlib import Path
from support.engine.drives import back_up, enroll, restored
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
folder = Path(sys.argv[1])
drive = enroll(folder / "drive")
report = back_up(drive, folder / "docs")
print(sorted((p.kind, p.path.rpartition("/")[2]) for p in report.problems), report.files_new)
restored(drive, folder / "back")
"""


@pytest.mark.root
@pytest.mark.skipif(not AS_ROOT, reason="becoming another user needs root")
def test_what_may_not_be_read_is_reported_and_the_rest_saved() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        docs = folder / "docs"
        (docs / "closed").mkdir(parents=True)
        (docs / "closed" / "inside.txt").write_text("not to be had", encoding="utf-8")
        (docs / "blind").mkdir()
        (docs / "blind" / "named-only.txt").write_text("not to be had", encoding="utf-8")
        for file, size in (("open.txt", 10), ("secret.txt", 10), ("secret.bin", 900_000)):
            (docs / file).write_bytes(noise(file, size))
        for path in [folder, docs, *docs.rglob("*")]:
            os.chown(path, 65_534, 65_534)
        for path in (docs / "secret.txt", docs / "secret.bin", docs / "closed"):
            path.chmod(0)
        (docs / "blind").chmod(0o400)
        command = [sys.executable, "-c", _AS_ANOTHER_USER, name]
        paths = os.pathsep.join([str(TESTS), str(ROOT)])
        environment = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        assert done.stderr == ""
        assert done.stdout == (
            "[('unreadable', 'closed'), ('unreadable', 'named-only.txt'), ('unreadable', 'secret.bin'), "
            "('unreadable', 'secret.txt')] 1\n"
        )
        back = below(folder / "back", docs)
        assert sorted(path.name for path in back.rglob("*")) == ["blind", "closed", "open.txt"]
        assert (back / "open.txt").read_bytes() == noise("open.txt", 10)
