"""Where a benchmark runs: a folder, or an ext4 image in memory; and how its caches are emptied between runs.

Owns: the loop device, the mount, and their removal whatever happens. Does not know: what is measured there.
A disk hides the differences between tools when it is slower than all of them; memory shows what each tool itself needs.
"""

import contextlib
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

CacheState = Literal["remounted", "dropped", "warm"]
_MEMORY = Path("/dev/shm")
_DROP_CACHES = Path("/proc/sys/vm/drop_caches")
_SPARE_BYTES = 2 << 30  # left free for the tools and for everybody else on this computer
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


class WorkAreaFailed(Exception):
    """The place asked for cannot be had."""


@dataclass(frozen=True, slots=True)
class WorkArea:
    """A directory to work in; ``device`` is the loop device where it is an image in memory."""

    directory: Path
    filesystem: str
    cache: CacheState
    device: str | None = None

    def reset_caches(self) -> None:
        """Bring the caches to the state that every run starts from."""
        if self.cache == "remounted" and self.device is not None:
            # Only this filesystem is forgotten: programs stay in memory, and other people's caches too.
            _call("fstrim", os.fspath(self.directory))
            _call("umount", os.fspath(self.directory))
            _mount(self.device, self.directory)
        elif self.cache == "dropped":
            os.sync()
            _DROP_CACHES.write_text("3")


@contextlib.contextmanager
def folder(directory: Path | None, *, warm: bool, keep: bool) -> Iterator[WorkArea]:
    """A folder of a real filesystem: below ``directory``, or a temporary one."""
    work = Path(tempfile.mkdtemp(prefix="kinebackup-bench-")) if directory is None else directory
    work.mkdir(parents=True, exist_ok=True)
    can_drop = os.geteuid() == 0 and os.access(_DROP_CACHES, os.W_OK)
    try:
        yield WorkArea(work.resolve(), filesystem_of(work), "dropped" if can_drop and not warm else "warm")
    finally:
        if directory is None and not keep:
            shutil.rmtree(work)


@contextlib.contextmanager
def ramdisk(size: str, *, warm: bool) -> Iterator[WorkArea]:
    """An ext4 filesystem of ``size`` (as 10G) on a loop device in memory; needs root."""
    if os.geteuid() != 0:
        raise WorkAreaFailed("--ramdisk needs root, to mount a loop device")
    size_bytes = parse_size(size)
    if available_memory() < size_bytes + _SPARE_BYTES:
        raise WorkAreaFailed(f"--ramdisk {size} needs that much free memory, and 2 GiB more")
    with contextlib.ExitStack() as undo:
        image_fd, image = tempfile.mkstemp(prefix="kinebackup-bench-", suffix=".img", dir=_MEMORY)
        undo.callback(os.unlink, image)
        os.truncate(image_fd, size_bytes)
        os.close(image_fd)
        # An inode for each 8 KiB, as the data sets have many small files. Their tables are not initialised: that would
        # take memory, and go on in the background (see also noinit_itable).
        options = ("-q", "-F", "-m", "0", "-i", "8192", "-E", "lazy_itable_init=1,nodiscard")
        _call("mkfs.ext4", *options, image)
        device = _call("losetup", "--find", "--show", image).strip()
        undo.callback(_call, "losetup", "--detach", device)
        mount_point = Path(tempfile.mkdtemp(prefix="kinebackup-bench-"))
        undo.callback(mount_point.rmdir)
        _mount(device, mount_point)
        undo.callback(_unmount, mount_point)
        yield WorkArea(mount_point, "ext4, on a loop device in memory", "warm" if warm else "remounted", device)


def parse_size(text: str) -> int:
    """``10G`` → bytes; units are powers of 1024."""
    matched = re.fullmatch(r"(\d+)([KMG]?)", text)
    if matched is None:
        raise WorkAreaFailed(f"not a size: {text} (write for example 10G)")
    return int(matched[1]) * _UNITS[matched[2]]


def filesystem_of(directory: Path) -> str:
    """Type of the filesystem that holds ``directory``."""
    device = os.stat(directory).st_dev
    wanted = f"{os.major(device)}:{os.minor(device)}"
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, filesystem = line.partition(" - ")
        if mount.split()[2] == wanted:
            return filesystem.split()[0]
    return "unknown"


def available_memory() -> int:
    """Bytes that could be used without swapping."""
    matched = re.search(r"^MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return int(matched[1]) * 1024 if matched else 0


def _mount(device: str, directory: Path) -> None:
    _call("mount", "-t", "ext4", "-o", "noinit_itable,nosuid,nodev", device, os.fspath(directory))


def _unmount(directory: Path) -> None:
    if os.path.ismount(directory):  # a run can be interrupted between unmounting and mounting again
        _call("umount", os.fspath(directory))


def _call(*argv: str) -> str:
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    except FileNotFoundError as error:
        raise WorkAreaFailed(f"{argv[0]} is not installed") from error
    except subprocess.CalledProcessError as error:
        raise WorkAreaFailed(f"{' '.join(argv[:2])} failed: {error.stderr.strip()}") from error
    return done.stdout
