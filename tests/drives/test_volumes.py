"""Which part of a disk is meant, on computers laid out in files with udev's database.

Owns: partitions, unlocked and locked containers, disks without a table.
"""

from pathlib import Path

import pytest
from support.drives.invented_computer import USB_PATH, InventedComputer, practice_computer

from kinebackup.drives.facts import gather_facts, read_host_facts
from kinebackup.drives.volumes import choose_volume, volumes_of

DISK, PARTITION = "8:16", "8:17"


@pytest.fixture
def pc(tmp_path: Path) -> InventedComputer:
    """With /dev/sdb on USB, which has one partition, and nothing mounted."""
    computer = practice_computer(tmp_path)
    computer.add_disk(USB_PATH, DISK, partition="sdb1", partition_number=PARTITION, usb=True)
    return computer


def found_by_udev(pc: InventedComputer, number: str, usage: str, kind: str = "", uuid: str = "") -> None:
    lines = {"ID_FS_USAGE": usage, "ID_FS_TYPE": kind, "ID_FS_UUID": uuid}
    pc.file(f"/run/udev/data/b{number}", "".join(f"E:{name}={value}\n" for name, value in lines.items() if value))


def add_partition(pc: InventedComputer, number: str, name: str) -> None:
    pc.file(f"/sys/{USB_PATH}/{name}/partition", name[-1] + "\n")
    pc.file(f"/sys/{USB_PATH}/{name}/dev", f"{number}\n")
    pc.file(f"/sys/{USB_PATH}/{name}/uevent", f"DEVNAME={name}\n")
    pc.link(f"/sys/dev/block/{number}", f"../../{USB_PATH}/{name}")
    pc.link(f"/sys/class/block/{name}", f"../../{USB_PATH}/{name}")


def unlock(pc: InventedComputer, below: str) -> None:
    """/dev/dm-0 on that partition, as cryptsetup makes it."""
    path = "devices/virtual/block/dm-0"
    pc.file(f"/sys/{path}/dev", "252:0\n")
    pc.file(f"/sys/{path}/uevent", "DEVNAME=dm-0\n")
    pc.link(f"/sys/{path}/slaves/{below}", f"../../../../../{USB_PATH}/{below}")
    pc.link("/sys/dev/block/252:0", f"../../{path}")
    pc.link("/sys/class/block/dm-0", f"../../{path}")
    pc.link(f"/sys/{USB_PATH}/{below}/holders/dm-0", f"/sys/{path}")


def chosen(pc: InventedComputer, number: str = DISK) -> tuple[str, str]:
    found = choose_volume(pc.system, number)
    assert found is not None
    return found.device.node, found.unmounted


def test_a_disk_that_is_not_there_has_no_parts(pc: InventedComputer) -> None:
    assert choose_volume(pc.system, "8:99") is None
    assert volumes_of(pc.system, "8:99") == ()


def test_an_empty_partition_is_nothing(pc: InventedComputer) -> None:
    found_by_udev(pc, PARTITION, "")
    assert chosen(pc) == ("/dev/sdb", "nothing")


def test_swap_and_members_of_a_raid_are_nothing_to_back_up_to(pc: InventedComputer) -> None:
    for usage, kind in (("other", "swap"), ("raid", "LVM2_member")):
        found_by_udev(pc, PARTITION, usage, kind)
        assert chosen(pc) == ("/dev/sdb", "nothing")


def test_the_one_filesystem_of_a_disk_is_meant_by_it(pc: InventedComputer) -> None:
    found_by_udev(pc, PARTITION, "filesystem", "ext4", "6f1c-0000")
    assert chosen(pc) == ("/dev/sdb1", "filesystem")
    assert chosen(pc, PARTITION) == ("/dev/sdb1", "filesystem")


def test_a_partition_without_a_filesystem_beside_it_is_no_choice(pc: InventedComputer) -> None:
    add_partition(pc, "8:18", "sdb2")
    found_by_udev(pc, PARTITION, "")
    found_by_udev(pc, "8:18", "filesystem", "exfat")
    assert chosen(pc) == ("/dev/sdb2", "filesystem")


def test_of_two_filesystems_a_person_must_say_which(pc: InventedComputer) -> None:
    add_partition(pc, "8:18", "sdb2")
    for number in (PARTITION, "8:18"):
        found_by_udev(pc, number, "filesystem", "ext4")
    assert chosen(pc) == ("/dev/sdb", "several")
    assert chosen(pc, "8:18") == ("/dev/sdb2", "filesystem")


def test_partitions_come_in_the_order_of_their_numbers(pc: InventedComputer) -> None:
    for number, name in (("8:26", "sdb10"), ("8:18", "sdb2")):
        add_partition(pc, number, name)
    assert [volume.device.node for volume in volumes_of(pc.system, DISK)] == ["/dev/sdb1", "/dev/sdb2", "/dev/sdb10"]


def test_a_locked_container_is_told_and_an_unlocked_one_is_looked_into(pc: InventedComputer) -> None:
    found_by_udev(pc, PARTITION, "crypto", "crypto_LUKS")
    assert chosen(pc) == ("/dev/sdb1", "locked")
    unlock(pc, "sdb1")
    found_by_udev(pc, "252:0", "filesystem", "ext4", "6f1c-0000")
    assert chosen(pc) == ("/dev/dm-0", "filesystem")


def test_what_nobody_can_tell_is_unknown(pc: InventedComputer) -> None:
    assert chosen(pc) == ("/dev/sdb1", "unknown")


def test_the_facts_of_a_disk_are_those_of_the_filesystem_that_is_meant(pc: InventedComputer) -> None:
    pc.mount()
    found_by_udev(pc, PARTITION, "filesystem", "ext4", "6f1c-0000")
    facts = gather_facts("/dev/sdb", host=read_host_facts(pc.system))
    assert (facts.path, facts.mount_point, facts.unmounted) == ("/dev/sdb", "", "filesystem")
    assert facts.device is not None
    assert (facts.device.node, facts.device.filesystem_uuid, facts.device.usb) == ("/dev/sdb1", "6f1c-0000", True)


def test_a_disk_is_found_where_its_partition_is_mounted(pc: InventedComputer) -> None:
    pc.mount("40 20 8:17 / /media/kine/CABINET rw shared:9 - ext4 /dev/sdb1 rw")
    found_by_udev(pc, PARTITION, "filesystem", "ext4", "6f1c-0000")
    facts = gather_facts("/dev/sdb", host=read_host_facts(pc.system))
    assert (facts.path, facts.unmounted) == ("/media/kine/CABINET", "")


def test_an_unlocked_container_is_found_where_it_is_mounted(pc: InventedComputer) -> None:
    pc.mount("40 20 252:0 / /media/kine/COFFRE rw shared:9 - ext4 /dev/mapper/luks-6f1c rw")
    found_by_udev(pc, PARTITION, "crypto", "crypto_LUKS")
    unlock(pc, "sdb1")
    found_by_udev(pc, "252:0", "filesystem", "ext4", "6f1c-0000")
    assert gather_facts("/dev/sdb", host=read_host_facts(pc.system)).path == "/media/kine/COFFRE"
