"""Drives that are no plain ext4: a LUKS container that the desktop unlocks, and exFAT; and one prepared by us."""

import pytest
from support.vm.bench import Bench
from support.vm.guest_practice import GuestPractice
from support.vm.stick import Stick

pytestmark = [pytest.mark.vm, pytest.mark.root]
pytest_plugins = ["support.vm.vm_fixtures"]

_PARTITION = "echo 'label: gpt\n,' | sfdisk --quiet /dev/sda; udevadm settle;"
# The drive's key in this scenario; cheap to derive, since the processor is emulated.
_LUKS = "printf locker > /run/locker; chown marie /run/locker;"
_LUKS_FORMAT = (
    "cryptsetup luksFormat --batch-mode --pbkdf pbkdf2 --pbkdf-force-iterations 1000 /dev/sda1 /run/locker;"
    "cryptsetup open --key-file /run/locker /dev/sda1 made; mkfs.ext4 -q /dev/mapper/made; udevadm settle;"
)
_MOUNTED_READ_ONLY = "mkdir -p /media/back; mount -o ro {node} /media/back;"


def test_a_luks_drive_is_used_once_the_desktop_has_unlocked_it_and_is_locked_again(bench: Bench) -> None:
    practice, stick = bench.practice, Stick.blank(bench.place, "LUKS", mib=256)
    _plugged_without_daemon(bench, stick)
    bench.machine.shell(_PARTITION + _LUKS + _LUKS_FORMAT, timeout_s=120)
    practice.kinebackup("drive", "enroll", "/dev/mapper/made", "--label", "LUKS", "--place", "domicile")
    bench.machine.shell("cryptsetup close made")
    bench.machine.pull(stick)
    bench.machine.shell("systemctl start kinebackup", timeout_s=120)

    since = practice.now()
    bench.machine.plug(stick)
    bench.machine.shell("until [ -b /dev/sda1 ]; do sleep 0.2; done; udevadm settle")
    assert practice.phase("LUKS") == "absent"
    bench.machine.shell(
        "runuser -u marie -- udisksctl unlock --no-user-interaction --block-device /dev/sda1 --key-file /run/locker"
    )
    kinds = practice.await_end("LUKS", since)

    assert kinds == "safe-take-home"
    assert not practice.is_mounted_anywhere("/dev/mapper/")
    assert "crypt" not in bench.machine.shell("lsblk --noheadings --output TYPE").out
    bench.machine.pull(stick)
    _plugged_without_daemon(bench, stick)
    bench.machine.shell("cryptsetup open --readonly --key-file /run/locker /dev/sda1 back")
    assert _brought_back(practice, "/dev/mapper/back") == bench.files
    bench.machine.shell("cryptsetup close back")


def test_an_exfat_drive_is_used_with_a_warning(bench: Bench) -> None:
    practice, stick = bench.practice, Stick.blank(bench.place, "EXFAT", mib=256)
    _plugged_without_daemon(bench, stick)
    bench.machine.shell(_PARTITION + "mkfs.exfat /dev/sda1 > /dev/null; udevadm settle")
    said = practice.kinebackup("drive", "enroll", "/dev/sda1", "--label", "EXFAT", "--place", "domicile")
    print(said.err)
    assert "exfat" in said.err.lower()
    bench.machine.pull(stick)
    bench.machine.shell("systemctl start kinebackup", timeout_s=120)

    assert practice.plug_and_wait(stick, "EXFAT") == "safe-take-home"

    bench.machine.pull(stick)
    _plugged_without_daemon(bench, stick)
    assert _brought_back(practice, "/dev/sda1") == bench.files


def test_a_new_stick_is_erased_by_its_model_and_saved_to_while_it_is_plugged_in(bench: Bench) -> None:
    practice, stick = bench.practice, Stick.blank(bench.place, "NEUF", mib=256)
    bench.machine.plug(stick)
    bench.machine.shell("until [ -b /dev/sda ]; do sleep 0.2; done; udevadm settle")
    since = practice.now()
    enroll = ("drive", "enroll", "/dev/sda", "--label", "NEUF", "--place", "cabinet", "--format", "--yes-erase")

    refused = practice.kinebackup(*enroll, "Another Model", check=False)
    assert refused.code == 2
    assert bench.machine.shell("blkid /dev/sda1", check=False).code == 2

    practice.kinebackup(*enroll, "QEMU QEMU HARDDISK")
    assert practice.await_end("NEUF", since) == "safe"

    bench.machine.pull(stick)
    assert stick.backups() == [bench.files]


def _plugged_without_daemon(bench: Bench, stick: Stick) -> None:
    bench.machine.shell("systemctl stop kinebackup")
    bench.machine.plug(stick)
    bench.machine.shell("until [ -b /dev/sda ]; do sleep 0.2; done; udevadm settle")


def _brought_back(practice: GuestPractice, node: str) -> dict[str, str]:
    """By recover.py as it is on the drive; in the guest, for the computer of the tests may not know such a drive."""
    shell = practice.machine.shell
    shell(_MOUNTED_READ_ONLY.format(node=node) + "rm -rf /root/back")
    shell(
        "/opt/kinebackup/bin/python3 -I /media/back/KINEBACKUP/recover.py /media/back"
        " --to /root/back --code-file /root/code",
        timeout_s=180,
    )
    sums = shell("cd /root/back; find home -type f -not -name '*.sqlite' -exec sha256sum {} +").out
    shell("umount /media/back")
    return {f"/{path}": digest for digest, path in (line.split("  ", 1) for line in sums.splitlines())}
