"""Run inside kinebackup.service in the place of the daemon: does the sandbox allow what is needed, and nothing else?

Owns: one line for each question, ``ok`` or ``WRONG``. Does not know: the unit.

Started by systemd, with a drop-in that replaces ``Type=`` and ``ExecStart=``. Arguments: a USB drive's partition
with ext4, a file of an ordinary user that nobody else may read, and the pid of a process of that user, which also has
``live.db`` beside that file open.
"""

import ctypes
import errno
import os
import shutil
import socket
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

_CAREFULLY = 2 | 4 | 8 | 256  # nosuid, nodev, noexec, nosymfollow


def answers(device: str, private: str, other_pid: str) -> None:
    """Ask every question."""
    must("load what the package brings", load_everything)
    must("make a callback for C (which an old libffi needs writable code for)", make_callback)
    must("derive a key by Argon2id in 256 MiB", derive)
    must("read a file of another user", lambda: Path(private).read_bytes())
    must("read it without a trace", lambda: os.close(os.open(private, os.O_RDONLY | os.O_NOATIME)))
    must("see what another user's process has open", lambda: os.readlink(f"/proc/{other_pid}/fd/0"))
    must("see the mounts of the computer", lambda: Path("/proc/1/mountinfo").read_text())
    must("copy a live database of another user", lambda: copy_database(os.path.dirname(private)))
    must("give a restored file its owner, mode and time", restore_one)
    must("write to its own folders", write_to_own_folders)
    must("use a temporary folder in memory", temporary)
    must("check a drive", lambda: subprocess.run(["/usr/sbin/e2fsck", "-n", device], check=True, stdout=-3, stderr=-3))
    must("mount a drive and write to it", lambda: mount_and_write(device))
    must("list the disks", lambda: os.listdir("/sys/class/block"))
    must("hear of devices", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 15).bind((0, 2)))
    must_not("open an Internet socket", lambda: socket.socket(socket.AF_INET))
    must_not("open an Internet socket (IPv6)", lambda: socket.socket(socket.AF_INET6))
    must_not("write beside a user's file", lambda: Path(f"{private}.new").touch())
    must_not("write to /etc", lambda: Path("/etc/kinebackup-probe").touch())
    must_not("write to /usr", lambda: Path("/usr/kinebackup-probe").touch())
    must_not("change the kernel", lambda: Path("/proc/sys/kernel/panic").write_text("0"))
    must_not("set the clock", lambda: time.clock_settime(time.CLOCK_REALTIME, time.time()))
    must_not("leave for another namespace", lambda: unshare(0x40000000))
    must_not("open a terminal or memory device", lambda: os.open("/dev/kmsg", os.O_WRONLY))


def must(question: str, action: Callable[[], object]) -> None:
    try:
        action()
        say("ok", question)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        say("WRONG", f"{question}: {type(error).__name__} {error}")


def must_not(question: str, action: Callable[[], object]) -> None:
    try:
        action()
        say("WRONG", f"could {question}")
    except OSError as error:
        say("ok", f"cannot {question} ({errno.errorcode[error.errno or 0]})")


def say(word: str, text: str) -> None:
    sys.stdout.write(f"probe: {word}: {text}\n")
    sys.stdout.flush()


def load_everything() -> None:
    import apscheduler.schedulers.asyncio
    import bitarray
    import blake3
    import cryptography.hazmat.primitives.ciphers.aead
    import dbus_fast.aio
    import msgspec
    import pyfastcdc
    import pyudev
    import watchdog.observers

    pyudev.Monitor.from_netlink(pyudev.Context()).start()
    loaded = (apscheduler, bitarray, blake3, cryptography, dbus_fast, msgspec, pyfastcdc, watchdog)
    assert all(loaded)


def make_callback() -> None:
    double = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda number: 2 * number)
    assert double(21) == 42


def derive() -> None:
    from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

    Argon2id(salt=bytes(16), length=32, iterations=1, lanes=4, memory_cost=262_144).derive(b"probe")


def copy_database(folder: str) -> None:
    """``live.db`` there is in WAL mode and open in a process of that user."""
    live = sqlite3.connect(f"file:{folder}/live.db?mode=ro", uri=True)
    copy = sqlite3.connect(":memory:")
    live.backup(copy)
    assert copy.execute("select count(*) from patients").fetchone() == (3,)


def restore_one() -> None:
    with tempfile.TemporaryDirectory() as folder:
        fd = os.open(f"{folder}/one", os.O_CREAT | os.O_RDWR, 0o600)
        os.fchown(fd, 1000, 1000)
        os.fchmod(fd, 0o2640)
        os.utime(fd, ns=(1, 1))
        found = os.fstat(fd)
        assert (found.st_uid, stat.S_IMODE(found.st_mode), found.st_mtime_ns) == (1000, 0o2640, 1), found
        os.close(fd)
        assert Path(folder, "one").read_bytes() == b""


def write_to_own_folders() -> None:
    for name in ("STATE", "CACHE", "RUNTIME"):
        folder = os.environ[f"{name}_DIRECTORY"]
        assert stat.S_IMODE(os.stat(folder).st_mode) == 0o700
        Path(folder, "probe").touch()
        Path(folder, "probe").unlink()


def temporary() -> None:
    assert tempfile.gettempdir() == "/dev/shm"
    assert os.listdir("/dev/shm") == []
    shutil.rmtree(tempfile.mkdtemp())


def mount_and_write(device: str) -> None:
    folder = f"{os.environ['RUNTIME_DIRECTORY']}/probe-drive"
    os.makedirs(folder, exist_ok=True)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(device.encode(), folder.encode(), b"ext4", _CAREFULLY, None):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    try:
        with open(f"{folder}/probe", "wb") as probe:
            probe.write(b"x")
            os.fsync(probe.fileno())
        assert folder not in Path("/proc/1/mountinfo").read_text(), "the computer sees the mount"
    finally:
        libc.umount2(folder.encode(), 0)
        os.rmdir(folder)


def unshare(flags: int) -> None:
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


if __name__ == "__main__":
    answers(*sys.argv[1:4])
    say("ok", "the end")
