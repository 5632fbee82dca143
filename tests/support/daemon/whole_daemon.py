"""The whole daemon, with a real drive that is plugged in, on a bus of its own.

Owns: its life, and what it answers. Needs root. Does not know: what is expected.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from support.bus.private_bus import PrivateBus, private_bus
from support.cli.computer import PROGRAM
from support.cli.usb_computer import UsbComputer
from support.waiting import wait_until

DRIVE: Final = "CABINET"


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
