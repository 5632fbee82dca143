"""Mounting real filesystems on loop devices, as root.

Owns: images, loop devices and programs that keep a mount busy. Does not know: USB; the virtual machine's tests have it.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.drives.own_namespace import own_namespace
from support.waiting import wait_until

from kinebackup.drives.busy import mounts_anywhere
from kinebackup.drives.filesystem_state import repair_filesystem
from kinebackup.drives.mount_table import read_mounts
from kinebackup.drives.mounting import MountFailed, mount_drive
from kinebackup.drives.system import System
from kinebackup.drives.unmounting import StillMounted, drop_mount, unmount_drive
from kinebackup.errors import DriveFailed

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]
__all__ = ["own_namespace"]  # a fixture of every test here

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


def number(node: str) -> str:
    device = os.stat(node).st_rdev
    return f"{os.major(device)}:{os.minor(device)}"


def options(where: str) -> set[str]:
    return {o for mount in read_mounts(SYSTEM).mounts if mount.mount_point == where for o in mount.options}


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


EXT4 = ("mkfs.ext4", "-q", "-F")


def test_another_disk_in_its_place_is_not_mounted(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    with pytest.raises(MountFailed) as refused:
        mount_drive(node, sequence(node) + 1, where)
    assert refused.value.reason == "failed"
    assert not os.path.lexists(where)


def test_a_device_that_is_gone_is_not_mounted(bench: Bench) -> None:
    with pytest.raises(MountFailed, match="not there any more"):
        mount_drive("/dev/sdzz9", 1, bench.place())


def test_a_device_without_a_filesystem_is_not_mounted(bench: Bench) -> None:
    node = bench.device()
    with pytest.raises(MountFailed, match="no file system"):
        mount_drive(node, sequence(node), bench.place())


def test_a_filesystem_that_is_not_on_the_list_is_not_mounted(bench: Bench) -> None:
    node = bench.device("mkfs.minix")
    with pytest.raises(MountFailed, match="minix"):
        mount_drive(node, sequence(node), bench.place())


def test_a_write_protected_drive_is_not_mounted(bench: Bench) -> None:
    node = bench.device(*EXT4, read_only=True)
    with pytest.raises(MountFailed) as refused:
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
    except MountFailed as error:
        pytest.skip(f"this machine cannot mount that: vfat ({error.message})")
    assert os.stat(where).st_mode & 0o077 == 0


def test_a_filesystem_with_errors_is_repaired_or_refused(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    run("debugfs", "-w", "-R", "set_super_value state 2", node)  # the kernel's mark that it found errors
    assert mount_drive(node, sequence(node), where) == "repaired"
    unmount_drive(node, sequence(node), where)
    assert repair_filesystem(node, "ext4") == "clean"
    run("debugfs", "-w", "-R", "set_super_value state 2", node)
    run("debugfs", "-w", "-R", "clri <2>", node)  # its root directory is gone: no repair without a person
    with pytest.raises(MountFailed) as refused:
        mount_drive(node, sequence(node), where)
    assert refused.value.reason == "dirty"
    assert not os.path.lexists(where)


def test_a_superblock_that_is_damaged_is_for_a_person_to_repair(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    with open(node, "r+b", buffering=0) as device:
        os.pwrite(device.fileno(), b"\xff\xff", 1024 + 0x54)  # its checksum is wrong now
    with pytest.raises(MountFailed) as refused:
        mount_drive(node, sequence(node), where)
    assert refused.value.reason == "dirty"
    assert not os.path.lexists(where)


def test_a_superblock_that_is_gone_is_no_filesystem(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    with open(node, "r+b", buffering=0) as device:
        os.pwrite(device.fileno(), bytes(1024), 1024)
    with pytest.raises(MountFailed) as refused:
        mount_drive(node, sequence(node), where)
    assert refused.value.reason == "failed"
    assert not os.path.lexists(where)


def test_a_journal_that_was_not_finished_is_played_back_by_the_kernel(bench: Bench, tmp_path: Path) -> None:
    node, where = bench.device(*EXT4), bench.place()
    mount_drive(node, sequence(node), where)
    Path(where, "saved").write_bytes(b"x" * 10_000)
    fd = os.open(where, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    run("sync", "-f", where)
    pulled = tmp_path / "pulled.img"  # as the drive would be, pulled out now
    run("cp", "--sparse=always", node, str(pulled))
    unmount_drive(node, sequence(node), where)
    other = run("losetup", "-f", "--show", str(pulled)).strip()
    bench.stack.callback(subprocess.run, ["losetup", "-d", other], check=False)
    assert "needs_recovery" in run("dumpe2fs", "-h", other)
    assert mount_drive(other, sequence(other), where) == "clean"
    assert Path(where, "saved").read_bytes() == b"x" * 10_000
    unmount_drive(other, sequence(other), where)


@pytest.mark.parametrize("mkfs", [("mkfs.xfs", "-q"), ("mkfs.btrfs", "-q"), ("mkfs.ext3", "-q"), ("mkfs.ext2", "-q")])
def test_other_filesystems_of_linux_are_mounted_and_unmounted(bench: Bench, mkfs: tuple[str, ...]) -> None:
    if shutil.which(mkfs[0]) is None:
        pytest.skip(f"this machine cannot mount that: no {mkfs[0]}")
    node, where = bench.device(*mkfs, size_mib=320), bench.place()
    mount_drive(node, sequence(node), where)
    assert {"rw", "nosuid", "nodev", "noexec", "nosymfollow", "noatime"} <= options(where)
    Path(where, "saved").write_bytes(b"x")
    assert mounts_anywhere(number(node), node) != ()
    unmount_drive(node, sequence(node), where)
    assert options(where) == set()
    assert mounts_anywhere(number(node), node) == ()


def test_an_xfs_that_is_damaged_is_refused_as_in_disorder(bench: Bench) -> None:
    node, where = bench.device("mkfs.xfs", "-q", size_mib=320), bench.place()
    with open(node, "r+b", buffering=0) as device:
        os.pwrite(device.fileno(), bytes(4), 0x60)  # a field of the superblock that its checksum covers
    with pytest.raises(MountFailed) as refused:
        mount_drive(node, sequence(node), where)
    assert refused.value.reason in ("dirty", "failed")  # blkid may not know it any more
    assert not os.path.lexists(where)


def test_others_cannot_write_beside_the_backups(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    mount_drive(node, sequence(node), where)
    os.chmod(where, 0o777)
    unmount_drive(node, sequence(node), where)
    mount_drive(node, sequence(node), where)
    assert os.stat(where).st_mode & 0o777 == 0o755


def test_a_place_that_others_may_change_is_not_used(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    os.chmod(os.path.dirname(where), 0o777)
    with pytest.raises(MountFailed, match="others may change"):
        mount_drive(node, sequence(node), where)
    assert not os.path.lexists(where)


def test_a_place_by_way_of_a_link_is_unmounted_as_well(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    os.symlink(os.path.dirname(where), bench.base / "run")
    by_link = str(bench.base / "run" / "1")
    mount_drive(node, sequence(node), by_link)
    assert os.path.ismount(where)
    unmount_drive(node, sequence(node), by_link)
    assert not os.path.lexists(where)


def test_what_is_mounted_on_top_of_the_drive_is_not_taken_for_it(bench: Bench, tmp_path: Path) -> None:
    node, where = bench.device(*EXT4), bench.place()
    desktop = tmp_path / "media"
    desktop.mkdir()
    run("mount", node, str(desktop))
    bench.stack.callback(subprocess.run, ["umount", "-l", str(desktop)], check=False)
    run("mount", "-t", "tmpfs", "tmpfs", str(desktop))
    with pytest.raises(MountFailed) as refused:
        mount_drive(node, sequence(node), where)
    assert refused.value.reason == "busy"
    run("umount", str(desktop))  # the tmpfs: it is still there


def test_a_drive_that_the_desktop_has_in_its_own_world_is_asked_for(bench: Bench, tmp_path: Path) -> None:
    """As the daemon sees it: the mount is in a namespace that it cannot unmount anything in."""
    node, where = bench.device(*EXT4), bench.place()
    media = tmp_path / "media"
    media.mkdir()
    desktop = bench.somebody("unshare", "-m", "sh", "-c", f"mount {node} {media} && echo ready && exec sleep 60")
    assert desktop.stdout is not None
    assert desktop.stdout.readline() == b"ready\n"
    asked: list[str] = []

    def desktop_unmount(device: str) -> bool:
        asked.append(device)
        run("nsenter", "-t", str(desktop.pid), "-m", "umount", str(media))
        return True

    mount_drive(node, sequence(node), where, desktop_unmount=desktop_unmount)
    assert asked == [node]
    assert os.path.ismount(where)


def test_a_filesystem_that_lives_on_unlisted_is_not_said_to_be_unmounted(bench: Bench, tmp_path: Path) -> None:
    node = bench.device(*EXT4)
    media = tmp_path / "media"
    media.mkdir()
    run("mount", node, str(media))
    with open(media / "open", "wb"):
        run("umount", "--lazy", str(media))
        assert mounts_anywhere(number(node), node) == ()
        with pytest.raises(StillMounted):
            unmount_drive(node, sequence(node), None)
    unmount_drive(node, sequence(node), None)


def test_a_drive_that_did_not_take_what_was_written_is_not_said_to_be_well(bench: Bench) -> None:
    memory = bench.base / "memory"
    memory.mkdir()
    run("mount", "-t", "tmpfs", "-o", "size=24M", "tmpfs", str(memory))
    bench.stack.callback(subprocess.run, ["umount", "-l", str(memory)], check=False)
    image = memory / "image"  # larger than what it lies on: the disk fails when it is filled
    with image.open("wb") as file:
        file.truncate(256 * 1024 * 1024)
    run(*EXT4, "-E", "lazy_itable_init=1", "-J", "size=4", str(image))
    node, where = run("losetup", "-f", "--show", str(image)).strip(), bench.place()
    bench.stack.callback(subprocess.run, ["losetup", "-d", node], check=False)
    mount_drive(node, sequence(node), where)
    with suppress(OSError):
        Path(where, "large").write_bytes(os.urandom(32 * 1024 * 1024))
    with pytest.raises(DriveFailed, match="did not take all"):
        unmount_drive(node, sequence(node), where)
    assert options(where) == set()
    assert not os.path.lexists(where)


def test_a_drive_that_was_never_mounted_is_unmounted_already(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    unmount_drive(node, sequence(node), None)
    unmount_drive(node, sequence(node), where)


def test_a_drive_that_is_not_there_any_more_was_not_unmounted_well(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    mount_drive(node, sequence(node), where)
    with pytest.raises(StillMounted, match="unplugged before"):
        unmount_drive(node, sequence(node) + 1, where)  # by now, another disk has this name
    assert options(where) == set()
    assert not os.path.lexists(where)
    unmount_drive("/dev/sdzz9", 1, where)
    unmount_drive("/dev/sdzz9", 1, None)


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
    open_files = Path(f"/proc/{reader.pid}/fd")
    wait_until(lambda: any(os.readlink(fd) == str(desktop / "open.txt") for fd in open_files.iterdir()))
    with pytest.raises(MountFailed) as refused:
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
    wait_until(lambda: Path(f"/proc/{sleeper.pid}/comm").read_text("ascii") == "sleep\n")
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
    with pytest.raises(MountFailed) as refused:
        mount_drive(node, sequence(node), where)
    assert refused.value.reason == "busy"


def test_what_is_left_of_a_drive_that_was_pulled_is_dropped(bench: Bench) -> None:
    node, where = bench.device(*EXT4), bench.place()
    mount_drive(node, sequence(node), where)
    sleeper = bench.somebody("sh", "-c", f"cd {where} && exec sleep 60")
    wait_until(lambda: Path(f"/proc/{sleeper.pid}/comm").read_text("ascii") == "sleep\n")
    drop_mount(where)
    assert options(where) == set()
    assert not os.path.lexists(where)
    drop_mount(where)


def test_a_place_that_is_a_link_to_somewhere_else_is_not_followed(bench: Bench, tmp_path: Path) -> None:
    node, where = bench.device(*EXT4), bench.place()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    os.symlink(elsewhere, where)
    with suppress(MountFailed, OSError):
        mount_drive(node, sequence(node), where)
    assert not os.path.ismount(elsewhere)
