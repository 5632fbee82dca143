"""The facts about a place, from a tree of real files laid out like /proc, /sys, /dev and /etc.

Owns: what is read from where. Does not know: verdicts, nor the configuration of clouds.
"""

import os
from pathlib import Path

import pytest
from support.drives.invented_computer import USB_PATH, InventedComputer, practice_computer

from kinebackup.drives.facts import gather_facts, read_host_facts
from kinebackup.policy.target_facts import CloudMatch, DeviceFacts, TargetFacts


@pytest.fixture
def computer(tmp_path: Path) -> InventedComputer:
    return practice_computer(tmp_path)


def facts_of(computer: InventedComputer, path: str) -> TargetFacts:
    return gather_facts(path, host=read_host_facts(computer.system))


def device_of(computer: InventedComputer, path: str) -> DeviceFacts:
    device = facts_of(computer, path).device
    assert device is not None
    return device


def test_a_usb_drive_is_known_by_its_ancestors(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    facts = facts_of(computer, "/media/kine/CABINET")
    assert facts.device == DeviceFacts(
        number="8:17",
        node="/dev/sdb1",
        disks=("sdb",),
        usb=True,
        networked=False,
        removable=False,
        read_only=False,
        size_bytes=2000397795328,
        filesystem_uuid="",
        partition_uuid="",
        label="",
        serial="575834314435",
        model="WD Elements 2621",
        disk_sequence=17,
    )
    assert (facts.mount_point, facts.filesystem, facts.mount_kind) == ("/media/kine/CABINET", "ext4", "disk")
    assert (facts.exists, facts.is_directory, facts.top_level, facts.repository) == (True, True, (), "absent")
    assert (facts.on_system_disk, facts.read_only, facts.cloud) == (False, False, None)
    assert facts.total_bytes >= facts.free_bytes > 0


def test_a_folder_of_the_computer_is_on_the_system_disk(computer: InventedComputer) -> None:
    facts = facts_of(computer, "/home/kine")
    assert facts.on_system_disk
    assert facts.device is not None
    assert (facts.device.usb, facts.device.disks) == (False, ("sda",))


def test_an_empty_mount_point_is_on_the_system_disk(computer: InventedComputer) -> None:
    computer.directory("/media/kine/CABINET")
    assert facts_of(computer, "/media/kine/CABINET").on_system_disk


def test_a_usb_disk_that_holds_the_homes_is_a_system_disk(computer: InventedComputer) -> None:
    computer.plug_in_usb("/home")
    computer.mount("41 20 8:17 / /mnt/backup rw - ext4 /dev/sdb1 rw")
    assert facts_of(computer, "/mnt/backup").on_system_disk


def test_the_database_of_udev_gives_the_identity(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    computer.file(
        "/run/udev/data/b8:17",
        "S:disk/by-label/CABINET\nE:ID_FS_UUID=6f1c-uuid\nE:ID_PART_ENTRY_UUID=0a1b-part\n"
        "E:ID_FS_LABEL_ENC=Disque\\x20n\\xc2\\xb01\nE:ID_SERIAL_SHORT=other\n",
    )
    device = device_of(computer, "/media/kine/CABINET")
    assert (device.filesystem_uuid, device.partition_uuid, device.label) == ("6f1c-uuid", "0a1b-part", "Disque n°1")
    assert device.serial == "575834314435"


def test_the_links_of_udev_give_it_as_well(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    computer.link("/dev/disk/by-uuid/other", "../../sda2")
    computer.link("/dev/disk/by-uuid/6f1c-uuid", "../../sdb1")
    computer.link("/dev/disk/by-partuuid/0a1b-part", "../../sdb1")
    computer.link("/dev/disk/by-label/Disque\\x20A", "../../sdb1")
    device = device_of(computer, "/media/kine/CABINET")
    assert (device.filesystem_uuid, device.partition_uuid, device.label) == ("6f1c-uuid", "0a1b-part", "Disque A")


@pytest.mark.parametrize("path", ["/dev/sdb1", "/dev/disk/by-id/usb-WD"])
def test_a_device_is_found_where_it_is_mounted(computer: InventedComputer, path: str) -> None:
    computer.plug_in_usb("/media/kine/Mon disque")
    computer.link("/dev/disk/by-id/usb-WD", "../../sdb1")
    facts = facts_of(computer, path)
    assert facts.path == "/media/kine/Mon disque"
    assert facts.device is not None
    assert facts.device.usb


def test_a_device_that_is_not_mounted_is_known_all_the_same(computer: InventedComputer) -> None:
    computer.add_disk(USB_PATH, "8:16", partition="sdb1", partition_number="8:17", usb=True)
    facts = facts_of(computer, "/dev/sdb1")
    assert (facts.path, facts.mount_point, facts.top_level) == ("/dev/sdb1", "", None)
    assert facts.device is not None
    assert facts.device.usb


def test_the_device_of_btrfs_is_found_by_its_source(computer: InventedComputer) -> None:
    computer.add_disk(USB_PATH, "8:16", partition="sdb1", partition_number="8:17", usb=True)
    computer.mount("40 20 0:55 /@ /media/kine/CABINET rw - btrfs /dev/sdb1 rw,subvol=/@")
    assert device_of(computer, "/media/kine/CABINET").number == "8:17"


def test_luks_on_usb_is_usb(computer: InventedComputer) -> None:
    computer.add_disk(USB_PATH, "8:16", partition="sdb1", partition_number="8:17", usb=True)
    computer.file("/sys/devices/virtual/block/dm-0/dev", "253:0\n")
    computer.link("/sys/devices/virtual/block/dm-0/slaves/sdb1", f"../../../../../{USB_PATH}/sdb1")
    computer.link("/sys/dev/block/253:0", "../../devices/virtual/block/dm-0")
    computer.mount("40 20 253:0 / /media/kine/CABINET rw - ext4 /dev/mapper/luks-1 rw")
    device = device_of(computer, "/media/kine/CABINET")
    assert (device.usb, device.disks, device.serial) == (True, ("sdb",), "575834314435")


def test_a_mirror_of_usb_and_the_internal_disk_is_not_usb(computer: InventedComputer) -> None:
    computer.add_disk(USB_PATH, "8:16", partition="sdb1", partition_number="8:17", usb=True)
    computer.file("/sys/devices/virtual/block/md0/dev", "9:0\n")
    computer.link("/sys/devices/virtual/block/md0/slaves/sdb1", "../../../../../class/block/sdb1")
    computer.link("/sys/devices/virtual/block/md0/slaves/sda2", "../../../../../class/block/sda2")
    computer.link("/sys/dev/block/9:0", "../../devices/virtual/block/md0")
    computer.mount("40 20 9:0 / /mnt/raid rw - ext4 /dev/md0 rw")
    facts = facts_of(computer, "/mnt/raid")
    assert facts.device is not None
    assert not facts.device.usb
    assert facts.on_system_disk


def test_usb_over_the_network_is_networked(computer: InventedComputer) -> None:
    path = "devices/platform/vhci_hcd.0/usb3/3-1/3-1:1.0/host7/target7:0:0/7:0:0:0/block/sdc"
    computer.add_disk(path, "8:32", partition="sdc1", partition_number="8:33", usb=True)
    computer.mount("40 20 8:33 / /media/kine/CABINET rw - ext4 /dev/sdc1 rw")
    device = device_of(computer, "/media/kine/CABINET")
    assert (device.usb, device.networked) == (True, True)


def test_a_network_block_device_is_networked(computer: InventedComputer) -> None:
    computer.file("/sys/devices/virtual/block/nbd0/dev", "43:0\n")
    computer.link("/sys/dev/block/43:0", "../../devices/virtual/block/nbd0")
    computer.mount("40 20 43:0 / /mnt/nbd rw - ext4 /dev/nbd0 rw")
    assert device_of(computer, "/mnt/nbd").networked


def test_the_image_file_of_a_loop_device_is_an_alias(computer: InventedComputer) -> None:
    computer.file("/sys/devices/virtual/block/loop0/loop/backing_file", "/home/kine/Dropbox/disk.img\n")
    computer.link("/sys/dev/block/7:0", "../../devices/virtual/block/loop0")
    computer.mount("40 20 7:0 / /mnt/image rw - ext4 /dev/loop0 rw")
    assert "/home/kine/Dropbox/disk.img" in facts_of(computer, "/mnt/image").aliases


def test_a_write_protected_mount_is_read_only(computer: InventedComputer) -> None:
    computer.plug_in_usb(options="ro")
    assert facts_of(computer, "/media/kine/CABINET").read_only


def test_what_lies_on_the_drive_is_seen(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    computer.directory("/media/kine/CABINET/KINEBACKUP")
    computer.file("/media/kine/CABINET/photo.jpg")
    facts = facts_of(computer, "/media/kine/CABINET")
    assert (facts.top_level, facts.repository) == (("KINEBACKUP", "photo.jpg"), "directory")


def test_a_repository_that_is_a_link_is_not_a_repository(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    computer.link("/media/kine/CABINET/KINEBACKUP", "/home/kine/Dropbox")
    assert facts_of(computer, "/media/kine/CABINET").repository == "not-a-directory"


def test_a_repository_that_is_a_cloud_mount_is_seen_as_one(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    computer.mount("41 40 0:70 / /media/kine/CABINET/KINEBACKUP rw - fuse.rclone gdrive: rw")
    facts = facts_of(computer, "/media/kine/CABINET")
    assert facts.cloud is not None
    assert facts.cloud.service == "rclone"


def test_a_folder_that_does_not_exist_yet_is_judged_by_where_it_would_be(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    facts = facts_of(computer, "/media/kine/CABINET/new/folder")
    assert (facts.exists, facts.mount_point) == (False, "/media/kine/CABINET")


def test_a_remote_mount_is_not_touched(computer: InventedComputer) -> None:
    computer.mount("40 20 0:70 / /mnt/nas rw - nfs4 nas:/export rw")
    os.rmdir(computer.root / "mnt/nas")
    facts = facts_of(computer, "/mnt/nas/backup")
    assert (facts.path, facts.top_level) == ("/mnt/nas/backup", None)
    assert facts.cloud == CloudMatch("NFS", "network", "/mnt/nas/backup/KINEBACKUP", "nfs4 nas:/export", certain=True)


def test_a_file_is_not_a_directory(computer: InventedComputer) -> None:
    computer.file("/home/kine/letter.odt", "text")
    facts = facts_of(computer, "/home/kine/letter.odt")
    assert (facts.exists, facts.is_directory) == (True, False)
