"""The verdicts on places, each reason with the smallest set of facts that gives it.

Owns: the rules and their order. Does not know: how facts are found.
"""

from dataclasses import replace

import pytest
from support.policy.target_facts import DRIVE, DROPBOX, FOLDER, INSYNC, NAS, USB

from kinebackup.policy.target_facts import CloudMatch, MountKind, TargetFacts, Unmounted, is_inside
from kinebackup.policy.targets import judge_device, judge_erasing, judge_target
from kinebackup.policy.verdicts import TargetWarning, Verdict


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
