"""Where a backup may be written, and which disk may be erased.

Owns: the rules and their order. Does not know: how the facts are read (drives/ does), which repository is on the
drive (engine/ does), or how a verdict is shown.

An allow-list first: a drive is accepted only when everything about it is known and right. CNIL, guide de la sécurité
2024, fiche 17 asks for a copy that is offline; consumer clouds are no place for health data (HDS).
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from kinebackup.i18n import _
from kinebackup.model import REPOSITORY_FOLDER
from kinebackup.policy.target_facts import TargetFacts, is_inside
from kinebackup.policy.verdicts import (
    TargetWarning,
    Verdict,
    cloud_name,
    refused,
    refused_as_filesystem,
    unclear_warnings,
)

# Of other systems: nothing on them survives being unplugged in the middle of a write as it does with a journal of its
# own, and some do not answer to fsync.
_WEAK: Final = frozenset({"vfat", "msdos", "exfat", "fuseblk", "ntfs", "ntfs3", "hfsplus"})

# What formatting tools and desktops put on every drive, without anyone having stored a file there.
_LEFT_BY_SYSTEMS: Final = frozenset(
    {
        "$recycle.bin",
        ".fseventsd",
        ".spotlight-v100",
        ".trashes",
        ".temporaryitems",
        ".ds_store",
        "lost+found",
        "system volume information",
    }
)


def judge_target(
    facts: TargetFacts,
    *,
    sources: Sequence[str],
    enrolled: bool,
    simulated: bool,
    allow_existing_files: bool,
    may_mount: bool = False,
) -> Verdict:
    """Whether a backup may be written there.

    ``sources`` are resolved paths, with their aliases. ``enrolled`` says that the caller knows this drive: its
    repository must then be there, for an empty folder is what an absent drive leaves behind. A ``simulated`` drive
    needs neither USB nor a disk; every other rule holds for it in full. ``may_mount``: a drive that is not mounted is
    accepted for what is known of it, and must be judged again once it is mounted.
    """
    return (
        _refused_as_elsewhere(facts, simulated=simulated)
        or _refused_for_sources(facts, sources)
        or _refused_as_absent(facts, may_be_created=simulated and not enrolled)
        or (None if simulated else judge_device(facts))
        or _refused_as_unmounted(facts, may_mount=may_mount)
        or _refused_as_place(facts, simulated=simulated)
        or _refused_as_unclear(facts)
        or _refused_for_content(facts, enrolled=enrolled, allow_existing_files=allow_existing_files)
        or Verdict("accepted", "accepted", "", "", warnings=(*_weak_warnings(facts), *unclear_warnings(facts)))
    )


def judge_device(facts: TargetFacts) -> Verdict | None:
    """Why this is not the disk of a dedicated USB drive, or None. Does not need the drive to be mounted."""
    device = facts.device
    if facts.on_system_disk:
        return refused(
            "system-disk",
            _("{path} is on the disk of this computer").format(path=facts.path),
            _("plug in the backup drive; if it is plugged in, it is not mounted there"),
        )
    if device is None or not device.usb:
        return refused(
            "not-usb",
            _("{path} is not on a USB drive").format(path=facts.path),
            _("use a USB drive that serves for backups only; --folder makes a simulated one, to try KineBackup out"),
        )
    if device.read_only or facts.read_only:
        return refused(
            "read-only",
            _("the drive of {path} is read-only").format(path=facts.path),
            _("move its write-protection switch, or have it repaired: a failing drive turns read-only too"),
        )
    return None


def judge_erasing(facts: TargetFacts) -> Verdict | None:
    """Why the disk of this place must not be erased, or None. What is on it is not asked for: a person says that."""
    if facts.device is not None and facts.device.networked:
        return _refused_as_network_disk(facts)
    verdict = judge_device(replace(facts, read_only=False))  # of a mount that is read-only, the disk may be sound
    if verdict is None and facts.device is not None and len(facts.device.disks) != 1:
        message = _("{path} lies on several disks").format(path=facts.path)
        return refused("not-usb", message, _("use a USB drive that serves for backups only"))
    return verdict


def _refused_as_elsewhere(facts: TargetFacts, *, simulated: bool) -> Verdict | None:
    """Where the bytes would leave this computer, or not last."""
    cloud = facts.cloud
    if cloud is not None and cloud.certain:
        if cloud.kind == "network":
            message = _("{path} is on another computer ({service})")
            hint = _("use a USB drive: a network share is reachable by whatever attacks this computer")
        else:
            message = _("{path} is in a folder that {service} synchronises")
            hint = _("use a USB drive: backups of patient files never go to a cloud")
        message = message.format(path=facts.path, service=cloud.service)
        return refused(cloud.kind, message, hint, service=cloud.service)
    if facts.device is not None and facts.device.networked:
        return _refused_as_network_disk(facts)
    match facts.mount_kind:
        case "pseudo" if not facts.exists and not simulated:
            return None  # a device that is not there, below /dev
        case "fuse" | "pseudo" as kind:
            return refused_as_filesystem(facts, kind)
        case "local-fuse" if not simulated:
            return refused_as_filesystem(facts, "fuse")
        case "memory" | "overlay" as kind if not simulated:
            return refused_as_filesystem(facts, kind)
        case _:
            return None


def _refused_as_network_disk(facts: TargetFacts) -> Verdict:
    message = _("the disk of {path} is reached over the network").format(path=facts.path)
    return refused("network", message, _("use a drive that is plugged into this computer"))


def _refused_for_sources(facts: TargetFacts, sources: Sequence[str]) -> Verdict | None:
    """A backup inside what it saves would grow without end, and be lost with it."""
    for place in (facts.path, *facts.aliases):
        for source in sources:
            if is_inside(place, source):
                message = _("{path} lies inside the source {source}").format(path=facts.path, source=source)
                return refused("inside-source", message, _("a backup must lie on another disk than the files it saves"))
            if is_inside(source, place):
                message = _("the source {source} lies inside {path}").format(path=facts.path, source=source)
                return refused(
                    "contains-source", message, _("a backup must lie on another disk than the files it saves")
                )
    return None


def _refused_as_absent(facts: TargetFacts, *, may_be_created: bool) -> Verdict | None:
    if facts.exists or may_be_created:
        return None
    message = _("{path} does not exist").format(path=facts.path)
    return refused("not-found", message, _("plug in the drive, or check the path"))


def _refused_as_unmounted(facts: TargetFacts, *, may_mount: bool) -> Verdict | None:
    """A device that is mounted nowhere: whether it could be. Of a folder the mount must be known, to be judged."""
    if facts.mount_point:
        return None
    if facts.is_directory:
        return refused(
            "mount-hidden",
            _("it cannot be told on which file system {path} lies: / is no mount point here, as in a chroot").format(
                path=facts.path
            ),
            _("run KineBackup outside the chroot, or make the folder of the chroot a mount point (mount --bind)"),
        )
    match facts.unmounted:
        case "locked":
            message = _("{path} is encrypted, and locked").format(path=facts.path)
            return refused("locked", message, _("unlock it in the file manager first, then try again"))
        case "nothing":
            message = _("{path} holds no file system that KineBackup can use").format(path=facts.path)
            return refused(
                "no-filesystem", message, _("prepare the drive anew, which erases it: kinebackup drive enroll --format")
            )
        case "several":
            message = _("{path} is divided into several partitions").format(path=facts.path)
            return refused(
                "several-filesystems",
                message,
                _("name one of them, for example {path}1; or let --format erase the whole drive").format(
                    path=facts.path
                ),
            )
        case "filesystem" | "unknown" if may_mount:
            return None
        case _:
            message = _("{path} is not mounted").format(path=facts.path)
            return refused("not-mounted", message, _("mount the drive, and give the folder where it is mounted"))


def _refused_as_place(facts: TargetFacts, *, simulated: bool) -> Verdict | None:
    """A drive is used from its top, where its reader and its LISEZMOI must be found in twenty years."""
    if not facts.mount_point:
        return None
    if facts.exists and not facts.is_directory:
        message = _("{path} is not a folder").format(path=facts.path)
        return refused("not-a-directory", message, _("give the folder where the drive is mounted"))
    if simulated or facts.path == facts.mount_point:
        return None
    return refused(
        "not-drive-top",
        _("{path} is a folder of the drive, not its top").format(path=facts.path),
        _("give {path}").format(path=facts.mount_point),
    )


def _refused_as_unclear(facts: TargetFacts) -> Verdict | None:
    if facts.cloud is None:
        return None
    return refused(
        "cloud-unclear",
        _("{service} may synchronise {path}: what it synchronises could not be read").format(
            path=facts.path, service=cloud_name(facts.cloud.service)
        ),
        _("choose a place outside {place}").format(place=facts.cloud.path),
        service=facts.cloud.service or None,
    )


def _refused_for_content(facts: TargetFacts, *, enrolled: bool, allow_existing_files: bool) -> Verdict | None:
    repository = f"{facts.path.rstrip('/')}/{REPOSITORY_FOLDER}"
    if facts.repository == "not-a-directory":
        message = _("{path} is not a folder, or leads elsewhere").format(path=repository)
        return refused("repository-is-link", message, _("remove it: KineBackup makes this folder itself"))
    if facts.repository == "directory" or not facts.mount_point:
        return None
    if enrolled:
        message = _("{path} is missing: this is not the drive as it was left").format(path=repository)
        return refused("repository-missing", message, _("plug in the right drive, or enroll this one anew"))
    if facts.exists and facts.top_level is None:
        message = _("{path} cannot be read").format(path=facts.path)
        return refused("not-readable", message, _("run the command as root, or check the drive"))
    others = [name for name in facts.top_level or () if not _is_left_by_systems(name)]
    if others and not allow_existing_files:
        return refused(
            "other-files",
            _("{path} already holds other files").format(path=facts.path),
            _("use an empty drive, or --allow-existing-files to leave them there"),
        )
    return None


def _is_left_by_systems(name: str) -> bool:
    return name.lower() in _LEFT_BY_SYSTEMS or name.startswith(".Trash-")


def _weak_warnings(facts: TargetFacts) -> tuple[TargetWarning, ...]:
    if facts.filesystem not in _WEAK:
        return ()
    message = _("the file system of {path} ({filesystem}) does not last as well when the drive is pulled out")
    return (
        TargetWarning(
            message.format(path=facts.path, filesystem=facts.filesystem),
            _("ext4 is safer: --format prepares the drive anew, which erases it"),
        ),
    )
