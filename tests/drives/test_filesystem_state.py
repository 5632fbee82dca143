"""What a filesystem says of itself: real ones in image files, repaired by their own programs.

Owns: those images and what is done to them. Does not know: devices and mounts.
"""

import subprocess
from pathlib import Path

import pytest

from kinebackup.drives.filesystem_state import Signature, has_ext_superblock, probe, repair_filesystem

pytestmark = pytest.mark.root

MIB = 1024 * 1024
UUID = "6f1c0000-0000-4000-8000-00000000abcd"
DIRTY_MARKS = [
    ("exfat", ("mkfs.exfat",), 0x6A, 0x2),
    ("vfat", ("mkfs.vfat", "-F", "32"), 0x41, 0x1),
    ("vfat", ("mkfs.vfat", "-F", "16"), 0x25, 0x1),
]


def image(folder: Path, *mkfs: str, size_bytes: int = 64 * MIB) -> str:
    path = folder / "image"
    with path.open("wb") as file:
        file.truncate(size_bytes)
    if mkfs:
        subprocess.run([*mkfs, str(path)], check=True, capture_output=True)
    return str(path)


def write(path: str, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


def test_a_device_that_is_gone_is_not_recognised(tmp_path: Path) -> None:
    assert probe(str(tmp_path / "nothing")) is None


@pytest.mark.parametrize("size_bytes", [0, 512, 64 * MIB])
def test_an_empty_device_has_no_filesystem(tmp_path: Path, size_bytes: int) -> None:
    path = image(tmp_path, size_bytes=size_bytes)
    assert probe(path) is None
    assert not has_ext_superblock(path)
    assert repair_filesystem(path, "vfat") == "clean"


def test_a_filesystem_is_recognised_by_what_is_on_the_device(tmp_path: Path) -> None:
    path = image(tmp_path, "mkfs.ext4", "-q", "-F", "-U", UUID, "-L", "TYPE=vfat")
    assert probe(path) == Signature("ext4", "filesystem", UUID)


def test_two_filesystems_at_once_are_none(tmp_path: Path) -> None:
    other_folder = tmp_path / "other"
    other_folder.mkdir()
    path = image(tmp_path, "mkfs.ext4", "-q", "-F", "-b", "4096")
    other = image(other_folder, "mkfs.xfs", "-q", "-f", size_bytes=320 * MIB)
    write(path, 0, Path(other).read_bytes()[:512])
    assert probe(path) is None


def test_a_locked_container_is_no_filesystem(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"not a secret")
    cheap = ("--type=luks2", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000")
    path = image(tmp_path, "cryptsetup", "luksFormat", "--batch-mode", f"--key-file={key}", *cheap)
    found = probe(path)
    assert found is not None
    assert (found.filesystem, found.usage) == ("crypto_LUKS", "crypto")


@pytest.mark.parametrize("journal", ["has_journal", "^has_journal"])
def test_an_ext4_in_order_is_left_alone(tmp_path: Path, journal: str) -> None:
    path = image(tmp_path, "mkfs.ext4", "-q", "-F", "-O", journal)
    before = Path(path).read_bytes()
    assert repair_filesystem(path, "ext4") == "clean"
    assert Path(path).read_bytes() == before


@pytest.mark.parametrize("state", [0, 2, 3])
def test_an_ext4_that_was_not_unmounted_or_has_errors_is_repaired(tmp_path: Path, state: int) -> None:
    path = image(tmp_path, "mkfs.ext4", "-q", "-F", "-O", "^has_journal")
    subprocess.run(["debugfs", "-w", "-R", f"set_super_value state {state}", path], check=True, capture_output=True)
    assert repair_filesystem(path, "ext4") == "repaired"
    assert repair_filesystem(path, "ext4") == "clean"


def test_an_ext4_that_takes_a_person_to_repair_is_left_to_one(tmp_path: Path) -> None:
    path = image(tmp_path, "mkfs.ext4", "-q", "-F")
    for request in ("set_super_value state 2", "clri <2>"):
        subprocess.run(["debugfs", "-w", "-R", request, path], check=True, capture_output=True)
    assert repair_filesystem(path, "ext4") == "dirty"
    assert repair_filesystem(path, "ext4") == "dirty"


@pytest.mark.parametrize(("filesystem", "mkfs", "offset", "mark"), DIRTY_MARKS)
def test_a_fat_that_was_pulled_out_is_repaired(
    tmp_path: Path, filesystem: str, mkfs: tuple[str, ...], offset: int, mark: int
) -> None:
    path = image(tmp_path, *mkfs)
    assert repair_filesystem(path, filesystem) == "clean"
    write(path, offset, bytes([Path(path).read_bytes()[offset] | mark]))
    assert repair_filesystem(path, filesystem) == "repaired"
    assert repair_filesystem(path, filesystem) == "clean"


@pytest.mark.parametrize("filesystem", ["xfs", "btrfs", "f2fs", "ntfs"])
def test_what_the_kernel_looks_after_is_left_to_it(tmp_path: Path, filesystem: str) -> None:
    assert repair_filesystem(image(tmp_path), filesystem) == "clean"
