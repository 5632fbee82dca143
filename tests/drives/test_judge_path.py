"""Judging whole computers: facts and rules together, on trees of real files.

Owns: the ways in which a cloud, a source or the system disk hides behind another path. Does not know: single rules.
"""

from pathlib import Path

import pytest
from support.drives.invented_computer import InventedComputer, practice_computer

from kinebackup.drives.judge_path import judge_restore_destination_at, judge_source_at, judge_target_at
from kinebackup.drives.system import System, this_system
from kinebackup.policy.verdicts import Verdict

INFO_JSON = '{"personal": {"path": "/home/kine/Dropbox", "host": 1, "is_team": false, "subscription_type": "Basic"}}'


@pytest.fixture
def computer(tmp_path: Path) -> InventedComputer:
    return practice_computer(tmp_path)


@pytest.fixture
def with_dropbox(computer: InventedComputer) -> InventedComputer:
    computer.file("/home/kine/.dropbox/info.json", INFO_JSON)
    computer.directory("/home/kine/Dropbox")
    return computer


def as_drive(computer: InventedComputer, path: str, *sources: str, enrolled: bool = False) -> Verdict:
    return judge_target_at(
        path,
        sources=sources,
        enrolled=enrolled,
        simulated=False,
        allow_existing_files=False,
        system=computer.system,
    )


def as_folder(computer: InventedComputer, path: str, *sources: str, allow: bool = False) -> Verdict:
    return judge_target_at(
        path,
        sources=sources,
        enrolled=False,
        simulated=True,
        allow_existing_files=allow,
        system=computer.system,
    )


def test_a_usb_drive_is_accepted_by_folder_and_by_device(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    assert as_drive(computer, "/media/kine/CABINET", "/home/kine/Patients").accepted
    assert as_drive(computer, "/dev/sdb1", "/home/kine/Patients").accepted


def test_an_absent_drive_is_not_its_empty_mount_point(computer: InventedComputer) -> None:
    computer.directory("/media/kine/CABINET")
    verdict = as_drive(computer, "/media/kine/CABINET", enrolled=True)
    assert (verdict.reason, verdict.message) == ("system-disk", "/media/kine/CABINET is on the disk of this computer")


def test_a_usb_drive_that_a_client_synchronises_is_refused(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    computer.file(
        "/home/kine/.config/syncthing/config.xml",
        '<configuration version="37"><folder id="a" path="/media/kine/CABINET"></folder></configuration>',
    )
    verdict = as_drive(computer, "/media/kine/CABINET")
    assert (verdict.reason, verdict.service) == ("cloud", "Syncthing")


def test_a_usb_drive_whose_repository_alone_is_synchronised_is_refused(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    computer.directory("/media/kine/CABINET/KINEBACKUP")
    computer.file(
        "/home/kine/.config/syncthing/config.xml",
        '<configuration version="37"><folder id="a" path="/media/kine/CABINET/KINEBACKUP/"></folder></configuration>',
    )
    assert as_drive(computer, "/media/kine/CABINET").reason == "cloud"


def test_a_folder_beside_the_repository_may_be_synchronised(computer: InventedComputer) -> None:
    computer.plug_in_usb()
    computer.directory("/media/kine/CABINET/KINEBACKUP")
    computer.file("/media/kine/CABINET/Photos/.stfolder")
    assert as_drive(computer, "/media/kine/CABINET").accepted


@pytest.mark.parametrize("path", ["/home/kine/Dropbox", "/home/kine/Dropbox/a/b", "/home/kine/../kine/Dropbox/."])
def test_a_simulated_drive_in_dropbox_is_refused(with_dropbox: InventedComputer, path: str) -> None:
    verdict = as_folder(with_dropbox, path, allow=True)
    assert (verdict.reason, verdict.service) == ("cloud", "Dropbox")


def test_a_link_into_dropbox_is_refused(with_dropbox: InventedComputer) -> None:
    with_dropbox.directory("/home/kine/Dropbox/x")
    with_dropbox.link("/srv/backup", "../home/kine/Dropbox/x")
    with_dropbox.link("/srv/drive/KINEBACKUP", "/home/kine/Dropbox/x")
    assert as_folder(with_dropbox, "/srv/backup").service == "Dropbox"
    assert as_folder(with_dropbox, "/srv/drive").service == "Dropbox"


def test_a_bind_mount_of_dropbox_is_refused(with_dropbox: InventedComputer) -> None:
    with_dropbox.mount("41 20 8:2 /home/kine/Dropbox/x /srv/backup rw - ext4 /dev/sda2 rw")
    assert as_folder(with_dropbox, "/srv/backup").service == "Dropbox"


def test_an_encrypted_folder_kept_in_dropbox_is_refused(with_dropbox: InventedComputer) -> None:
    with_dropbox.mount("41 20 0:70 / /home/kine/plain rw - fuse.gocryptfs /home/kine/Dropbox/cipher rw")
    assert as_folder(with_dropbox, "/home/kine/plain").service == "Dropbox"


def test_an_encrypted_folder_kept_on_a_share_is_refused(computer: InventedComputer) -> None:
    computer.mount(
        "41 20 0:70 / /mnt/ssh rw - fuse.sshfs kine@host:/srv rw",
        "42 20 0:71 / /home/kine/plain rw - fuse.gocryptfs /mnt/ssh/cipher rw",
    )
    verdict = as_folder(computer, "/home/kine/plain")
    assert (verdict.reason, verdict.service) == ("network", "sshfs")


def test_an_image_file_kept_in_dropbox_is_refused(with_dropbox: InventedComputer) -> None:
    with_dropbox.file("/sys/devices/virtual/block/loop0/loop/backing_file", "/home/kine/Dropbox/disk.img\n")
    with_dropbox.link("/sys/dev/block/7:0", "../../devices/virtual/block/loop0")
    with_dropbox.mount("40 20 7:0 / /mnt/image rw - ext4 /dev/loop0 rw")
    assert as_folder(with_dropbox, "/mnt/image").service == "Dropbox"


def test_a_folder_beside_dropbox_is_accepted(with_dropbox: InventedComputer) -> None:
    assert as_folder(with_dropbox, "/home/kine/Dropbox2").accepted
    assert as_folder(with_dropbox, "/home/kine/essai").accepted


def test_sources_are_compared_by_where_they_really_are(computer: InventedComputer) -> None:
    computer.directory("/data/patients/essai")
    computer.link("/home/kine/Patients", "/data/patients")
    assert as_folder(computer, "/data/patients/essai", "/home/kine/Patients").reason == "inside-source"
    computer.mount("41 20 8:2 /data/patients /srv/p rw - ext4 /dev/sda2 rw")
    assert as_folder(computer, "/data/patients/essai", "/srv/p").reason == "inside-source"
    assert as_folder(computer, "/srv/p/essai", "/data/patients").reason == "inside-source"
    assert as_folder(computer, "/data", "/srv/p", allow=True).reason == "contains-source"


def test_memory_is_fine_for_a_simulation_only(computer: InventedComputer) -> None:
    computer.mount("40 20 0:70 / /dev/shm rw - tmpfs tmpfs rw")
    assert as_folder(computer, "/dev/shm/essai").accepted
    assert as_drive(computer, "/dev/shm").reason == "memory"


def test_a_source_in_dropbox_is_warned_about(with_dropbox: InventedComputer) -> None:
    (notice,) = judge_source_at("/home/kine/Dropbox/Patients", system=with_dropbox.system)
    assert notice.service == "Dropbox"


def test_a_source_that_holds_dropbox_is_warned_about(with_dropbox: InventedComputer) -> None:
    (notice,) = judge_source_at("/home/kine", system=with_dropbox.system)
    assert notice.message == (
        "Dropbox synchronises the source /home/kine/Dropbox: these files have already left this computer"
    )
    assert judge_source_at("/srv", system=with_dropbox.system) == ()


def test_a_restore_into_dropbox_is_refused(with_dropbox: InventedComputer) -> None:
    verdict = judge_restore_destination_at("/home/kine/Dropbox/new", system=with_dropbox.system)
    assert (verdict.reason, verdict.service) == ("cloud", "Dropbox")
    assert judge_restore_destination_at("/home/kine/Restauration", system=with_dropbox.system).accepted


def test_the_session_names_its_home() -> None:
    assert this_system({"HOME": "/tmp/h", "XDG_CONFIG_HOME": "/tmp/c"}) == System("/", ("/tmp/h",), ("/tmp/c",))
    assert this_system({"HOME": "", "XDG_CONFIG_HOME": "relative"}) == System("/", (), ())
