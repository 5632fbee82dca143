"""Mounting real filesystems on loop devices, as root.

Owns: images, loop devices and programs that keep a mount busy. Does not know: USB; the virtual machine's tests have it.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from kinebackup.drives.filesystem_state import put_in_order
from kinebackup.drives.mounting import NotMounted, StillMounted, drop_mount, mount_drive, unmount_drive
from kinebackup.drives.mounts import read_mounts
from kinebackup.drives.system import System

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]

SYSTEM = System()


@dataclass
class Bench:
    """Loop devices below one directory, and what undoes them."""

    base: Path
    stack: ExitStack

    def device(self, *mkfs: str, size_mib: int = 64, read_only: bool = False) -> str:
        image = self.base / f"drive{len(list(self.base.glob('*.img')))}.img"
        with image.open("wb") as file:
            file.truncate(size_mib * 1024 * 1024)
        if mkfs:
            run(*mkfs, str(image))
        node = run("losetup", "-f", "--show", *(["-r"] if read_only else []), str(image)).strip()
        self.stack.callback(subprocess.run, ["losetup", "-d", node], check=False)
        return node

    def place(self) -> str:
        where = str(self.base / "mounts" / "1")
        (self.base / "mounts").mkdir(exist_ok=True, mode=0o700)
        self.stack.callback(drop_mount, where)
        return where

    def somebody(self, *command: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

        def end() -> None:
            process.kill()
            process.communicate()

        self.stack.callback(end)
        return process


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def sequence(node: str) -> int:
    return int(Path(f"/sys/block/{os.path.basename(node)}/diskseq").read_text("ascii"))


def options(where: str) -> set[str]:
    return {o for mount in read_mounts(SYSTEM).mounts if mount.mount_point == where for o in mount.options}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


EXT4 = ("mkfs.ext4", "-q", "-F")


def test_another_disk_in_its_place_is_not_mounted(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    with pytest.raises(NotMounted) as refused:
        mount_drive(node, sequence(node) + 1, where)
    assert refused.value.reason == "failed"
    assert not os.path.lexists(where)


def test_a_device_that_is_gone_is_not_mounted(bench: Bench) -> None:
    with pytest.raises(NotMounted, match="not there any more"):
        mount_drive("/dev/sdzz9", 1, bench.place())


def test_a_device_without_a_filesystem_is_not_mounted(bench: Bench) -> None:
    node = bench.device()
    with pytest.raises(NotMounted, match="no file system"):
        mount_drive(node, sequence(node), bench.place())


def test_a_filesystem_that_is_not_on_the_list_is_not_mounted(bench: Bench) -> None:
    node = bench.device("mkfs.minix")
    with pytest.raises(NotMounted, match="minix"):
        mount_drive(node, sequence(node), bench.place())


def test_a_write_protected_drive_is_not_mounted(bench: Bench) -> None:
    node = bench.device(*EXT4, read_only=True)
    with pytest.raises(NotMounted) as refused:
        mount_drive(node, sequence(node), bench.place())
    assert refused.value.reason == "read-only"


def test_nothing_on_the_drive_can_be_run_followed_or_act_as_a_device(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    mount_drive(node, sequence(node), where)
    assert {"rw", "nosuid", "nodev", "noexec", "nosymfollow", "noatime"} <= options(where)
    os.symlink("/etc/hostname", f"{where}/link")
    with pytest.raises(OSError, match="symbolic"):
        Path(where, "link").read_bytes()
    unmount_drive(node, sequence(node), where)
    assert not os.path.lexists(where)
    assert options(where) == set()


def test_a_filesystem_without_owners_belongs_to_root_alone(bench: Bench) -> None:
    node, where = bench.device("mkfs.vfat"), bench.place()
    try:
        mount_drive(node, sequence(node), where)
    except NotMounted as error:
        pytest.skip(f"this machine cannot mount that: vfat ({error.message})")
    assert os.stat(where).st_mode & 0o077 == 0


def test_a_filesystem_with_errors_is_repaired_or_refused(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    run("debugfs", "-w", "-R", "set_super_value state 2", node)  # the kernel's mark that it found errors
    assert mount_drive(node, sequence(node), where) == "repaired"
    unmount_drive(node, sequence(node), where)
    assert put_in_order(node, "ext4") == "clean"
    run("debugfs", "-w", "-R", "set_super_value state 2", node)
    run("debugfs", "-w", "-R", "clri <2>", node)  # its root directory is gone: no repair without a person
    with pytest.raises(NotMounted) as refused:
        mount_drive(node, sequence(node), where)
    assert refused.value.reason == "dirty"
    assert not os.path.lexists(where)


def test_a_drive_that_the_desktop_has_mounted_is_taken_over(bench: Bench, tmp_path: Path) -> None:
    node, where = bench.device(*EXT4), bench.place()
    desktop = tmp_path / "media"
    desktop.mkdir()
    run("mount", node, str(desktop))
    mount_drive(node, sequence(node), where)
    assert not os.path.ismount(desktop)
    assert os.path.ismount(where)


def test_a_drive_on_which_somebody_works_is_left_to_them_and_they_are_named(bench: Bench, tmp_path: Path) -> None:
    node, where = bench.device(*EXT4), bench.place()
    desktop = tmp_path / "media"
    desktop.mkdir()
    run("mount", node, str(desktop))
    bench.stack.callback(subprocess.run, ["umount", "-l", str(desktop)], check=False)
    (desktop / "open.txt").write_text("x")
    reader = bench.somebody("tail", "-f", str(desktop / "open.txt"))
    time.sleep(0.3)
    with pytest.raises(NotMounted) as refused:
        mount_drive(node, sequence(node), where)
    assert (refused.value.reason, refused.value.program) == ("busy", "tail")
    assert os.path.ismount(desktop)
    reader.kill()
    reader.communicate()
    mount_drive(node, sequence(node), where)


def test_a_drive_that_is_in_use_is_not_said_to_be_unmounted(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    mount_drive(node, sequence(node), where)
    sleeper = bench.somebody("sh", "-c", f"cd {where} && exec sleep 60")
    time.sleep(0.3)
    with pytest.raises(StillMounted) as refused:
        unmount_drive(node, sequence(node), where)
    assert refused.value.program == "sleep"
    sleeper.kill()
    sleeper.communicate()
    unmount_drive(node, sequence(node), where)
    assert options(where) == set()


def test_a_mount_in_another_namespace_is_found(bench: Bench, tmp_path: Path) -> None:
    """As a service with a world of its own keeps it: nothing of it is in this process's table."""
    node, where = bench.device(*EXT4), bench.place()
    other = tmp_path / "other"
    other.mkdir()
    process = bench.somebody("unshare", "-m", "sh", "-c", f"mount {node} {other} && echo ready && exec sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert options(str(other)) == set()
    with pytest.raises(StillMounted):
        unmount_drive(node, sequence(node), where)
    with pytest.raises(NotMounted) as refused:
        mount_drive(node, sequence(node), where)
    assert refused.value.reason == "busy"


def test_what_is_left_of_a_drive_that_was_pulled_is_dropped(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    mount_drive(node, sequence(node), where)
    bench.somebody("sh", "-c", f"cd {where} && exec sleep 60")
    time.sleep(0.3)
    drop_mount(where)
    assert options(where) == set()
    assert not os.path.lexists(where)
    drop_mount(where)


def test_a_place_that_is_a_link_to_somewhere_else_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    node, where = bench.device(*EXT4), bench.place()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.symlink(elsewhere, where)
    with suppress(NotMounted, OSError):
        mount_drive(node, sequence(node), where)
    assert not os.path.ismount(elsewhere)
