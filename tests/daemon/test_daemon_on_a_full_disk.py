"""The whole daemon on a computer whose own disk is full: it saves to the drive, and blames the disk, not the drive.

Owns: the real program with a real drive, mounts and jobs, on a bus of its own. Needs root. Does not know: each method
of the memory (tests/state/test_own_disk.py), or the command line there (tests/cli/test_own_disk.py).
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from support.bus.private_bus import PrivateBus, private_bus
from support.cli.computer import PROGRAM
from support.cli.usb_computer import UsbComputer, make_usb_computer
from support.own_disk import SAID, TROUBLES, OwnDisk, Trouble
from support.waiting import wait_until

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]
DRIVE = "CABINET"
BLAME = ("failed", "damaged", "Traceback")


@dataclass(frozen=True, slots=True)
class Daemon:
    """One run of it. ``log``: what it writes for systemd's journal."""

    bus: PrivateBus
    log: Path

    def ask(self, question: str) -> Any:
        """What it answers on the bus; None while it is not there."""
        command = ["busctl", f"--address={self.bus.address}", "--json=short", "call", "org.kinebackup.Daemon1"]
        command += ["/org/kinebackup/Daemon1", "org.kinebackup.Daemon1", question]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        return json.loads(done.stdout)["data"][0] if done.returncode == 0 else None

    def phase(self) -> str:
        return next((each[1] for each in self.ask("Drives") or [] if each[0] == DRIVE), "not there")

    def notices(self) -> set[tuple[str, str]]:
        """Kind and drive of each."""
        return {(each[0], each[1]) for each in self.ask("Notices") or []}

    def warnings(self) -> list[str]:
        found: list[str] = json.loads(self.ask("Status"))["warnings"]
        return found

    def await_the_end_of_the_visit(self) -> None:
        wait_until(lambda: self.phase() == "safe to unplug", 120, look_again_s=0.2)


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[UsbComputer]:
    """A computer with an enrolled drive, which is plugged in. Its memory and its cache lie on one small disk."""
    with ExitStack() as stack:
        pc = make_usb_computer(tmp_path, stack)
        pc.start_practice()
        pc.enroll_fresh(DRIVE)
        for path in (pc.base / "state" / "state.db-shm", pc.base / "state" / "state.db-wal"):
            pc.must("rm", "-f", str(path))
        script = (
            'cd "$1"; mkdir -p own cache; mount -t tmpfs -o size=1m,nr_inodes=64,mode=0700 own own; '
            "mkdir own/cache; cp -a state own/state; mount --bind own/state state; mount --bind own/cache cache"
        )
        pc.must("sh", "-ec", script, "sh", str(pc.base))
        yield pc


def bring_in_trouble(pc: UsbComputer, which: Trouble) -> None:
    """As another program does that fills the disk, or a disk with an error."""
    if which == "read-only":
        for name in ("state", "cache"):
            pc.must("mount", "-o", "remount,ro,bind", str(pc.base / name))
    else:
        OwnDisk(Path(f"/proc/{pc.pid}/root{pc.base}/own")).trouble(which)


@contextmanager
def daemon(pc: UsbComputer, log: Path) -> Iterator[Daemon]:
    """The daemon from its start to its end, with the drive plugged in."""
    with ExitStack() as stack:
        bus = stack.enter_context(private_bus())
        # The USB of this computer is an overlay over sysfs, which libudev does not take for sysfs unless told so.
        environ = {"DBUS_SYSTEM_BUS_ADDRESS": bus.address, "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"}
        process = pc.start(str(PROGRAM), "daemon", environ=environ, said=stack.enter_context(log.open("wb")))
        stack.callback(process.kill)
        yield Daemon(bus, log)
        process.terminate()
        assert process.wait(20) == 0, log.read_text("utf-8")


def restored(pc: UsbComputer, name: str) -> str:
    """That file as the drive has it."""
    back = pc.base / "back"
    pc.mount(pc.partition())
    done = pc.run("restore", "latest", "--to", str(back))
    pc.must("umount", pc.media)
    assert done.code == 0, done.err
    text = pc.must("cat", f"{back}{pc.base}/Patients/{name}")
    pc.must("rm", "-r", str(back))
    return text


@pytest.mark.parametrize("which", TROUBLES)
def test_the_daemon_saves_on_a_computer_whose_disk_is_in_trouble_and_blames_the_disk(
    pc: UsbComputer, tmp_path: Path, which: Trouble
) -> None:
    bring_in_trouble(pc, which)
    for day in ("monday", "tuesday"):
        pc.must("sh", "-c", 'echo "$1" > "$2"', "sh", day, f"{pc.base}/Patients/agenda.txt")
        with daemon(pc, tmp_path / day) as running:
            running.await_the_end_of_the_visit()
            notices, warnings = running.notices(), running.warnings()
        log = (tmp_path / day).read_text("utf-8")
        assert notices == {("safe", DRIVE)}, log
        assert SAID[which] in " ".join(warnings)
        assert SAID[which] in log
        assert "backup ended: good" in log
        assert not [word for word in BLAME if word in log + " ".join(warnings)], log
        assert restored(pc, "agenda.txt") == f"{day}\n"
