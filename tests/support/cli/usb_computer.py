"""A computer with a USB drive, for tests of the real program as root: everything is real but the bus.

Owns: a mount namespace in which sysfs says that loop devices hang on USB, with an /etc of its own; what it needs is
undone with it. Does not know: what is expected.

Loop devices are disks of ``/sys/devices/virtual/block``. An overlay gives that directory what a USB device has: a
``subsystem`` link that ends in "usb", and a serial number. No line of the program knows of this.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest
from support.cli.computer import PASSPHRASE, PROGRAM, Ran

SERIAL = "575834314435"
MODEL = "KINE Stick 64"

_SETUP = """
set -e
mount -t tmpfs -o mode=0755 tmpfs "$BASE"
cd "$BASE"
mkdir -p usb etc work run media real Patients
mount --bind /sys/devices/virtual/block real
ln -s /sys/bus/usb usb/subsystem
echo "$SERIAL" > usb/serial
for name in $DISKS; do
    mkdir -p usb/$name/device
    echo "KINE    " > usb/$name/device/vendor
    echo "Stick 64 " > usb/$name/device/model
done
mount -t overlay overlay -o lowerdir="$BASE/usb:/sys/devices/virtual/block" /sys/devices/virtual/block
mount -t overlay overlay -o lowerdir=/etc,upperdir="$BASE/etc",workdir="$BASE/work" /etc
mkdir -p /etc/kinebackup /etc/udev/rules.d
{
    echo '[practice]'; echo 'language = "en"'; echo '[paths]'
    for name in state cache run; do echo "$name = \\"$BASE/$name\\"" | sed 's/^run/runtime/'; done
    echo '[[sources]]'; echo "path = \\"$BASE/Patients\\""
} > /etc/kinebackup/config.toml
echo Dupont > Patients/dossier.txt
echo "$PASSPHRASE" > phrase.txt
echo ready
exec sleep infinity
"""


@dataclass(frozen=True, slots=True)
class UsbComputer:
    """``disks`` are nodes of USB disks, without anything on them; all paths are as the namespace sees them."""

    base: Path
    pid: int
    disks: tuple[str, ...]

    def run(self, *arguments: str) -> Ran:
        """The program, to its end; nobody is there to answer."""
        return self.shell(str(PROGRAM), *arguments)

    def run_at_terminal(self, typed: str, *arguments: str) -> Ran:
        """The program, with somebody who types that line; ``err`` is what the terminal shows."""
        ours, theirs = os.openpty()
        with open(ours, "r+b", buffering=0) as terminal:
            terminal.write(typed.encode() + b"\n")
            program = subprocess.Popen(
                self._command(str(PROGRAM), *arguments),
                stdin=theirs,
                stdout=subprocess.PIPE,
                stderr=theirs,
                env=self._env(),
            )
            os.close(theirs)
            out, _nothing = program.communicate(timeout=180)
            shown = os.read(ours, 65536).decode()
        return Ran(program.returncode, out.decode(), shown.replace("\r\n", "\n"))

    def _command(self, *arguments: str) -> list[str]:
        return ["nsenter", "--mount", f"--target={self.pid}", "--", *arguments]

    def _env(self) -> dict[str, str]:
        return {"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "HOME": str(self.base), "LANG": "en_GB.UTF-8"}

    def shell(self, *arguments: str) -> Ran:
        """Any program there."""
        done = subprocess.run(
            self._command(*arguments),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
            env=self._env(),
        )
        return Ran(done.returncode, done.stdout, done.stderr)

    def must(self, *arguments: str) -> str:
        """A program that has to succeed; what it printed."""
        done = self.shell(*arguments)
        assert done.code == 0, (arguments, done.out, done.err)
        return done.out

    def start(self, *arguments: str, environ: dict[str, str], said: IO[bytes]) -> "subprocess.Popen[bytes]":
        """A program that goes on; what it says goes into that file."""
        command, own = self._command(*arguments), self._env() | environ
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said, env=own)

    @property
    def media(self) -> str:
        """Where the desktop mounts."""
        return str(self.base / "media")

    def mount(self, node: str) -> None:
        self.must("mount", node, self.media)

    @contextmanager
    def program_in(self, place: str) -> Iterator[None]:
        """A program, ``sleep``, that works in that folder until the end of the block."""
        work = self._command("sh", "-c", 'cd "$1" && echo here && exec sleep 600', "sh", place)
        with subprocess.Popen(work, stdout=subprocess.PIPE) as program:
            assert program.stdout is not None
            assert program.stdout.readline() == b"here\n"
            try:
                yield
            finally:
                program.kill()

    def may_be_partitioned_again(self) -> str:
        """An overlay remembers partitions that are gone: show the kernel's own directory of the first disk, which has
        no model. What is to be typed to erase it."""
        name = os.path.basename(self.disks[0])
        self.must("mount", "--bind", f"{self.base}/real/{name}", f"/sys/devices/virtual/block/{name}")
        return name

    def rule(self) -> str:
        """udev's rule file; empty where there is none."""
        return self.shell("cat", "/etc/udev/rules.d/90-kinebackup.rules").out

    def mounts(self) -> str:
        """The mount table that other programs see."""
        return self.must("cat", "/proc/self/mountinfo")

    def partition(self, number: int = 1) -> str:
        return f"{self.disks[0]}p{number}"

    def identifier(self, node: str, tag: str = "UUID") -> str:
        return self.must("blkid", "-p", "-o", "value", "-s", tag, node).strip()

    def drives(self) -> Any:
        return json.loads(self.must(str(PROGRAM), "drive", "list", "--json"))["drives"]

    def start_practice(self) -> None:
        done = self.run("init", "--passphrase-file", str(self.base / "phrase.txt"))
        assert done.code == 0, done.err

    def enroll_fresh(self, label: str = "CABINET") -> Any:
        """The first disk, erased and enrolled; the JSON document."""
        done = self.run(*fresh(self.disks[0], label), "--json")
        assert done.code == 0, done.err
        return done.json


def fresh(node: str, label: str, model: str = MODEL) -> tuple[str, ...]:
    """The command that erases a disk and enrolls it."""
    return ("drive", "enroll", node, "--label", label, "--place", "cabinet", "--format", "--yes-erase", model)


def make_usb_computer(base: Path, stack: ExitStack, *, disks: int = 1, size_mib: int = 96) -> UsbComputer:
    """Skips the test where this machine cannot do it."""
    nodes = [_loop_device(base / f"disk{number}.img", size_mib, stack) for number in range(disks)]
    corner = base / "pc"
    corner.mkdir()
    process = stack.enter_context(
        subprocess.Popen(
            ["unshare", "--mount", "--propagation", "private", "sh", "-c", _SETUP],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ
            | {
                "BASE": str(corner),
                "SERIAL": SERIAL,
                "PASSPHRASE": PASSPHRASE,
                "DISKS": " ".join(os.path.basename(node) for node in nodes),
            },
        )
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    assert process.stderr is not None
    if process.stdout.readline() != "ready\n":
        pytest.skip(f"this machine cannot mount that: {process.stderr.read().strip()}")
    return UsbComputer(corner, process.pid, tuple(nodes))


def _loop_device(image: Path, size_mib: int, stack: ExitStack) -> str:
    image.touch()
    os.truncate(image, size_mib * 2**20)
    done = subprocess.run(["losetup", "-fP", "--show", image], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"this machine cannot mount that: {done.stderr.strip()}")
    node = done.stdout.strip()
    stack.callback(subprocess.run, ["losetup", "--detach", node], check=True)
    return node
