"""The verdicts on places, each reason with the smallest set of facts that gives it.

Owns: the rules and their order. Does not know: how facts are found.
"""

from dataclasses import replace

import pytest

from kinebackup.policy.exposure import judge_restore_destination, judge_source
from kinebackup.policy.target_facts import CloudMatch, DeviceFacts, MountKind, TargetFacts, Unmounted, is_inside
from kinebackup.policy.targets import judge_device, judge_erasing, judge_target
from kinebackup.policy.verdicts import TargetWarning, Verdict

USB = DeviceFacts(
    number="8:17",
    node="/dev/sdb1",
    disks=("sdb",),
    usb=True,
    networked=False,
    removable=False,
    read_only=False,
    size_bytes=1_000,
    filesystem_uuid="6f1c",
    partition_uuid="0a1b",
    label="CABINET",
    serial="57",
    model="WD Elements",
    disk_sequence=17,
)
DRIVE = TargetFacts(
    requested="/media/kine/CABINET",
    path="/media/kine/CABINET",
    aliases=(),
    exists=True,
    is_directory=True,
    top_level=(),
    repository="absent",
    mount_point="/media/kine/CABINET",
    mount_kind="disk",
    filesystem="ext4",
    mount_source="/dev/sdb1",
    read_only=False,
    on_system_disk=False,
    device=USB,
    cloud=None,
    unclear=(),
    free_bytes=900,
    total_bytes=1_000,
)
FOLDER = replace(
    DRIVE,
    requested="/srv/essai",
    path="/srv/essai",
    mount_point="/",
    mount_source="/dev/sda2",
    on_system_disk=True,
    device=replace(USB, usb=False, disks=("sda",)),
)
DROPBOX = CloudMatch("Dropbox", "cloud", "/home/kine/Dropbox", "/home/kine/.dropbox/info.json", certain=True)
INSYNC = CloudMatch("Insync", "cloud", "/home/kine", "/home/kine/.config/Insync", certain=False)
NAS = CloudMatch("SMB", "network", "/mnt/nas", "cifs //nas/share", certain=True)


def drive(facts: TargetFacts, *sources: str, enrolled: bool = False, allow: bool = False) -> Verdict:
    return judge_target(facts, sources=sources, enrolled=enrolled, simulated=False, allow_existing_files=allow)


def folder(facts: TargetFacts, *sources: str, enrolled: bool = False, allow: bool = False) -> Verdict:
    return judge_target(facts, sources=sources, enrolled=enrolled, simulated=True, allow_existing_files=allow)


def test_an_empty_usb_drive_is_accepted() -> None:
    assert drive(DRIVE, "/home/kine") == Verdict("accepted", "accepted", "", "")


def test_an_empty_folder_is_accepted_as_a_simulation_only() -> None:
    assert folder(FOLDER, "/home/kine").accepted
    assert drive(FOLDER, "/home/kine").reason == "system-disk"


def test_a_folder_that_does_not_exist_yet_may_become_a_simulated_drive() -> None:
    missing = replace(FOLDER, exists=False, is_directory=False, top_level=None)
    assert folder(missing).accepted
    assert folder(missing, enrolled=True).reason == "not-found"
    assert drive(missing).reason == "not-found"


@pytest.mark.parametrize("facts", [DRIVE, FOLDER])
def test_a_cloud_is_refused_by_its_name(facts: TargetFacts) -> None:
    for verdict in (drive(replace(facts, cloud=DROPBOX)), folder(replace(facts, cloud=DROPBOX))):
        assert (verdict.verdict, verdict.reason, verdict.service) == ("refused", "cloud", "Dropbox")
        assert verdict.message == f"{facts.path} is in a folder that Dropbox synchronises"
        assert verdict.hint == "use a USB drive: backups of patient files never go to a cloud"


@pytest.mark.parametrize("facts", [DRIVE, FOLDER])
def test_no_permission_and_no_repository_lets_a_cloud_pass(facts: TargetFacts) -> None:
    held = replace(facts, cloud=DROPBOX, repository="directory", top_level=("KINEBACKUP",))
    assert drive(held, enrolled=True, allow=True).reason == "cloud"
    assert folder(held, enrolled=True, allow=True).reason == "cloud"


def test_what_could_not_be_read_is_not_fine() -> None:
    for verdict in (drive(replace(DRIVE, cloud=INSYNC)), folder(replace(FOLDER, cloud=INSYNC))):
        assert (verdict.reason, verdict.service) == ("cloud-unclear", "Insync")
        assert verdict.hint == "choose a place outside /home/kine"


def test_a_drive_beside_what_could_not_be_read_is_accepted_and_told() -> None:
    verdict = drive(replace(DRIVE, unclear=(INSYNC, INSYNC)))
    assert verdict.accepted
    assert verdict.warnings == (
        TargetWarning(
            "what Insync synchronises could not be read",
            "check in its settings that it does not synchronise /media/kine/CABINET",
            "Insync",
        ),
    )


def test_the_home_of_another_user_is_told_without_a_service() -> None:
    other = CloudMatch("", "cloud", "/home/remplacante", "permission denied", certain=False)
    verdict = drive(replace(DRIVE, unclear=(other,)))
    assert verdict.warnings == (
        TargetWarning(
            "what another user synchronises could not be read", "run the command as root, which can read it", None
        ),
    )
    assert folder(replace(FOLDER, cloud=other)).service is None


def test_a_network_share_is_refused_simulated_or_not() -> None:
    for verdict in (drive(replace(DRIVE, cloud=NAS)), folder(replace(FOLDER, cloud=NAS))):
        assert (verdict.reason, verdict.service) == ("network", "SMB")
        assert verdict.message.endswith("is on another computer (SMB)")


def test_a_disk_over_the_network_is_refused_simulated_or_not() -> None:
    networked = replace(DRIVE, device=replace(USB, networked=True))
    assert drive(networked).reason == "network"
    assert folder(networked).reason == "network"


@pytest.mark.parametrize(
    ("kind", "as_drive", "as_folder"),
    [
        ("disk", "accepted", "accepted"),
        ("local-fuse", "fuse", "accepted"),
        ("fuse", "fuse", "fuse"),
        ("memory", "memory", "accepted"),
        ("overlay", "overlay", "accepted"),
        ("pseudo", "pseudo", "pseudo"),
    ],
)
def test_each_kind_of_filesystem_has_its_verdict(kind: MountKind, as_drive: str, as_folder: str) -> None:
    facts = replace(DRIVE, mount_kind=kind)
    assert drive(facts).reason == as_drive
    assert folder(facts).reason == as_folder


def test_a_target_and_a_source_may_not_lie_in_each_other() -> None:
    for judged, facts in ((drive, DRIVE), (folder, FOLDER)):
        assert judged(facts, "/elsewhere", facts.path).reason == "inside-source"
        assert judged(facts, "/").reason == "inside-source"
        assert judged(facts, f"{facts.path}/patients").reason == "contains-source"
        assert judged(facts, f"{facts.path}2").accepted


def test_another_path_of_the_target_counts_as_the_target() -> None:
    facts = replace(FOLDER, aliases=("/home/kine/backup",))
    assert folder(facts, "/home/kine").reason == "inside-source"
    assert folder(facts, "/home/kine/backup/x").reason == "contains-source"
    assert folder(facts, "/home/kine/backups").accepted


def test_the_message_names_the_source() -> None:
    assert drive(DRIVE, "/media/kine").message == "/media/kine/CABINET lies inside the source /media/kine"


def test_a_disk_without_usb_ancestor_is_refused() -> None:
    assert drive(replace(DRIVE, device=replace(USB, usb=False))).reason == "not-usb"
    assert drive(replace(DRIVE, device=None)).reason == "not-usb"


def test_a_system_disk_is_refused_even_on_usb() -> None:
    assert drive(replace(DRIVE, on_system_disk=True)).reason == "system-disk"


def test_a_read_only_drive_is_refused() -> None:
    assert drive(replace(DRIVE, read_only=True)).reason == "read-only"
    assert drive(replace(DRIVE, device=replace(USB, read_only=True))).reason == "read-only"


def test_a_folder_of_a_drive_is_not_a_drive() -> None:
    verdict = drive(replace(DRIVE, path="/media/kine/CABINET/folder"))
    assert (verdict.reason, verdict.hint) == ("not-drive-top", "give /media/kine/CABINET")


def test_a_drive_that_is_not_mounted_is_judged_as_a_device_first() -> None:
    unmounted = replace(DRIVE, path="/dev/sdb1", mount_point="", mount_kind=None, is_directory=False, top_level=None)
    assert judge_device(unmounted) is None
    assert drive(unmounted).reason == "not-mounted"
    assert drive(replace(unmounted, on_system_disk=True)).reason == "system-disk"


def test_a_folder_whose_mount_is_hidden_by_a_chroot_is_refused_and_says_so() -> None:
    hidden = replace(DRIVE, path="/tmp/demo", mount_point="", mount_kind=None, filesystem="", mount_source="")
    for verdict in (folder(hidden), drive(replace(hidden, on_system_disk=False))):
        assert verdict.reason == "mount-hidden"
        assert verdict.message == (
            "it cannot be told on which file system /tmp/demo lies: / is no mount point here, as in a chroot"
        )
        assert "mount --bind" in verdict.hint


UNMOUNTED = replace(
    DRIVE,
    requested="/dev/sdb",
    path="/dev/sdb",
    mount_point="",
    mount_kind=None,
    filesystem="",
    mount_source="",
    is_directory=False,
    top_level=None,
    unmounted="filesystem",
)


def to_mount(facts: TargetFacts) -> Verdict:
    return judge_target(facts, sources=[], enrolled=False, simulated=False, allow_existing_files=False, may_mount=True)


def test_a_drive_that_may_be_mounted_is_accepted_for_what_is_known_of_it() -> None:
    assert to_mount(UNMOUNTED) == Verdict("accepted", "accepted", "", "")
    assert to_mount(replace(UNMOUNTED, unmounted="unknown")).accepted
    assert drive(UNMOUNTED).reason == "not-mounted"
    assert to_mount(replace(UNMOUNTED, unmounted="")).reason == "not-mounted"


@pytest.mark.parametrize(
    ("unmounted", "reason", "message"),
    [
        ("locked", "locked", "/dev/sdb is encrypted, and locked"),
        ("nothing", "no-filesystem", "/dev/sdb holds no file system that KineBackup can use"),
        ("several", "several-filesystems", "/dev/sdb is divided into several partitions"),
    ],
)
def test_a_drive_that_cannot_be_mounted_says_what_to_do(unmounted: Unmounted, reason: str, message: str) -> None:
    for verdict in (to_mount(replace(UNMOUNTED, unmounted=unmounted)), drive(replace(UNMOUNTED, unmounted=unmounted))):
        assert (verdict.reason, verdict.message) == (reason, message)
        assert verdict.hint


def test_what_is_on_an_internal_disk_is_not_even_spoken_of() -> None:
    internal = replace(UNMOUNTED, device=replace(USB, usb=False), unmounted="nothing")
    assert to_mount(internal).reason == "not-usb"


@pytest.mark.parametrize("filesystem", ["vfat", "exfat", "fuseblk", "ntfs3"])
def test_a_filesystem_of_other_systems_is_accepted_with_a_warning(filesystem: str) -> None:
    verdict = drive(replace(DRIVE, filesystem=filesystem))
    assert verdict.accepted
    assert [notice.message for notice in verdict.warnings] == [
        f"the file system of /media/kine/CABINET ({filesystem}) does not last as well when the drive is pulled out"
    ]
    assert drive(replace(DRIVE, filesystem="btrfs")).warnings == ()


def test_only_a_usb_disk_of_its_own_may_be_erased_whatever_is_on_it() -> None:
    for facts in (
        DRIVE,
        UNMOUNTED,
        replace(DRIVE, read_only=True),
        replace(DRIVE, top_level=("photos",)),
        replace(UNMOUNTED, unmounted="several"),
    ):
        assert judge_erasing(facts) is None
    for facts, reason in (
        (replace(DRIVE, device=None), "not-usb"),
        (replace(DRIVE, device=replace(USB, usb=False)), "not-usb"),
        (replace(DRIVE, device=replace(USB, disks=("sdb", "sdc"))), "not-usb"),
        (replace(DRIVE, on_system_disk=True), "system-disk"),
        (replace(DRIVE, device=replace(USB, read_only=True)), "read-only"),
        (replace(DRIVE, device=replace(USB, networked=True)), "network"),
    ):
        verdict = judge_erasing(facts)
        assert verdict is not None
        assert verdict.reason == reason


def test_a_device_that_is_not_there_is_not_found() -> None:
    absent = replace(
        FOLDER, path="/dev/sdx", exists=False, is_directory=False, top_level=None, mount_kind="pseudo", device=None
    )
    assert drive(absent).reason == "not-found"
    assert folder(absent).reason == "pseudo"


@pytest.mark.parametrize("facts", [DRIVE, FOLDER])
def test_a_file_is_no_target(facts: TargetFacts) -> None:
    file = replace(facts, is_directory=False, top_level=None)
    assert folder(file).reason == "not-a-directory"


@pytest.mark.parametrize("facts", [DRIVE, FOLDER])
def test_other_files_are_refused_unless_allowed(facts: TargetFacts) -> None:
    used = replace(facts, top_level=("lost+found", "photo.jpg"))
    assert folder(used).reason == "other-files"
    assert folder(used, allow=True).accepted


def test_other_files_on_a_drive_are_refused_unless_allowed() -> None:
    used = replace(DRIVE, top_level=("photos",))
    assert drive(used).reason == "other-files"
    assert drive(used).message == "/media/kine/CABINET already holds other files"
    assert drive(used, allow=True).accepted


def test_what_systems_leave_on_every_drive_is_no_other_file() -> None:
    names = (
        "$RECYCLE.BIN",
        ".Spotlight-V100",
        ".Trash-1000",
        ".Trashes",
        ".fseventsd",
        "System Volume Information",
        "lost+found",
    )
    assert drive(replace(DRIVE, top_level=names)).accepted


def test_other_files_beside_a_repository_are_left_in_peace() -> None:
    held = replace(DRIVE, top_level=("KINEBACKUP", "photos"), repository="directory")
    assert drive(held).accepted
    assert drive(held, enrolled=True).accepted


def test_an_enrolled_drive_without_its_repository_is_refused() -> None:
    assert drive(DRIVE, enrolled=True).reason == "repository-missing"
    assert folder(FOLDER, enrolled=True, allow=True).reason == "repository-missing"


def test_a_repository_that_leads_elsewhere_is_refused() -> None:
    linked = replace(DRIVE, top_level=("KINEBACKUP",), repository="not-a-directory")
    assert drive(linked, allow=True).reason == "repository-is-link"


def test_a_drive_that_cannot_be_read_is_refused() -> None:
    assert drive(replace(DRIVE, top_level=None), allow=True).reason == "not-readable"


def test_a_source_in_a_cloud_is_warned_about() -> None:
    assert judge_source("/home/kine/Dropbox/patients", DROPBOX) == TargetWarning(
        "Dropbox synchronises the source /home/kine/Dropbox/patients: these files have already left this computer",
        "keep patient files out of synchronised folders; a host of health data must be HDS-certified",
        "Dropbox",
    )


def test_a_source_that_may_be_in_a_cloud_is_to_be_checked() -> None:
    notice = judge_source("/home/kine/patients", INSYNC)
    assert notice is not None
    assert notice.message == (
        "Insync may synchronise the source /home/kine/patients: what it synchronises could not be read"
    )


def test_a_source_on_a_share_or_on_the_disk_is_fine() -> None:
    assert judge_source("/mnt/nas/patients", NAS) is None
    assert judge_source("/srv/patients", None) is None


def test_a_restore_into_a_cloud_is_refused() -> None:
    verdict = judge_restore_destination(replace(FOLDER, cloud=DROPBOX))
    assert (verdict.verdict, verdict.reason, verdict.service) == ("refused", "cloud", "Dropbox")


@pytest.mark.parametrize("facts", [DRIVE, FOLDER, replace(FOLDER, exists=False), replace(FOLDER, mount_kind="memory")])
def test_a_restore_anywhere_else_is_accepted(facts: TargetFacts) -> None:
    assert judge_restore_destination(facts) == Verdict("accepted", "accepted", "", "")


@pytest.mark.parametrize("facts", [replace(FOLDER, cloud=NAS), replace(FOLDER, mount_kind="fuse")])
def test_a_restore_out_of_this_computer_is_accepted_and_told(facts: TargetFacts) -> None:
    verdict = judge_restore_destination(facts)
    assert verdict.accepted
    assert len(verdict.warnings) == 1


def test_a_restore_near_what_could_not_be_read_is_accepted_and_told() -> None:
    verdict = judge_restore_destination(replace(FOLDER, cloud=INSYNC, unclear=(INSYNC,)))
    assert verdict.accepted
    assert [notice.service for notice in verdict.warnings] == ["Insync"]


def test_a_restore_into_proc_is_refused() -> None:
    assert judge_restore_destination(replace(FOLDER, mount_kind="pseudo")).reason == "pseudo"


@pytest.mark.parametrize(
    ("path", "place", "inside"),
    [
        ("/a", "/a", True),
        ("/a/b", "/a", True),
        ("/ab", "/a", False),
        ("/a", "/a/b", False),
        ("/", "/", True),
        ("/a", "/", True),
        ("/", "/a", False),
    ],
)
def test_inside_is_by_whole_names(path: str, place: str, inside: bool) -> None:
    assert is_inside(path, place) is inside
