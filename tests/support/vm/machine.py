"""One virtual machine: switched on, sticks plugged in and pulled out, power cut.

Owns: the QEMU process and what is plugged into it. Does not know: KineBackup.
"""

import ctypes
import itertools
import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from support.vm.control_channel import Guest, GuestResult, MachineGoneError, Qmp
from support.vm.machine_image import Image
from support.vm.stick import Stick
from support.waiting import wait_until

_SLEEP_S: Final = 120.0  # all that has not been written yet is written before
_BOOT_S: Final = 180.0
_NUMBERS: Final = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Plugged:
    """A stick in the machine, by QEMU's names for its parts."""

    stick: Stick
    device: str
    nodes: tuple[str, ...]
    throttle: str = ""


@dataclass(frozen=True, slots=True)
class Plug:
    """How a stick behaves. ``write_errors_after``: every write fails from that one on; 0: none."""

    bytes_per_s: int = 0
    read_only: bool = False
    write_errors_after: int = 0
    bad_sectors: tuple[int, ...] = ()


HEALTHY: Final = Plug()


class Machine:
    """The practice's computer. Its disk lives on when its power is cut. ``clock``: what it shows when switched on."""

    def __init__(self, image: Image, place: Path) -> None:
        self._image = image
        self._place = place
        self._disk = place / "disk.qcow2"
        self._process: subprocess.Popen[bytes] | None = None
        self._qmp: Qmp | None = None
        self._guest: Guest | None = None
        self._plugged: dict[str, Plugged] = {}
        self.clock = datetime.now(UTC)
        self.console = place / "console.log"
        if not self._disk.exists():
            _quietly("qemu-img", "create", "-q", "-f", "qcow2", "-F", "raw", "-b", str(image.disk), str(self._disk))

    def switch_on(self) -> None:
        """Until the system inside answers."""
        began = time.monotonic()
        for name in ("qmp", "guest"):
            (self._place / name).unlink(missing_ok=True)
        with open(self._place / "qemu.log", "ab") as log:
            self._process = subprocess.Popen(
                self._command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log, preexec_fn=_end_with_parent
            )
        self._qmp = Qmp(self._place / "qmp")
        self._guest = Guest(self._place / "guest")
        self._guest.await_start(_BOOT_S)
        print(f"the computer has started, in {time.monotonic() - began:.0f} s")

    def _command(self) -> list[str]:
        disks = ["-drive", f"file={self._disk},if=virtio,format=qcow2,cache=writeback,discard=unmap"]
        return [
            *("qemu-system-x86_64", "-nodefaults", "-display", "none", "-no-user-config"),
            *(("-accel", "kvm") if _has_kvm() else ("-accel", "tcg,thread=multi,tb-size=512")),
            *("-cpu", "max", "-smp", "2", "-m", "2048"),
            *("-kernel", str(self._image.kernel), "-initrd", str(self._image.initrd)),
            *("-append", "root=/dev/vda rw console=ttyS0 quiet panic=-1 mitigations=off"),
            *disks,
            *("-serial", f"file:{self.console}"),
            *("-qmp", f"unix:{self._place / 'qmp'},server=on,wait=off"),
            *("-chardev", f"socket,id=guest,path={self._place / 'guest'},server=on,wait=off"),
            *("-rtc", f"base={self.clock:%Y-%m-%dT%H:%M:%S},clock=host"),
            *("-device", "virtio-serial", "-device", "virtserialport,chardev=guest,name=kinebackup.test"),
            *("-device", "qemu-xhci,id=xhci,p2=8,p3=8", "-device", "virtio-rng-pci"),
        ]

    def cut_power(self) -> None:
        """Now, whatever it is doing. Sticks keep what had reached them; they are taken out before it is switched on."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        for conversation in (self._qmp, self._guest):
            if conversation is not None:
                conversation.close()
        self._process = self._qmp = self._guest = None
        self._plugged.clear()

    def copy_disk(self, to: Path) -> None:
        """As it is now: all that the system inside has to write is written first, and it stands still meanwhile."""
        self.shell("sync; fstrim / || true")
        qmp = self._monitor()
        qmp.ask("stop")
        try:
            shutil.copyfile(self._disk, to)
        finally:
            qmp.ask("cont")

    @property
    def is_on(self) -> bool:
        """Whether QEMU runs."""
        return self._process is not None and self._process.poll() is None

    def run(self, *argv: str, given: str = "", timeout_s: float = 60, check: bool = True) -> GuestResult:
        """A command, as root."""
        return self._inside().run(list(argv), given, timeout_s=timeout_s, check=check)

    def shell(self, script: str, *, timeout_s: float = 60, check: bool = True) -> GuestResult:
        """A script, as root; it ends at the first error."""
        return self.run("bash", "-euc", script, timeout_s=timeout_s, check=check)

    def restart(self) -> None:
        """As a person does it, by the menu. What is plugged in stays so."""
        with suppress(MachineGoneError):
            self._inside().run(["systemctl", "reboot"])
        self._inside().await_start(_BOOT_S)
        print("the computer was restarted")

    def sleep_and_wake(self) -> None:
        """As when the lid is closed, which asks no inhibitor (logind.conf(5), LidSwitchIgnoreInhibited), and opened."""
        qmp = self._monitor()
        soon = "--on-active=0.1 --timer-property=AccuracySec=100ms"
        self.shell(f"systemd-run --quiet {soon} systemctl suspend --ignore-inhibitors")
        wait_until(
            lambda: qmp.ask("query-status")["status"] == "suspended",
            _SLEEP_S,
            look_again_s=0.2,
            otherwise="the computer does not fall asleep",
        )
        qmp.ask("system_wakeup")
        print("the computer has slept")

    def plug(self, stick: Stick, how: Plug = HEALTHY) -> None:
        """As a hand does it."""
        qmp, number = self._monitor(), next(_NUMBERS)
        node = f"stick-{number}"
        nodes, throttle = [node], ""
        opened: dict[str, Any] = {"driver": "file", "filename": str(stick.image), "locking": "off"}
        if how.write_errors_after or how.bad_sectors:
            opened = _failing(opened, how)
        qmp.ask("blockdev-add", {"node-name": node, "driver": "raw", "file": opened, "read-only": how.read_only})
        if how.bytes_per_s:
            throttle = f"slow-{number}"
            limits = {"bps-write": how.bytes_per_s, "bps-write-max": how.bytes_per_s, "iops-total": 0}
            qmp.ask("object-add", {"qom-type": "throttle-group", "id": throttle, "limits": limits})
            nodes.insert(0, f"{node}-slow")
            qmp.ask(
                "blockdev-add",
                {"node-name": nodes[0], "driver": "throttle", "throttle-group": throttle, "file": node}
                | ({"read-only": True} if how.read_only else {}),
            )
        device = f"usb-{number}"
        qmp.ask(
            "device_add",
            {"driver": "usb-storage", "id": device, "bus": "xhci.0", "drive": nodes[0], "serial": stick.serial}
            | {"rerror": "report", "werror": "report", "removable": True},
        )
        self._plugged[stick.serial] = Plugged(stick, device, tuple(nodes), throttle)
        print(f"plugged in: {stick.serial}" + ("" if how is HEALTHY else f" ({how})"))

    def pull(self, stick: Stick) -> None:
        """As a hand does it: without asking."""
        qmp, plugged = self._monitor(), self._plugged.pop(stick.serial)
        qmp.ask("device_del", {"id": plugged.device})
        qmp.await_event("DEVICE_DELETED", plugged.device)
        for node in plugged.nodes:
            qmp.ask("blockdev-del", {"node-name": node})
        if plugged.throttle:
            qmp.ask("object-del", {"id": plugged.throttle})
        print(f"pulled out: {stick.serial}")

    def hasten(self, stick: Stick) -> None:
        """A slow stick becomes as fast as any."""
        throttle = self._plugged[stick.serial].throttle
        limits = {"bps-write": 0, "bps-write-max": 0}
        self._monitor().ask("qom-set", {"path": f"/objects/{throttle}", "property": "limits", "value": limits})

    def pull_all(self) -> None:
        """Every stick."""
        for plugged in list(self._plugged.values()):
            self.pull(plugged.stick)

    def _inside(self) -> Guest:
        assert self._guest is not None, "the computer is switched off"
        return self._guest

    def _monitor(self) -> Qmp:
        assert self._qmp is not None, "the computer is switched off"
        return self._qmp


def _failing(opened: dict[str, Any], how: Plug) -> dict[str, Any]:
    """QEMU's blkdebug around an image: a chain of states counts the writes; or sectors that cannot be read."""
    rules: list[dict[str, Any]] = [
        {"event": "none", "iotype": "read", "errno": 5, "sector": sector} for sector in how.bad_sectors
    ]
    counting: list[dict[str, Any]] = []
    if how.write_errors_after:
        last = how.write_errors_after
        counting = [{"event": "pwritev", "state": n, "new_state": n + 1} for n in range(1, last)]
        rules.append({"event": "pwritev", "state": last, "errno": 5, "once": False})
    failing = {"driver": "blkdebug", "image": opened, "inject-error": rules}
    return failing | ({"set-state": counting} if counting else {})


def _has_kvm() -> bool:
    """/dev/kvm alone says little: it is there on computers whose processor lets no guest run."""
    flags = Path("/proc/cpuinfo").read_text("utf-8").split()
    return bool({"vmx", "svm"} & set(flags)) and os.access("/dev/kvm", os.R_OK | os.W_OK)


def _end_with_parent() -> None:
    """Tests that are killed leave no machine behind (prctl(2), PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _quietly(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
