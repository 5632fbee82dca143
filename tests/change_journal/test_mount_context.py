"""On which file systems the journal relies, and what counts as another mount.

Owns: invented mounts. Does not know: this computer's.
"""

import pytest

from kinebackup.change_journal.mount_context import MountContext, MountIdentity

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
