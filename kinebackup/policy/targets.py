"""Where a backup may be written, where one may be restored, and which sources have already left the house.

Owns: the verdicts and their reasons. Does not know: how the facts were found (drives/ does), which repository is on
the drive (archive/ does), or how a verdict is shown.

An allow-list first: a drive is accepted only when everything about it is known and right. CNIL, guide de la sécurité
2024, fiche 17 asks for a copy that is offline; consumer clouds are no place for health data (HDS).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from kinebackup.i18n import _
from kinebackup.model import REPOSITORY_FOLDER
from kinebackup.policy.target_facts import CloudMatch, TargetFacts

RefusalReason = Literal[
    "accepted",
    "cloud",  # the service takes the files elsewhere
    "cloud-unclear",  # it may: its configuration could not be read
    "network",
    "fuse",
    "memory",
    "overlay",
    "pseudo",
    "inside-source",
    "contains-source",
    "not-found",
    "not-a-directory",
    "not-readable",
    "not-mounted",
    "mount-hidden",  # a folder of which it cannot be told on which file system it lies
    "locked",
    "no-filesystem",
    "several-filesystems",
    "system-disk",
    "not-usb",
    "not-drive-top",
    "read-only",
    "repository-is-link",
    "repository-missing",
    "other-files",
]

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


@dataclass(frozen=True, slots=True)
class TargetWarning:
    """Something worth saying that refuses nothing."""

    message: str
    hint: str
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a place may be used. ``service`` names the cloud or the kind of share, where one is the reason."""

    verdict: Literal["accepted", "refused"]
    reason: RefusalReason
    message: str
    hint: str
    service: str | None = None
    notices: tuple[TargetWarning, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.verdict == "accepted"


def judge(
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
        or Verdict("accepted", "accepted", "", "", notices=(*_weak_notices(facts), *_unclear_notices(facts)))
    )


def judge_device(facts: TargetFacts) -> Verdict | None:
    """Why this is not the disk of a dedicated USB drive, or None. Does not need the drive to be mounted."""
    device = facts.device
    if facts.on_system_disk:
        return _refused(
            "system-disk",
            _("{path} is on the disk of this computer").format(path=facts.path),
            _("plug in the backup drive; if it is plugged in, it is not mounted there"),
        )
    if device is None or not device.usb:
        return _refused(
            "not-usb",
            _("{path} is not on a USB drive").format(path=facts.path),
            _("use a USB drive that serves for backups only; --folder makes a simulated one, to try KineBackup out"),
        )
    if device.read_only or facts.read_only:
        return _refused(
            "read-only",
            _("the drive of {path} is read-only").format(path=facts.path),
            _("move its write-protection switch, or have it repaired: a failing drive turns read-only too"),
        )
    return None


def judge_erasing(facts: TargetFacts) -> Verdict | None:
    """Why the disk of this place must not be erased, or None. What is on it is not asked for: a person says that."""
    if facts.device is not None and facts.device.networked:
        return _refused_as_network_disk(facts)
    refused = judge_device(replace(facts, read_only=False))  # of a mount that is read-only, the disk may be sound
    if refused is None and facts.device is not None and len(facts.device.disks) != 1:
        message = _("{path} lies on several disks").format(path=facts.path)
        return _refused("not-usb", message, _("use a USB drive that serves for backups only"))
    return refused


def judge_source(source: str, cloud: CloudMatch | None) -> TargetWarning | None:
    """A warning where the files of a source leave the house before any backup does."""
    if cloud is None or cloud.kind == "network":
        return None
    if cloud.certain:
        message = _("{service} synchronises the source {path}: these files have already left this computer")
        hint = _("keep patient files out of synchronised folders; a host of health data must be HDS-certified")
    else:
        message = _("{service} may synchronise the source {path}: what it synchronises could not be read")
        hint = _("look at the folders listed in the settings of {service}")
    service = _named(cloud.service)
    return TargetWarning(
        message.format(service=service, path=source), hint.format(service=service), cloud.service or None
    )


def judge_restore_destination(facts: TargetFacts) -> Verdict:
    """Whether files may be restored there. A synchronised folder is refused: they would leave the house in clear.

    What could not be read is only told, for here the first promise is that the data comes back.
    """
    cloud = facts.cloud
    if cloud is not None and cloud.certain and cloud.kind == "cloud":
        return _refused(
            "cloud",
            _("{path} is synchronised by {service}: the restored files would leave this computer").format(
                path=facts.path, service=cloud.service
            ),
            _("choose a folder that no cloud synchronises"),
            service=cloud.service,
        )
    if facts.mount_kind == "pseudo":
        return _refused_as_filesystem(facts, "pseudo")
    notices = _unclear_notices(facts)
    if cloud is not None and cloud.kind == "network":
        message = _("{path} is on another computer ({service})").format(path=facts.path, service=cloud.service)
        notices = (TargetWarning(message, _("restored files are not encrypted there"), cloud.service), *notices)
    elif facts.mount_kind == "fuse":
        message = _("where {path} keeps its files cannot be told ({filesystem})").format(
            path=facts.path, filesystem=facts.filesystem
        )
        notices = (TargetWarning(message, _("make sure that it is no cloud")), *notices)
    return Verdict("accepted", "accepted", "", "", notices=notices)


def is_inside(path: str, folder: str) -> bool:
    """Whether ``path`` is ``folder`` or lies in it. Both are absolute and normalised."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _refused(reason: RefusalReason, message: str, hint: str, *, service: str | None = None) -> Verdict:
    return Verdict("refused", reason, message, hint, service)


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
        return _refused(cloud.kind, message, hint, service=cloud.service)
    if facts.device is not None and facts.device.networked:
        return _refused_as_network_disk(facts)
    match facts.mount_kind:
        case "pseudo" if not facts.exists and not simulated:
            return None  # a device that is not there, below /dev
        case "fuse" | "pseudo" as kind:
            return _refused_as_filesystem(facts, kind)
        case "local-fuse" if not simulated:
            return _refused_as_filesystem(facts, "fuse")
        case "memory" | "overlay" as kind if not simulated:
            return _refused_as_filesystem(facts, kind)
        case _:
            return None


def _refused_as_network_disk(facts: TargetFacts) -> Verdict:
    message = _("the disk of {path} is reached over the network").format(path=facts.path)
    return _refused("network", message, _("use a drive that is plugged into this computer"))


def _refused_as_filesystem(facts: TargetFacts, reason: Literal["fuse", "memory", "overlay", "pseudo"]) -> Verdict:
    """The filesystem is none to write a backup on."""
    match reason:
        case "memory":
            message = _("{path} is in memory ({filesystem}): it is lost when the computer stops")
        case "fuse":
            message = _("where {path} keeps its files cannot be told ({filesystem})")
        case "overlay" | "pseudo":
            message = _("{path} is no place for files that must last ({filesystem})")
    message = message.format(path=facts.path, filesystem=facts.filesystem)
    return _refused(reason, message, _("use a USB drive that serves for backups only"))


def _refused_for_sources(facts: TargetFacts, sources: Sequence[str]) -> Verdict | None:
    """A backup inside what it saves would grow without end, and be lost with it."""
    for place in (facts.path, *facts.aliases):
        for source in sources:
            if is_inside(place, source):
                message = _("{path} lies inside the source {source}").format(path=facts.path, source=source)
                return _refused(
                    "inside-source", message, _("a backup must lie on another disk than the files it saves")
                )
            if is_inside(source, place):
                message = _("the source {source} lies inside {path}").format(path=facts.path, source=source)
                return _refused(
                    "contains-source", message, _("a backup must lie on another disk than the files it saves")
                )
    return None


def _refused_as_absent(facts: TargetFacts, *, may_be_created: bool) -> Verdict | None:
    if facts.exists or may_be_created:
        return None
    message = _("{path} does not exist").format(path=facts.path)
    return _refused("not-found", message, _("plug in the drive, or check the path"))


def _refused_as_unmounted(facts: TargetFacts, *, may_mount: bool) -> Verdict | None:
    """A device that is mounted nowhere: whether it could be. Of a folder the mount must be known, to be judged."""
    if facts.mount_point:
        return None
    if facts.is_directory:
        return _refused(
            "mount-hidden",
            _("it cannot be told on which file system {path} lies: / is no mount point here, as in a chroot").format(
                path=facts.path
            ),
            _("run KineBackup outside the chroot, or make the folder of the chroot a mount point (mount --bind)"),
        )
    match facts.unmounted:
        case "locked":
            message = _("{path} is encrypted, and locked").format(path=facts.path)
            return _refused("locked", message, _("unlock it in the file manager first, then try again"))
        case "nothing":
            message = _("{path} holds no file system that KineBackup can use").format(path=facts.path)
            return _refused(
                "no-filesystem", message, _("prepare the drive anew, which erases it: kinebackup drive enroll --format")
            )
        case "several":
            message = _("{path} is divided into several partitions").format(path=facts.path)
            return _refused(
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
            return _refused("not-mounted", message, _("mount the drive, and give the folder where it is mounted"))


def _refused_as_place(facts: TargetFacts, *, simulated: bool) -> Verdict | None:
    """A drive is used from its top, where its reader and its LISEZMOI must be found in twenty years."""
    if not facts.mount_point:
        return None
    if facts.exists and not facts.is_directory:
        message = _("{path} is not a folder").format(path=facts.path)
        return _refused("not-a-directory", message, _("give the folder where the drive is mounted"))
    if simulated or facts.path == facts.mount_point:
        return None
    return _refused(
        "not-drive-top",
        _("{path} is a folder of the drive, not its top").format(path=facts.path),
        _("give {path}").format(path=facts.mount_point),
    )


def _refused_as_unclear(facts: TargetFacts) -> Verdict | None:
    if facts.cloud is None:
        return None
    return _refused(
        "cloud-unclear",
        _("{service} may synchronise {path}: what it synchronises could not be read").format(
            path=facts.path, service=_named(facts.cloud.service)
        ),
        _("choose a place outside {place}").format(place=facts.cloud.path),
        service=facts.cloud.service or None,
    )


def _refused_for_content(facts: TargetFacts, *, enrolled: bool, allow_existing_files: bool) -> Verdict | None:
    repository = f"{facts.path.rstrip('/')}/{REPOSITORY_FOLDER}"
    if facts.repository == "not-a-directory":
        message = _("{path} is not a folder, or leads elsewhere").format(path=repository)
        return _refused("repository-is-link", message, _("remove it: KineBackup makes this folder itself"))
    if facts.repository == "directory" or not facts.mount_point:
        return None
    if enrolled:
        message = _("{path} is missing: this is not the drive as it was left").format(path=repository)
        return _refused("repository-missing", message, _("plug in the right drive, or enroll this one anew"))
    if facts.exists and facts.top_level is None:
        message = _("{path} cannot be read").format(path=facts.path)
        return _refused("not-readable", message, _("run the command as root, or check the drive"))
    others = [name for name in facts.top_level or () if not _is_left_by_systems(name)]
    if others and not allow_existing_files:
        return _refused(
            "other-files",
            _("{path} already holds other files").format(path=facts.path),
            _("use an empty drive, or --allow-existing-files to leave them there"),
        )
    return None


def _is_left_by_systems(name: str) -> bool:
    return name.lower() in _LEFT_BY_SYSTEMS or name.startswith(".Trash-")


def _weak_notices(facts: TargetFacts) -> tuple[TargetWarning, ...]:
    if facts.filesystem not in _WEAK:
        return ()
    message = _("the file system of {path} ({filesystem}) does not last as well when the drive is pulled out")
    return (
        TargetWarning(
            message.format(path=facts.path, filesystem=facts.filesystem),
            _("ext4 is safer: --format prepares the drive anew, which erases it"),
        ),
    )


def _unclear_notices(facts: TargetFacts) -> tuple[TargetWarning, ...]:
    """One for each service: a person looks once into its settings, not once for each file that was found."""
    services = dict.fromkeys(match.service for match in facts.unclear)
    return tuple(
        TargetWarning(
            _("what {service} synchronises could not be read").format(service=_named(service)),
            _("check in its settings that it does not synchronise {path}").format(path=facts.path)
            if service
            else _("run the command as root, which can read it"),
            service or None,
        )
        for service in services
    )


def _named(service: str) -> str:
    return service or _("another user")
