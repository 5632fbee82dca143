"""Erasing real disks: loop devices, with a real partition table and filesystem.

Owns: format_disk, and what must stop it before anything is written. Needs root, but for the names.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from kinebackup.drives.formatting import (
    Disk,
    DiskChanged,
    DiskInUse,
    FormatFailed,
    Identifiers,
    disk_of,
    filesystem_label,
    format_disk,
)
from kinebackup.drives.system import System

NAMES = Identifiers("6f1c0000-0000-4000-8000-00000000abcd", "0a1b0000-0000-4000-8000-00000000cdef", "KINEBACKUP-CABIN")
needs_root = [pytest.mark.root, pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount")]


class Loop:
    """A loop device with a filesystem on it that must not be lost."""

    def __init__(self, node: str) -> None:
        self.node = node
        status = os.stat(node)
        found = disk_of(System(), f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}")
        assert found is not None
        self.disk: Disk = found

    def tag(self, name: str, node: str = "") -> str:
        command = ["blkid", "-p", "-o", "value", "-s", name, node or self.node]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as undone:
        yield undone


def attached(image: Path, stack: ExitStack) -> str:
    done = subprocess.run(["losetup", "-fP", "--show", image], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine cannot mount that: {done.stderr.strip()}")
    node = done.stdout.strip()
    stack.callback(lambda: subprocess.run(["losetup", "--detach", node], check=False))
    return node


@pytest.fixture
def loop(tmp_path: Path, stack: ExitStack) -> Loop:
    image = tmp_path / "disk.img"
    image.touch()
    os.truncate(image, 64 * 2**20)
    subprocess.run(["mkfs.ext4", "-q", "-F", "-L", "PRECIOUS", image], check=True, capture_output=True)
    return Loop(attached(image, stack))


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("CABINET", "KINEBACKUP-CABIN"),
        ("A", "KINEBACKUP-A"),
        ("ab cd", "KINEBACKUP-ab cd"),
        ("abcd ef", "KINEBACKUP-abcd"),
        ("éééé", "KINEBACKUP-éé"),
    ],
)
def test_a_file_manager_shows_as_much_of_the_label_as_there_is_room_for(label: str, expected: str) -> None:
    assert filesystem_label(label) == expected


class TestOnDisks:
    pytestmark = needs_root

    def test_another_disk_in_its_place_is_not_erased(self, loop: Loop) -> None:
        for other in (
            replace(loop.disk, sequence=loop.disk.sequence + 1),
            replace(loop.disk, sequence=0),
            replace(loop.disk, size_bytes=loop.disk.size_bytes + 512),
            replace(loop.disk, serial="575834314435"),
            replace(loop.disk, model="Stick 64"),
        ):
            with pytest.raises(DiskChanged):
                format_disk(other, NAMES)
        assert loop.tag("LABEL") == "PRECIOUS"

    def test_a_disk_that_was_swapped_behind_its_name_is_not_erased(
        self, loop: Loop, tmp_path: Path, stack: ExitStack
    ) -> None:
        image = tmp_path / "other.img"
        image.write_bytes((tmp_path / "disk.img").read_bytes())
        subprocess.run(["losetup", "--detach", loop.node], check=True)
        done = subprocess.run(["losetup", loop.node, image], capture_output=True, check=False)
        if done.returncode != 0:
            pytest.skip("this machine cannot mount that: another test took the loop device")
        with pytest.raises(DiskChanged):
            format_disk(loop.disk, NAMES)
        assert loop.tag("LABEL") == "PRECIOUS"

    def test_a_disk_that_was_pulled_is_told(self, loop: Loop) -> None:
        with pytest.raises(DiskChanged) as told:
            format_disk(replace(loop.disk, node="/dev/kine-absent"), NAMES)
        assert told.value.message == "/dev/kine-absent cannot be opened (No such file or directory)"

    def test_a_file_in_the_place_of_a_disk_is_not_erased(self, loop: Loop, tmp_path: Path) -> None:
        file = tmp_path / "file"
        file.write_bytes(b"precious")
        with pytest.raises(DiskChanged):
            format_disk(replace(loop.disk, node=str(file)), NAMES)
        assert file.read_bytes() == b"precious"

    def test_a_mounted_disk_is_not_erased(self, loop: Loop, tmp_path: Path, stack: ExitStack) -> None:
        place = tmp_path / "mounted"
        place.mkdir()
        if subprocess.run(["mount", loop.node, place], capture_output=True, check=False).returncode != 0:
            pytest.skip("this machine cannot mount that")
        stack.callback(lambda: subprocess.run(["umount", place], check=True))
        with pytest.raises(DiskInUse) as told:
            format_disk(loop.disk, NAMES)
        assert told.value.message == f"{loop.node} is in use, so it was not erased"
        assert loop.tag("LABEL") == "PRECIOUS"

    def test_a_write_protected_disk_is_told(self, loop: Loop, stack: ExitStack) -> None:
        subprocess.run(["blockdev", "--setro", loop.node], check=True)
        stack.callback(lambda: subprocess.run(["blockdev", "--setrw", loop.node], check=True))
        with pytest.raises(FormatFailed) as told:
            format_disk(loop.disk, NAMES)
        assert told.value.message == f"{loop.node} cannot be written to"

    def test_a_disk_becomes_one_partition_with_the_names_that_were_chosen(self, loop: Loop) -> None:
        steps: list[str] = []
        partition = format_disk(loop.disk, NAMES, on_step=steps.append)
        assert steps == ["wipefs", "sfdisk", "mkfs.ext4"]
        assert partition == f"{loop.node}p1"
        assert (loop.tag("PTTYPE"), loop.tag("LABEL"), loop.tag("TYPE")) == ("gpt", "", "")
        assert (loop.tag("UUID", partition), loop.tag("LABEL", partition)) == (NAMES.filesystem_uuid, NAMES.label)
        assert loop.tag("PART_ENTRY_UUID", partition) == NAMES.partition_uuid
        checked = subprocess.run(["e2fsck", "-f", "-n", partition], capture_output=True, check=False)
        assert checked.returncode == 0, checked.stdout

    def test_a_disk_can_be_prepared_again(self, loop: Loop) -> None:
        format_disk(loop.disk, NAMES)
        again = replace(NAMES, filesystem_uuid="6f1c0000-0000-4000-8000-00000000abce")
        assert loop.tag("UUID", format_disk(loop.disk, again)) == again.filesystem_uuid

    def test_a_disk_too_small_is_told_in_the_words_of_the_program(self, tmp_path: Path, stack: ExitStack) -> None:
        image = tmp_path / "tiny.img"
        image.touch()
        os.truncate(image, 512 * 1024)
        with pytest.raises(FormatFailed) as told:
            format_disk(Loop(attached(image, stack)).disk, NAMES)
        assert told.value.message.startswith("the drive could not be prepared: ")

    def test_a_partition_is_no_disk(self, loop: Loop) -> None:
        partition = format_disk(loop.disk, NAMES)
        status = os.stat(partition)
        assert disk_of(System(), f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}") is None
