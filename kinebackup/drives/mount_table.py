"""What is mounted where.

Owns: /proc/self/mountinfo, the mount on which a path lies, the other paths of the same bytes. Does not know: devices,
clouds, or whether a place is a good one.

The format is that of proc_pid_mountinfo(5): space, tab, newline and backslash are written as octal escapes.
"""

import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from kinebackup.drives.system import System
from kinebackup.policy.target_facts import MountKind

MAX_ALIASES: Final = 64  # a filesystem that is stacked on itself has no end of them
MAX_LINKS: Final = 40  # as the kernel's own limit, path_resolution(7)

_ESCAPE: Final = re.compile(rb"\\([0-7]{3})")

_MEMORY: Final = frozenset({"tmpfs", "ramfs"})
_OVERLAY: Final = frozenset({"overlay", "aufs", "fuse.fuse-overlayfs"})
# fmt: off
_PSEUDO: Final = frozenset({
    "autofs", "binder", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs",
    "efivarfs", "fuse.lxcfs", "fuse.portal", "fusectl", "hugetlbfs", "mqueue", "nsfs", "proc", "pstore", "rpc_pipefs",
    "securityfs", "selinuxfs", "sysfs", "tracefs",
})
# fmt: on
# FUSE filesystems that keep their files in the folder, or on the device, that their source names.
_LOCAL_FUSE: Final = frozenset({"fuse.bindfs", "fuse.exfat", "fuse.ext2fs", "fuse.gocryptfs", "fuse.ntfs-3g"})
_STACKED: Final = frozenset({"ecryptfs"})


@dataclass(frozen=True, slots=True)
class Mount:
    """One line of mountinfo. Texts that are no UTF-8 keep their bytes as surrogates, as ``os.fsdecode`` does."""

    mount_id: int
    parent_id: int
    device: str  # MAJOR:MINOR of the files on it
    root: str  # the directory of the filesystem that is mounted here
    mount_point: str
    options: tuple[str, ...]  # of this mount
    filesystem: str
    source: str
    super_options: tuple[str, ...]  # of the filesystem

    @property
    def read_only(self) -> bool:
        return "ro" in self.options or "ro" in self.super_options

    @property
    def kind(self) -> MountKind:
        """What sort of filesystem it is, by its type alone; a network filesystem is recognised by clouds/."""
        kind = self.filesystem
        if kind in _MEMORY:
            return "memory"
        if kind in _OVERLAY:
            return "overlay"
        if kind in _PSEUDO:
            return "pseudo"
        if kind in _LOCAL_FUSE and self.source.startswith("/"):
            return "local-fuse"
        # fuseblk is a FUSE filesystem on a block device: ntfs-3g, exfat-fuse.
        if kind == "fuse" or kind.startswith("fuse."):
            return "fuse"
        return "disk"


@dataclass(frozen=True, slots=True)
class Resolved:
    """A path without symbolic links. ``unreached`` is the mount before which resolving stopped, untouched."""

    path: str
    unreached: Mount | None = None


@dataclass(frozen=True, slots=True)
class MountTable:
    """All mounts, in the order in which they were made."""

    mounts: tuple[Mount, ...]
    _top: Mount | None = field(init=False, repr=False)
    _points: frozenset[str] = field(init=False, repr=False)
    _children: dict[tuple[int, str], Mount] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # A frozen class sets its derived fields so; they are looked up for each part of each path.
        object.__setattr__(self, "_top", _top_mount(self.mounts))
        object.__setattr__(self, "_points", frozenset(mount.mount_point for mount in self.mounts))
        children = {(m.parent_id, m.mount_point): m for m in self.mounts if m.parent_id != m.mount_id}
        object.__setattr__(self, "_children", children)

    def of_path(self, path: str) -> Mount | None:
        """The mount on which this resolved path lies: the longest match that is not hidden under a later mount.

        The way down follows parent ids, as the kernel's does: after ``mount /a/b`` and then ``mount /a`` the first one
        is still listed and is a longer match for /a/b/c, but nothing reaches it any more.
        """
        current = self._top
        if current is None:
            return self._longest_match(path)
        for prefix in _prefixes(path):
            # Several mounts can be stacked on one place; each is the child of the one below.
            while prefix in self._points and (child := self._children.get((current.mount_id, prefix))) is not None:
                current = child
        return current

    def of_device(self, number: str, node: str) -> Mount | None:
        """Where a block device is mounted, its top directory preferred. By its node too: btrfs has its own numbers."""
        found = [m for m in self.mounts if m.device == number or m.source == node]
        return min(found, key=lambda m: m.root != "/", default=None)

    def resolve(self, system: System, path: str, is_remote: Callable[[Mount], bool]) -> Resolved:
        """The path without symbolic links, found without touching any remote mount: a dead server would hang us there.

        What does not exist is kept as it is written.
        """
        pending = _parts(path)
        current = "/"
        links = 0
        while pending:
            part = pending.pop()
            if part == "..":
                current = os.path.dirname(current)
                continue
            candidate = f"{current.rstrip('/')}/{part}"
            if candidate in self._points and (mount := self.of_path(candidate)) is not None and is_remote(mount):
                return Resolved(os.path.normpath("/".join([candidate, *reversed(pending)])), mount)
            target = _link_target(system, candidate) if links < MAX_LINKS else None
            if target is None:
                current = candidate
                continue
            links += 1
            pending += _parts(target)
            if target.startswith("/"):
                current = "/"
        return Resolved(current)

    def aliases(self, path: str) -> tuple[str, ...]:
        """The other paths of the bytes of ``path``: bind mounts, and what a stacked filesystem covers."""
        found: dict[str, None] = {path: None}
        pending = [path]
        while pending:
            for alias in self._direct_aliases(pending.pop()):
                if alias not in found and len(found) < MAX_ALIASES:
                    found[alias] = None
                    pending.append(alias)
        del found[path]
        return tuple(found)

    def _direct_aliases(self, path: str) -> Iterator[str]:
        mount = self.of_path(path)
        if mount is None:
            return
        below = _below(path, mount.mount_point)
        if below is None:
            return
        inner = _join(mount.root, below)
        for other in self.mounts:
            if other.device == mount.device and (rest := _below(inner, other.root)) is not None:
                yield _join(other.mount_point, rest)
        if mount.kind == "local-fuse" or mount.filesystem in _STACKED:
            if mount.source.startswith("/"):
                yield _join(mount.source, below)
        elif mount.filesystem == "overlay":
            for option in mount.super_options:
                if option.startswith("upperdir=/"):  # the layer that takes what is written
                    yield _join(option.removeprefix("upperdir="), below)

    def _longest_match(self, path: str) -> Mount | None:
        found: Mount | None = None
        for mount in self.mounts:
            longer = found is None or len(mount.mount_point) >= len(found.mount_point)
            if longer and _below(path, mount.mount_point) is not None:
                found = mount
        return found


def read_mounts(system: System) -> MountTable:
    """The mounts of this process's namespace. Raises OSError where /proc is not there."""
    with open(system.path("/proc/self/mountinfo"), "rb") as file:
        return parse_mountinfo(file.read())


def parse_mountinfo(data: bytes) -> MountTable:
    """The mounts that are listed. A line that is not of the form is skipped."""
    # Not splitlines: the kernel escapes a newline in a name, but not a carriage return.
    mounts = (_parse_line(line) for line in data.split(b"\n"))
    return MountTable(tuple(mount for mount in mounts if mount is not None))


def _top_mount(mounts: tuple[Mount, ...]) -> Mount | None:
    """The mount at / whose parent is not in the table: everything else hangs below it."""
    ids = {mount.mount_id for mount in mounts}
    for mount in mounts:
        if mount.mount_point == "/" and (mount.parent_id == mount.mount_id or mount.parent_id not in ids):
            return mount
    return None


def _parse_line(line: bytes) -> Mount | None:
    # Optional fields stand between the sixth field and a single hyphen.
    before, _, after = line.partition(b" - ")
    first, last = before.split(b" "), after.split(b" ")
    if len(first) < 6 or len(last) < 3 or not first[0].isdigit() or not first[1].isdigit():
        return None
    return Mount(
        mount_id=int(first[0]),
        parent_id=int(first[1]),
        device=_text(first[2]),
        root=_text(first[3]),
        mount_point=_text(first[4]),
        options=tuple(_text(option) for option in first[5].split(b",")),
        filesystem=_text(last[0]),
        source=_text(last[1]),
        super_options=tuple(_text(option) for option in last[2].split(b",")),
    )


def _text(field_bytes: bytes) -> str:
    return os.fsdecode(_ESCAPE.sub(lambda match: bytes([int(match[1], 8) & 0xFF]), field_bytes))


def _parts(path: str) -> list[str]:
    """The parts of a path, last one first."""
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _prefixes(path: str) -> Iterator[str]:
    yield "/"
    end = path.find("/", 1)
    while end != -1:
        yield path[:end]
        end = path.find("/", end + 1)
    if len(path) > 1:
        yield path


def _below(path: str, folder: str) -> str | None:
    """What follows ``folder`` in ``path``, without slash; None where the path does not lie in it."""
    if path == folder:
        return ""
    start = folder.rstrip("/") + "/"
    return path[len(start) :] if path.startswith(start) else None


def _join(folder: str, below: str) -> str:
    return f"{folder.rstrip('/')}/{below}" if below else folder


def _link_target(system: System, path: str) -> str | None:
    try:
        return os.readlink(system.path(path))
    except OSError:  # no link, nothing there, or out of reach: the path stays as it is written
        return None
