"""``kinebackup drive enroll`` with real devices: mounted or not, fresh, foreign, locked, read-only, in use.

Owns: the command as root on loop devices that pass for USB drives (usb_computer.py). Needs root.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.cli.usb_computer import MODEL, SERIAL, UsbComputer, fresh, make_usb_computer

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]
UUID = "6f1c0000-0000-4000-8000-00000000abcd"


@pytest.fixture
def bare_pc(tmp_path: Path) -> Iterator[UsbComputer]:
    """A computer with one empty USB disk; KineBackup is not set up."""
    with ExitStack() as stack:
        yield make_usb_computer(tmp_path, stack)


@pytest.fixture
def pc(bare_pc: UsbComputer) -> UsbComputer:
    bare_pc.start_practice()
    return bare_pc


def enroll(node: str, *options: str, label: str = "CABINET") -> tuple[str, ...]:
    return ("drive", "enroll", node, "--label", label, "--place", "cabinet", *options)


def with_ext4(pc: UsbComputer, *options: str) -> str:
    """The whole disk as one filesystem, as many sticks are sold."""
    pc.must("mkfs.ext4", "-q", "-F", "-U", UUID, *options, pc.disks[0])
    return pc.disks[0]


# --- a drive as it is -------------------------------------------------------------------------------------------------


def test_a_drive_that_is_mounted_nowhere_is_enrolled_and_no_other_program_ever_sees_it(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    done = pc.run(*enroll(node), "--json")
    assert (done.code, done.err) == (0, "")
    assert (done.json["label"], done.json["simulated"], done.json["folder"]) == ("CABINET", False, None)
    assert node not in pc.mounts()
    assert os.path.basename(node) not in Path("/proc/self/mountinfo").read_text()
    assert pc.shell("ls", str(pc.base / "run")).out == ""
    (drive,) = pc.drives()
    assert (drive["serial"], drive["model"], drive["present"]) == (SERIAL, MODEL, False)
    shown = pc.run("drive", "show", "CABINET", "--json").json
    assert (shown["fs_uuid"], shown["jobs"]) == (UUID, [])
    pc.mount(node)
    assert set(pc.must("ls", f"{pc.media}/KINEBACKUP").split()) >= {
        "header",
        "header.1",
        "header.2",
        "LISEZMOI.txt",
        "packs",
    }
    assert pc.run("backup").code == 0


def test_a_drive_that_the_desktop_has_mounted_is_given_back_to_nobody(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.mount(node)
    done = pc.run(*enroll(node), "--json")
    assert (done.code, done.json["folder"], done.json["notices"]) == (0, None, [])
    assert node not in pc.mounts()


def test_a_drive_that_is_given_by_its_folder_stays_mounted(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.mount(node)
    done = pc.run(*enroll(pc.media), "--json")
    assert (done.code, done.json["folder"]) == (0, pc.media)
    assert f" {pc.media} " in pc.mounts()


def test_a_drive_has_ballast_that_a_prune_can_throw_off_and_lays_in_again(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.mount(node)
    assert pc.run(*enroll(pc.media)).code == 0
    size, blocks = (int(word) for word in pc.must("stat", "--format=%s %b", f"{pc.media}/KINEBACKUP/reserve").split())
    all_blocks, block_size = (int(word) for word in pc.must("stat", "-f", "--format=%b %S", pc.media).split())
    assert size == min(64 * 2**20, all_blocks * block_size // 50) > 2**20
    assert blocks > 0
    assert pc.run("backup").code == 0
    pc.must("rm", f"{pc.media}/KINEBACKUP/reserve")
    assert pc.run("prune").code == 0
    assert pc.must("stat", "--format=%s", f"{pc.media}/KINEBACKUP/reserve").split() == [str(size)]


def test_a_busy_drive_is_enrolled_and_the_program_that_keeps_it_is_told(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.mount(node)
    with pc.program_in(pc.media):
        done = pc.run(*enroll(node), "--json")
        assert (done.code, done.json["folder"]) == (0, pc.media)
        assert "sleep" in done.json["notices"][0]["message"]


def test_other_files_on_the_drive_refuse_it_unless_they_may_stay(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.mount(node)
    pc.must("touch", f"{pc.media}/vacances.jpg")
    pc.must("umount", pc.media)
    refused = pc.run(*enroll(node))
    assert refused.code == 13
    assert f"{node} already holds other files" in refused.err
    assert "--allow-existing-files" in refused.err
    assert node not in pc.mounts()
    assert pc.run(*enroll(node, "--allow-existing-files")).code == 0
    pc.mount(node)
    assert set(pc.must("ls", pc.media).split()) == {"KINEBACKUP", "lost+found", "vacances.jpg"}


def test_an_empty_disk_says_how_to_format_it(pc: UsbComputer) -> None:
    done = pc.run(*enroll(pc.disks[0]))
    assert done.code == 13
    assert "holds no file system that KineBackup can use" in done.err
    assert "kinebackup drive enroll --format" in done.err


def test_a_write_protected_drive_is_refused(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.must("blockdev", "--setro", node)
    try:
        for command in (enroll(node), fresh(node, "CABINET")):
            done = pc.run(*command)
            assert done.code == 13
            assert "read-only" in done.err
    finally:
        pc.must("blockdev", "--setrw", node)
    assert pc.identifier(node) == UUID


def test_a_locked_container_must_be_unlocked_first(pc: UsbComputer) -> None:
    phrase = str(pc.base / "phrase.txt")
    options = ["--batch-mode", "--type=luks2", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000"]
    made = pc.shell("cryptsetup", "luksFormat", *options, pc.disks[0], phrase)
    if made.code != 0:
        pytest.skip(f"this machine cannot mount that: {made.err.strip()}")
    done = pc.run(*enroll(pc.disks[0]))
    assert done.code == 13
    assert "is encrypted, and locked" in done.err
    assert "unlock it in the file manager first" in done.err


def test_exfat_is_accepted_with_a_warning(pc: UsbComputer) -> None:
    node = pc.disks[0]
    pc.must("mkfs.vfat", "-i", "12345678", node)
    if pc.shell("mount", node, pc.media).code != 0:
        pytest.skip("this machine cannot mount that: vfat")
    pc.must("umount", pc.media)
    done = pc.run(*enroll(node))
    assert done.code == 0, done.err
    assert "does not last as well when the drive is pulled out" in done.err


def test_the_disk_of_this_computer_is_refused(pc: UsbComputer) -> None:
    source = pc.must("findmnt", "--noheadings", "--output", "SOURCE", "/").strip()
    for command in (enroll(source), fresh(source, "CABINET")):
        done = pc.run(*command)
        assert done.code == 13, done.err


def test_a_disk_that_hangs_on_no_usb_is_refused_and_not_erased(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.must("umount", "/sys/devices/virtual/block")
    for command in (enroll(node), fresh(node, "CABINET", os.path.basename(node))):
        done = pc.run(*command)
        assert done.code == 13
        assert "is not on a USB drive" in done.err
    assert pc.identifier(node) == UUID


# --- a fresh drive ----------------------------------------------------------------------------------------------------


def test_a_fresh_drive_has_one_partition_with_ext4_and_is_enrolled(pc: UsbComputer) -> None:
    document = pc.enroll_fresh("CABINET")
    assert (document["folder"], document["adopted"], document["notices"]) == (None, False, [])
    node = pc.partition()
    assert pc.identifier(pc.disks[0], "PTTYPE") == "gpt"
    assert (pc.identifier(node, "TYPE"), pc.identifier(node, "LABEL")) == ("ext4", "KINEBACKUP-CABIN")
    assert pc.rule().endswith(
        f'\nSUBSYSTEM=="block", ENV{{ID_FS_UUID}}=="{pc.identifier(node)}", ENV{{UDISKS_AUTO}}="0"\n'
    )
    details = pc.must("dumpe2fs", "-h", node)
    assert "metadata_csum" in details
    assert "Reserved block count:     0\n" in details
    pc.mount(node)
    backup = pc.run("backup", "--json")
    assert (backup.code, backup.json["files_new"]) == (0, 1)
    again = pc.run(*enroll(pc.disks[0]), "--json")
    assert (again.code, again.json["adopted"], again.json["snapshots"]) == (0, True, 1)


def test_what_was_on_the_disk_is_gone(pc: UsbComputer) -> None:
    with_ext4(pc)
    pc.enroll_fresh()
    assert pc.shell("blkid", "-p", "-o", "value", "-s", "UUID", pc.disks[0]).out == ""


def test_nothing_is_erased_without_the_right_model(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    nobody = pc.run(*enroll(node, "--format"))
    assert nobody.code == 2
    assert f"confirm it with --yes-erase '{MODEL}'" in nobody.err
    wrong = pc.run(*fresh(node, "CABINET", "KINE Stick 65"))
    assert wrong.code == 2
    assert f"the model of the drive is '{MODEL}', not 'KINE Stick 65'; nothing was erased" in wrong.err
    assert pc.run(*fresh(node, "CABINET", "")).code == 2
    assert pc.run(*enroll(node, "--yes-erase", MODEL)).code == 2
    assert pc.identifier(node) == UUID
    assert pc.drives() == []
    assert pc.rule() == ""


def test_a_person_sees_what_will_be_lost_and_types_the_model(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    for typed in ("", "yes", "KINE Stick 6", "oui"):
        refused = pc.run_at_terminal(typed, *enroll(node, "--format"))
        assert refused.code == 130
        assert "nothing was changed" in refused.err
    assert pc.identifier(node) == UUID
    done = pc.run_at_terminal("kine  stick 64", *enroll(node, "--format"))
    assert done.code == 0
    assert f"ALL that is on this drive will be lost:\n  {MODEL}, 101 MB, {node}\n  serial number {SERIAL}\n" in done.err
    assert f"It holds:\n  {node}  101 MB  ext4\n" in done.err
    assert f"To erase it, type its model, {MODEL}: " in done.err
    assert done.out.startswith("The drive CABINET is ready.\nWrite CABINET on a sticker on the drive.\n")


def test_a_disk_in_use_is_not_erased(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.mount(node)
    with pc.program_in(pc.media):
        done = pc.run(*fresh(node, "CABINET"))
        assert done.code == 1
        assert "sleep" in done.err
    assert pc.identifier(node) == UUID
    assert pc.rule() == ""


def test_a_disk_that_the_desktop_has_mounted_is_unmounted_and_erased(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.mount(node)
    pc.enroll_fresh()
    assert pc.media not in pc.mounts()


def test_an_enrolled_drive_is_not_erased_unless_it_is_forgotten_first(pc: UsbComputer) -> None:
    word = pc.may_be_partitioned_again()
    assert pc.run(*fresh(pc.disks[0], "CABINET", word)).code == 0
    before = pc.identifier(pc.partition())
    done = pc.run(*fresh(pc.disks[0], "NEUF", word))
    assert done.code == 13
    assert "the drive CABINET of the practice is on" in done.err
    assert pc.identifier(pc.partition()) == before
    assert pc.run("drive", "forget", "CABINET", "--yes").code == 0
    assert pc.rule() == ""
    assert pc.run(*fresh(pc.disks[0], "NEUF", word)).code == 0
    assert pc.identifier(pc.partition()) != before


def test_a_label_that_is_taken_erases_nothing(pc: UsbComputer) -> None:
    assert pc.run("drive", "enroll", "--folder", str(pc.base / "x"), "--label", "A", "--place", "cabinet").code == 0
    node = with_ext4(pc)
    assert pc.run(*fresh(node, "A")).code == 2
    assert pc.identifier(node) == UUID


def test_a_disk_with_a_source_on_it_is_not_erased(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.must("mount", node, str(pc.base / "Patients"))
    done = pc.run(*fresh(node, "CABINET"))
    assert done.code == 13
    assert "the source" in done.err
    assert pc.identifier(node) == UUID


def test_a_drive_with_several_partitions_must_be_named_by_one_of_them(pc: UsbComputer) -> None:
    table = "label: gpt\\nsize=40MiB\\nsize=40MiB\\n"
    pc.must("sh", "-c", f"printf '{table}' | sfdisk --quiet {pc.disks[0]}; partx --update {pc.disks[0]}")
    for number in (1, 2):
        pc.must("mkfs.ext4", "-q", "-F", pc.partition(number))
    refused = pc.run(*enroll(pc.disks[0]))
    assert refused.code == 13
    assert "is divided into several partitions" in refused.err
    assert pc.run(*enroll(pc.partition(2))).code == 0


def test_before_init_nothing_is_erased(bare_pc: UsbComputer) -> None:
    node = with_ext4(bare_pc)
    assert bare_pc.run(*fresh(node, "CABINET")).code == 10
    assert bare_pc.identifier(node) == UUID


# --- the rule for the desktop -----------------------------------------------------------------------------------------


def test_the_rule_names_each_real_drive_and_no_simulated_one(pc: UsbComputer) -> None:
    assert pc.run("drive", "enroll", "--folder", str(pc.base / "x"), "--label", "A", "--place", "cabinet").code == 0
    assert pc.rule() == ""
    assert pc.run(*enroll(with_ext4(pc))).code == 0
    assert [line for line in pc.rule().splitlines() if not line.startswith("#")] == [
        f'SUBSYSTEM=="block", ENV{{ID_FS_UUID}}=="{UUID}", ENV{{UDISKS_AUTO}}="0"'
    ]
    assert pc.run("drive", "rename", "CABINET", "MAISON").code == 0
    assert UUID in pc.rule()
    assert pc.run("drive", "forget", "MAISON", "--yes").code == 0
    assert pc.rule() == ""


def test_a_computer_that_joins_a_practice_leaves_its_drive_alone_too(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.mount(node)
    assert pc.run(*enroll(pc.media)).code == 0
    pc.must("rm", "-r", str(pc.base / "state"), "/etc/udev/rules.d/90-kinebackup.rules")
    joined = pc.run("init", "--join", pc.media, "--passphrase-file", str(pc.base / "phrase.txt"), "--label", "CABINET")
    assert joined.code == 0, joined.err
    assert UUID in pc.rule()


def test_a_practice_in_another_place_leaves_the_computer_s_rules_alone(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    pc.must("mv", "/etc/kinebackup/config.toml", str(pc.base / "other.toml"))
    assert pc.run("--config", str(pc.base / "other.toml"), *enroll(node)).code == 0
    assert pc.rule() == ""


# --- check-target -----------------------------------------------------------------------------------------------------


def test_a_good_drive_is_accepted_mounted_or_not_and_known_once_it_is_enrolled(pc: UsbComputer) -> None:
    node = with_ext4(pc)
    unmounted = pc.run("check-target", node, "--json")
    assert (unmounted.code, unmounted.json["verdict"], unmounted.json["drive"]) == (0, "accepted", None)
    assert unmounted.json["facts"]["device"]["model"] == MODEL
    pc.mount(node)
    assert f"{pc.media} is a USB drive that can be enrolled" in pc.run("check-target", pc.media).out
    assert pc.run(*enroll(pc.media)).code == 0
    assert pc.run("check-target", pc.media).out == f"Accepted: {pc.media} is the drive CABINET of the practice.\n"
    assert pc.run("check-target", node, "--json").json["drive"] == "CABINET"


def test_a_source_on_the_drive_is_taken_into_account(pc: UsbComputer) -> None:
    pc.must("mount", with_ext4(pc), str(pc.base / "Patients"))
    done = pc.run("check-target", str(pc.base / "Patients"), "--json")
    assert (done.code, done.json["verdict"], done.json["reason"]) == (13, "refused", "inside-source")


def test_every_reason_for_which_a_usb_drive_is_refused(pc: UsbComputer) -> None:
    node, media = with_ext4(pc), pc.media
    pc.mount(node)

    def reason(path: str) -> str:
        done = pc.run("check-target", path, "--json")
        assert (done.code, done.json["verdict"]) == (13, "refused")
        assert done.json["message"]
        assert done.json["hint"]
        return str(done.json["reason"])

    pc.must("mkdir", f"{media}/folder")
    assert reason(f"{media}/folder") == "not-drive-top"
    assert reason(media) == "other-files"
    pc.must("rmdir", f"{media}/folder")
    pc.must("ln", "-s", "/home", f"{media}/KINEBACKUP")
    assert reason(media) == "system-disk"  # which is where the link leads
    pc.must("rm", f"{media}/KINEBACKUP")
    pc.must("touch", f"{media}/KINEBACKUP")
    assert reason(media) == "repository-is-link"
    pc.must("rm", f"{media}/KINEBACKUP")
    pc.must("touch", f"{media}/.stfolder")
    done = pc.run("check-target", media, "--json")
    assert (done.json["reason"], done.json["service"]) == ("cloud", "Syncthing")
    pc.must("rm", f"{media}/.stfolder")
    pc.must("mount", "-o", "remount,ro", media)
    assert reason(media) == "read-only"
    pc.must("mount", "-o", "remount,rw", media)
    assert pc.run(*enroll(media)).code == 0
    pc.must("rm", "-r", f"{media}/KINEBACKUP")
    assert reason(media) == "repository-missing"
    pc.must("umount", media)
    assert reason(media) == "memory"  # the empty mount point: here, a tmpfs
    pc.must("wipefs", "--all", node)
    assert reason(node) == "no-filesystem"
    pc.must("umount", "/sys/devices/virtual/block")
    assert reason(node) == "not-usb"
    assert pc.run("check-target", "/dev/kine-absent", "--json").json["reason"] == "not-found"


def test_mounts_of_other_computers_are_named(pc: UsbComputer) -> None:
    helper = "import os, sys; fd = os.open('/dev/fuse', os.O_RDWR); os.set_inheritable(fd, True); "
    mount = (
        "import ctypes; o = f'fd={fd},rootmode=40000,user_id=0,group_id=0'.encode(); "
        "r = ctypes.CDLL(None).mount(sys.argv[2].encode(), sys.argv[3].encode(), sys.argv[1].encode(), 6, o); "
        "print('mounted' if r == 0 else 'refused', flush=True); import time; time.sleep(600)"
    )
    for filesystem, source, reason, service in (
        ("fuse.sshfs", "kine@nas.example.org:/", "network", "sshfs"),
        ("fuse.rclone", "gdrive:", "cloud", "rclone"),
        ("fuse.unheard-of", "x", "fuse", None),
    ):
        enter = ["nsenter", "--mount", f"--target={pc.pid}", "--", "python3", "-c", helper + mount]
        with subprocess.Popen([*enter, filesystem, source, pc.media], stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            try:
                if server.stdout.readline() != "mounted\n":
                    pytest.skip("no FUSE here")
                done = pc.run("check-target", f"{pc.media}/x", "--json")
                assert (done.code, done.json["reason"], done.json["service"]) == (13, reason, service)
            finally:
                pc.must("umount", "-l", pc.media)
                server.kill()
