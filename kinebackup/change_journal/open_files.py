"""Files that programs hold open for writing.

Owns: searching /proc, as proc(5) describes it. Does not know: what the answer is used for.

inotify reports a write through a memory map, or by the kernel itself (loop devices), only when the file is closed. So
files that are open for writing count as changed, whatever the journal recorded. Seeing the files of other users'
programs needs root and ``CAP_SYS_PTRACE``; without them such a change is noticed when the file is closed.
"""

import os
import re
from collections.abc import Iterator, Sequence
from typing import Final

# Address, rights, offset, device, inode, path: shared and writable.
_SHARED: Final = re.compile(rb"^\S+ .w.s \S+ \S+ \d+ +(/.*)$", re.MULTILINE)
_WRITABLE: Final = os.O_WRONLY | os.O_RDWR
_FLAGS: Final = re.compile(r"^flags:\s*([0-7]+)", re.MULTILINE)


def files_open_for_writing(folders: Sequence[str], proc: str = "/proc", sys: str = "/sys") -> frozenset[str]:
    """Paths of such files below these folders."""
    below = tuple(f"{folder}/" for folder in folders)
    found: set[str] = set()
    for process in _names(proc):
        if process.isdigit():
            found.update(_open_files(f"{proc}/{process}", below))
            found.update(_mapped_files(f"{proc}/{process}/maps", below))
    for name in _names(f"{sys}/block"):
        if name.startswith("loop"):
            found.update(
                path for path in _backing_file(f"{sys}/block/{name}/loop/backing_file") if path.startswith(below)
            )
    return frozenset(found)


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:  # a program that ended meanwhile, or one of another user
        return []


def _open_files(process: str, below: tuple[str, ...]) -> Iterator[str]:
    for number in _names(f"{process}/fd"):
        try:
            path = os.readlink(f"{process}/fd/{number}")
            if path.startswith(below) and _is_writable(f"{process}/fdinfo/{number}"):
                yield path
        except OSError:  # closed meanwhile
            continue


def _is_writable(info: str) -> bool:
    with open(info, encoding="ascii", errors="replace") as file:
        flags = _FLAGS.search(file.read())
    return flags is None or bool(int(flags[1], 8) & _WRITABLE)


def _mapped_files(maps: str, below: tuple[str, ...]) -> Iterator[str]:
    try:
        with open(maps, "rb") as file:
            data = file.read()
    except OSError:
        return
    for match in _SHARED.finditer(data):
        path = os.fsdecode(match[1].replace(rb"\012", b"\n"))
        if path.startswith(below):
            yield path


def _backing_file(path: str) -> Iterator[str]:
    try:
        with open(path, "rb") as file:
            yield os.fsdecode(file.read().rstrip(b"\n"))
    except OSError:  # a loop device that is not in use
        return
