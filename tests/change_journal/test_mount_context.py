"""On which file systems the journal relies, and what counts as another mount.

Owns: invented mounts, and a real one. Does not know: the journal.
"""

import os
import subprocess
from pathlib import Path

import pytest

from kinebackup.change_journal.mount_context import MountContext, MountIdentity, read_mount_context
from kinebackup.drives.system import System

ROOT = MountIdentity("22 8:1 /", "/", "ext4")
HOME = MountIdentity("31 8:2 /", "/home", "btrfs")
PORTAL = MountIdentity("77 0:50 /", "/home/marie/.cache/doc", "fuse.portal")


@pytest.mark.parametrize("kind", ["ext4", "btrfs", "xfs", "tmpfs", "vfat"])
def test_file_systems_of_this_computer_are_relied_on(kind: str) -> None:
    mount = MountIdentity("1", "/home", kind)
    assert MountContext.of("/home/marie", mount, [mount]).unreliable_reason(one_file_system=True) == ""


@pytest.mark.parametrize("kind", ["nfs4", "cifs", "fuse.sshfs", "fuseblk", "overlay", "9p", "virtiofs", "unheard-of"])
def test_others_can_be_changed_behind_the_back_of_the_kernel(kind: str) -> None:
    mount = MountIdentity("1", "/home", kind)
    assert kind in MountContext.of("/home/marie", mount, [mount]).unreliable_reason(one_file_system=True)


def test_a_mount_that_nobody_knows_is_not_relied_on() -> None:
    assert MountContext.of("/home/marie", None, []).unreliable_reason(one_file_system=True) != ""


def test_a_mount_below_counts_only_where_it_is_saved() -> None:
    mount_context = MountContext.of("/home/marie", HOME, [ROOT, HOME, PORTAL])
    assert mount_context.unreliable_reason(one_file_system=True) == ""
    assert "fuse.portal" in mount_context.unreliable_reason(one_file_system=False)


def test_only_mounts_at_and_below_a_source_make_it_another_ground() -> None:
    mount_context = MountContext.of("/home/marie", HOME, [ROOT, HOME])
    elsewhere = MountIdentity("90", "/media/cle", "vfat")
    beside = MountIdentity("91", "/home/marie-claude", "ext4")
    assert MountContext.of("/home/marie", HOME, [ROOT, HOME, elsewhere, beside]) == mount_context
    assert MountContext.of("/home/marie", HOME, [ROOT, HOME, PORTAL]) != mount_context
    assert MountContext.of("/home/marie", MountIdentity("93 8:2 /", "/home", "btrfs"), [ROOT, HOME]) != mount_context


def test_a_source_in_a_file_system_of_the_kernel_itself_is_not_relied_on() -> None:
    assert "proc" in read_mount_context("/proc/self", System()).unreliable_reason(one_file_system=True)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="mounts")
def test_a_new_mount_below_a_source_is_another_context(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    system = System()
    before = read_mount_context(str(tmp_path), system)
    subprocess.run(["mount", "-t", "tmpfs", "none", tmp_path / "d"], check=True)
    try:
        mounted = read_mount_context(str(tmp_path), system)
    finally:
        subprocess.run(["umount", tmp_path / "d"], check=True)
    assert before != mounted
    assert read_mount_context(str(tmp_path), system) == before
    assert [mount.filesystem for mount in mounted.below] == ["tmpfs"]
