"""A file system of this test alone, of which any call on any name fails as it is told: real errors of a real mount.

Owns: as much of the kernel's FUSE protocol (version 7) as a backup asks for. Does not know: what is expected.

The program serves the mount from a process of its own: ``python failing_mount.py PLACE PLAN``. The plan is a JSON file,
read anew for each request: ``files`` are names below the root with their sizes (a size of -1: it says that it is empty,
and has no end), ``fail`` is ``[call, name, errno]`` or null.
"""

import contextlib
import ctypes
import errno
import hashlib
import json
import os
import stat
import struct
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.waiting import wait_until

CALLS = {1: "lstat", 5: "read link", 14: "open", 15: "read", 22: "read attribute", 23: "list attributes", 25: "close"}
CALLS |= {27: "open", 28: "list"}
_NO_ANSWER = {2, 36, 42}
_ATTRIBUTE = b"user.day"
_TIME_S = 1_700_000_000
_MS_NOSUID, _MS_NODEV = 2, 4


def content(name: str, size: int) -> bytes:
    """What a file of that name and size holds."""
    return hashlib.shake_256(name.encode()).digest(size)


@dataclass(frozen=True, slots=True)
class FailingMount:
    """``root`` is where it is mounted."""

    root: Path
    plan: Path
    files: dict[str, int]

    def fail(self, call: str = "", name: str = "", number: int = 0) -> None:
        """From now on; without arguments nothing fails. Names are of the root: ``""`` is the root itself."""
        text = json.dumps({"files": self.files, "fail": [call, name, number] if call else None})
        self.plan.with_suffix(".new").write_text(text, encoding="utf-8")
        self.plan.with_suffix(".new").rename(self.plan)


@contextlib.contextmanager
def failing_mount(folder: Path, files: dict[str, int]) -> Iterator[FailingMount | None]:
    """None where this machine has no FUSE."""
    mount = FailingMount(folder / "mount", folder / "plan.json", files)
    mount.root.mkdir()
    mount.fail()
    paths = os.pathsep.join(sys.path)
    server = subprocess.Popen(
        [sys.executable, __file__, mount.root, mount.plan],
        env={"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        if server.stdout.readline() != "mounted\n":
            yield None
            return
        try:
            yield mount
        finally:
            subprocess.run(["umount", "-l", mount.root], check=True)
            wait_until(lambda: server.poll() is not None)
    finally:
        server.kill()
        server.communicate()


# -- the process of the mount ------------------------------------------------------------------------------------------


class _Server:
    def __init__(self, plan: Path) -> None:
        self._plan = plan

    def serve(self, fd: int) -> None:
        while True:
            try:
                request = os.read(fd, 2**20)
            except OSError as error:
                if error.errno == errno.ENODEV:  # unmounted
                    return
                continue
            _length, opcode, unique, node, *_rest = struct.unpack_from("<IIQQIIII", request)
            if opcode in _NO_ANSWER:
                continue
            number, answer = 0, b""
            try:
                answer = self._answer(opcode, node, request[40:])
            except OSError as error:
                number = error.errno or errno.EIO
            with contextlib.suppress(OSError):
                os.write(fd, struct.pack("<IiQ", 16 + len(answer), -number, unique) + answer)

    def _answer(self, opcode: int, node: int, body: bytes) -> bytes:
        plan = json.loads(self._plan.read_text(encoding="utf-8"))
        files: dict[str, int] = plan["files"]
        names = ["", *sorted(files)]
        if opcode == 26:
            return struct.pack("<IIIIHHIIHHI28x", 7, 31, 0, 0, 12, 9, 2**17, 1, 32, 0, 0)
        name = names[node - 1]
        if opcode == 1:
            name = body[:-1].decode()
            if name not in files:
                raise OSError(errno.ENOENT, "")
        self._fail(plan["fail"], opcode, name, body)
        if opcode == 1:
            return struct.pack("<QQQQII", names.index(name) + 1, 0, 0, 0, 0, 0) + _attributes(names, name, files)
        if opcode == 3:
            return struct.pack("<QII", 0, 0, 0) + _attributes(names, name, files)
        if opcode in (14, 27):
            return struct.pack("<QII", 0, 1 if opcode == 14 else 0, 0)  # read here each time, not from memory
        if opcode == 15:
            _handle, offset, size = struct.unpack_from("<QQI", body)
            return bytes(size) if files[name] < 0 else content(name, files[name])[offset : offset + size]
        if opcode == 28:
            _handle, offset, _size = struct.unpack_from("<QQI", body)
            half = len(files) // 2
            listed = names[1 + offset : 1 + half] if offset < half else names[1 + offset :]
            return b"".join(_dirent(names.index(n) + 1, names.index(n), n.encode()) for n in listed)
        if opcode in (22, 23):
            (size,) = struct.unpack_from("<I", body)
            value = _ATTRIBUTE + b"\0" if opcode == 23 else b"first"
            if opcode == 22 and body[8:-1] != _ATTRIBUTE:
                raise OSError(errno.ENODATA, "")
            return value if size else struct.pack("<II", len(value), 0)
        if opcode in (18, 25, 29):
            return b""
        raise OSError(errno.ENOSYS, "")

    def _fail(self, wanted: list[Any] | None, opcode: int, name: str, body: bytes) -> None:
        call = CALLS.get(opcode, "")
        if opcode in (15, 28) and struct.unpack_from("<QQ", body)[1]:
            call += " on"
        if opcode == 22 and body[8:-1] != _ATTRIBUTE:
            return
        if wanted is not None and wanted[:2] == [call, name]:
            raise OSError(wanted[2], "")


def _attributes(names: list[str], name: str, files: dict[str, int]) -> bytes:
    size = max(files.get(name, 0), 0)
    mode = stat.S_IFREG | 0o644 if name else stat.S_IFDIR | 0o755
    times = (_TIME_S, _TIME_S, _TIME_S, 0, 0, 0)
    return struct.pack(
        "<QQQQQQIIIIIIIIII", names.index(name) + 1, size, -(-size // 512), *times, mode, 1, 0, 0, 0, 4096, 0
    )


def _dirent(inode: int, offset: int, name: bytes) -> bytes:
    packed = struct.pack("<QQII", inode, offset, len(name), 0) + name
    return packed.ljust(-(-len(packed) // 8) * 8, b"\0")


def main() -> None:
    place, plan = sys.argv[1:]
    fd = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={fd},rootmode=40000,user_id=0,group_id=0,allow_other".encode()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"failing", os.fsencode(place), b"fuse", _MS_NOSUID | _MS_NODEV, options):
        raise OSError(ctypes.get_errno(), "mount")
    sys.stdout.write("mounted\n")
    sys.stdout.flush()
    _Server(Path(plan)).serve(fd)


if __name__ == "__main__":
    main()
