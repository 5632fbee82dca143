"""Which mount a path lies on, and which other paths lead to the same bytes.

Owns: hostile and boring mount tables. Does not know: devices or clouds.
"""

from pathlib import Path

import pytest
from support.drives.invented_computer import InventedComputer, practice_computer

from kinebackup.drives.mount_table import Mount, MountTable, parse_mountinfo

ROOT = b"20 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw,errors=remount-ro\n"


@pytest.fixture
def computer(tmp_path: Path) -> InventedComputer:
    return practice_computer(tmp_path)


def table(*lines: bytes) -> MountTable:
    return parse_mountinfo(ROOT + b"".join(line + b"\n" for line in lines))


def mount_point_of(mounts: MountTable, path: str) -> str:
    mount = mounts.of_path(path)
    assert mount is not None
    return mount.mount_point


def never(mount: Mount) -> bool:
    return False


def test_every_field_of_a_line_is_read() -> None:
    mounts = table(b"41 20 8:17 /sub /media/CABINET ro,nosuid shared:9 master:2 - ext4 /dev/sdb1 rw,errors=continue")
    assert mounts.of_path("/media/CABINET/x") == Mount(
        mount_id=41,
        parent_id=20,
        device="8:17",
        root="/sub",
        mount_point="/media/CABINET",
        options=("ro", "nosuid"),
        filesystem="ext4",
        source="/dev/sdb1",
        super_options=("rw", "errors=continue"),
    )


def test_spaces_tabs_newlines_and_backslashes_are_unescaped() -> None:
    mounts = table(rb"41 20 8:17 / /media/kine/Mon\040disque\011a\012b\134c rw - ext4 /dev/sdb1 rw")
    assert mount_point_of(mounts, "/media/kine/Mon disque\ta\nb\\c/KINEBACKUP") == "/media/kine/Mon disque\ta\nb\\c"


def test_a_carriage_return_in_a_name_does_not_end_the_line() -> None:
    mounts = table(b"41 20 8:17 / /media/a\rb rw - ext4 /dev/sdb1 rw")
    assert mount_point_of(mounts, "/media/a\rb/x") == "/media/a\rb"


def test_a_name_that_is_no_utf8_is_kept() -> None:
    mounts = table(b"41 20 8:17 / /media/caf\xe9 rw - ext4 /dev/sdb1 rw")
    assert mount_point_of(mounts, "/media/caf\udce9/x") == "/media/caf\udce9"


def test_a_name_that_only_begins_alike_is_not_on_the_mount() -> None:
    mounts = table(b"41 20 8:17 / /media/disk rw - ext4 /dev/sdb1 rw")
    assert mount_point_of(mounts, "/media/disk2/x") == "/"


def test_the_longest_match_wins() -> None:
    mounts = table(b"41 20 8:17 / /a rw - ext4 /dev/sdb1 rw", b"42 41 8:33 / /a/b rw - ext4 /dev/sdc1 rw")
    assert mount_point_of(mounts, "/a/b/c") == "/a/b"
    assert mount_point_of(mounts, "/a/c") == "/a"


def test_the_last_mount_on_a_place_wins() -> None:
    mounts = table(b"41 20 8:17 / /a rw - ext4 /dev/sdb1 rw", b"42 41 0:50 / /a rw - cifs //nas/share rw")
    mount = mounts.of_path("/a/x")
    assert mount is not None
    assert mount.filesystem == "cifs"


def test_a_mount_hidden_under_a_later_one_is_not_taken() -> None:
    mounts = table(b"41 20 8:17 / /a/b rw - ext4 /dev/sdb1 rw", b"42 20 0:50 / /a rw - tmpfs tmpfs rw")
    assert mount_point_of(mounts, "/a/b/c") == "/a"


def test_without_a_root_in_the_table_the_longest_match_is_taken() -> None:
    mounts = parse_mountinfo(b"41 20 8:17 / /a rw - ext4 /dev/sdb1 rw\n42 41 8:33 / /a/b rw - ext4 /dev/sdc1 rw\n")
    assert mount_point_of(mounts, "/a/b/c") == "/a/b"
    assert mounts.of_path("/c") is None


@pytest.mark.parametrize("line", [b"", b"x", b"41 20 8:17 / /a rw", b"a b 8:17 / /a rw - ext4 x rw", b"1 2 3 - - -"])
def test_a_line_that_is_no_mount_is_skipped(line: bytes) -> None:
    assert len(table(line).mounts) == 1


@pytest.mark.parametrize(
    ("filesystem", "source", "kind"),
    [
        ("ext4", "/dev/sdb1", "disk"),
        ("vfat", "/dev/sdb1", "disk"),
        ("fuseblk", "/dev/sdb1", "disk"),
        ("virtiofs", "share", "disk"),
        ("tmpfs", "tmpfs", "memory"),
        ("ramfs", "none", "memory"),
        ("overlay", "overlay", "overlay"),
        ("fuse.fuse-overlayfs", "fuse-overlayfs", "overlay"),
        ("proc", "proc", "pseudo"),
        ("devtmpfs", "udev", "pseudo"),
        ("fuse", "x", "fuse"),
        ("fuse.unheard-of", "x", "fuse"),
        ("fuse.encfs", "encfs", "fuse"),
        ("fuse.gocryptfs", "/home/kine/.secret", "local-fuse"),
        ("fuse.bindfs", "/srv/data", "local-fuse"),
        ("fuse.bindfs", "bindfs", "fuse"),
    ],
)
def test_the_type_tells_the_kind(filesystem: str, source: str, kind: str) -> None:
    mounts = table(f"41 20 0:50 / /a rw - {filesystem} {source} rw".encode())
    mount = mounts.of_path("/a")
    assert mount is not None
    assert mount.kind == kind


def test_a_read_only_mount_and_a_read_only_filesystem_are_both_read_only() -> None:
    mounts = table(b"41 20 8:17 / /a ro - ext4 /dev/sdb1 rw", b"42 20 8:33 / /b rw - ext4 /dev/sdc1 ro")
    assert [mount.read_only for mount in mounts.mounts] == [False, True, True]


def test_a_bind_mount_has_the_path_of_the_original_as_alias() -> None:
    mounts = table(b"41 20 8:2 /home/kine/Dropbox /srv/backup rw - ext4 /dev/sda2 rw")
    assert mounts.aliases("/srv/backup/x") == ("/home/kine/Dropbox/x",)
    assert mounts.aliases("/home/kine/Dropbox/x") == ("/srv/backup/x",)
    assert mounts.aliases("/home/kine/Images") == ()


def test_a_gocryptfs_folder_has_the_folder_of_its_ciphertext_as_alias() -> None:
    mounts = table(b"41 20 0:50 / /home/kine/plain rw - fuse.gocryptfs /home/kine/Dropbox/secret rw")
    assert mounts.aliases("/home/kine/plain/x") == ("/home/kine/Dropbox/secret/x",)


def test_an_overlay_has_its_upper_layer_as_alias() -> None:
    mounts = table(b"41 20 0:50 / /merged rw - overlay overlay rw,lowerdir=/low,upperdir=/home/kine/Dropbox,workdir=/w")
    assert mounts.aliases("/merged/x") == ("/home/kine/Dropbox/x",)


def test_an_overlay_stacked_on_itself_ends() -> None:
    mounts = parse_mountinfo(b"20 1 0:50 / / rw - overlay overlay rw,lowerdir=/l,upperdir=/upper,workdir=/w\n")
    assert len(mounts.aliases("/x")) < 64


def test_the_mount_of_a_device_is_found_by_number_and_by_node() -> None:
    mounts = table(
        b"41 20 8:17 /sub /a rw - ext4 /dev/sdb1 rw",
        b"42 20 8:17 / /b rw - ext4 /dev/sdb1 rw",
        b"43 20 0:60 /@ /c rw - btrfs /dev/sdc1 rw",
    )
    by_number, by_node = mounts.of_device("8:17", "/dev/sdb1"), mounts.of_device("8:33", "/dev/sdc1")
    assert by_number is not None
    assert by_number.mount_point == "/b"
    assert by_node is not None
    assert by_node.mount_point == "/c"
    assert mounts.of_device("8:49", "/dev/sdd1") is None


def test_links_dots_and_missing_names_are_resolved(computer: InventedComputer) -> None:
    computer.directory("/data/cloud")
    computer.link("/home/kine/Dropbox", "../../data/./cloud")
    computer.link("/home/kine/absolute", "/data/cloud")
    mounts = parse_mountinfo(ROOT)
    assert mounts.resolve(computer.system, "/home/kine/Dropbox/new//dir/", never).path == "/data/cloud/new/dir"
    assert mounts.resolve(computer.system, "/home/kine/absolute/..", never).path == "/data"
    assert mounts.resolve(computer.system, "/../..", never).path == "/"


def test_a_loop_of_links_ends(computer: InventedComputer) -> None:
    computer.link("/home/kine/a", "b")
    computer.link("/home/kine/b", "a")
    assert parse_mountinfo(ROOT).resolve(computer.system, "/home/kine/a", never).path in (
        "/home/kine/a",
        "/home/kine/b",
    )


def test_resolving_stops_before_a_remote_mount(computer: InventedComputer) -> None:
    computer.link("/home/kine/nas", "/mnt/nas/folder")
    computer.link("/mnt/nas/folder/inner", "/elsewhere")
    mounts = table(b"41 20 0:50 / /mnt/nas rw - nfs4 nas:/export rw")
    resolved = mounts.resolve(computer.system, "/home/kine/nas/inner", lambda mount: mount.filesystem == "nfs4")
    assert resolved.path == "/mnt/nas/folder/inner"
    assert resolved.unreached == mounts.mounts[1]
