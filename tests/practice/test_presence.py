"""A known drive is found where it is mounted, by what the kernel says of it.

Owns: ``folder_of`` on a computer laid out in files, with real mount tables and sysfs.
"""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.drives.invented_computer import InventedComputer, practice_computer

from kinebackup.practice.presence import folder_of
from kinebackup.state.records import Drive

UUID = "5f0c1e1a-0000-4000-8000-000000000001"
RECORD = Drive(
    label="CABINET",
    place="cabinet",
    simulated=False,
    repository="ab" * 16,
    enrolled_at=datetime(2040, 1, 1, tzinfo=UTC),
    header_generation=1,
    fs_uuid=UUID,
    serial="575834314435",
)


@pytest.fixture
def pc(tmp_path: Path) -> InventedComputer:
    return practice_computer(tmp_path)


def with_repository(pc: InventedComputer, mount_point: str) -> None:
    pc.directory(f"{mount_point}/KINEBACKUP")


def test_a_drive_that_is_not_plugged_in_is_absent(pc: InventedComputer) -> None:
    assert folder_of(RECORD, pc.system) is None


def test_a_drive_without_a_known_file_system_is_never_found(pc: InventedComputer) -> None:
    pc.plug_in_usb()
    with_repository(pc, "/media/kine/CABINET")
    assert folder_of(replace(RECORD, fs_uuid=""), pc.system) is None


def test_a_drive_is_found_where_the_desktop_mounted_it(pc: InventedComputer) -> None:
    pc.plug_in_usb("/media/kine/MON DISQUE")
    pc.file("/run/udev/data/b8:17", f"E:ID_FS_UUID={UUID}\n")
    with_repository(pc, "/media/kine/MON DISQUE")
    assert folder_of(RECORD, pc.system) == "/media/kine/MON DISQUE"


def test_a_drive_is_found_without_udev_by_the_links_of_dev(pc: InventedComputer) -> None:
    pc.plug_in_usb()
    pc.link(f"/dev/disk/by-uuid/{UUID}", "../../sdb1")
    with_repository(pc, "/media/kine/CABINET")
    assert folder_of(RECORD, pc.system) == "/media/kine/CABINET"


def test_another_drive_in_its_place_is_not_taken_for_it(pc: InventedComputer) -> None:
    pc.plug_in_usb()
    pc.file("/run/udev/data/b8:17", "E:ID_FS_UUID=5f0c1e1a-0000-4000-8000-000000000002\n")
    with_repository(pc, "/media/kine/CABINET")
    assert folder_of(RECORD, pc.system) is None


def test_a_drive_that_was_formatted_is_absent(pc: InventedComputer) -> None:
    pc.plug_in_usb()
    pc.file("/run/udev/data/b8:17", f"E:ID_FS_UUID={UUID}\n")
    assert folder_of(RECORD, pc.system) is None


def test_a_disk_in_another_case_is_still_the_same_drive(pc: InventedComputer) -> None:
    pc.plug_in_usb()
    pc.file("/run/udev/data/b8:17", f"E:ID_FS_UUID={UUID}\n")
    with_repository(pc, "/media/kine/CABINET")
    assert folder_of(replace(RECORD, serial="of the old case"), pc.system) == "/media/kine/CABINET"


def test_a_simulated_drive_is_there_while_its_folder_is(pc: InventedComputer) -> None:
    record = replace(RECORD, simulated=True, folder="/home/kine/essai")
    assert folder_of(record, pc.system) is None
    with_repository(pc, "/home/kine/essai")
    assert folder_of(record, pc.system) == "/home/kine/essai"
