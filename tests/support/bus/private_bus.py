"""A message bus that calls itself the system bus, with KineBackup's own policy, for the tests.

Owns: its configuration, its process, a client that is not root. Does not know: who talks on it.
"""

import asyncio
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.project import SYSTEMD

POLICY = SYSTEMD / "org.kinebackup.Daemon1.conf"
NOBODY = 65534

# The rules are those of Debian's /usr/share/dbus-1/system.conf; polkit is the real one, or a test that stands for it.
_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>system</type>
  <listen>unix:path={socket}</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus.Introspectable"/>
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>
  <policy user="root">
    <allow own="org.freedesktop.PolicyKit1"/>
  </policy>
  <include ignore_missing="yes">/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>
  <include>{policy}</include>
</busconfig>
"""


@dataclass(slots=True)
class PrivateBus:
    """A bus in a directory of its own, which every user may enter."""

    directory: Path
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def socket(self) -> Path:
        return self.directory / "socket"

    @property
    def address(self) -> str:
        return f"unix:path={self.socket}"

    def start(self) -> None:
        """Returns when clients can connect."""
        configuration = self.directory / "bus.conf"
        configuration.write_text(_CONFIGURATION.format(socket=self.socket, policy=POLICY), encoding="utf-8")
        self.process = subprocess.Popen(
            ["dbus-daemon", f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address=1"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith(b"unix:path="), "the bus did not start"

    def stop(self) -> None:
        """As a bus that is killed: every connection ends, and the socket is gone."""
        if self.process is None:
            return
        self.process.terminate()
        self.process.communicate()
        self.process = None
        self.socket.unlink(missing_ok=True)


@contextmanager
def private_bus() -> Iterator[PrivateBus]:
    """A bus that runs until the block ends."""
    directory = Path(tempfile.mkdtemp(prefix="kinebackup-bus-"))
    directory.chmod(0o755)
    bus = PrivateBus(directory)
    try:
        bus.start()
        yield bus
    finally:
        bus.stop()
        shutil.rmtree(directory)


@dataclass(frozen=True, slots=True)
class Asked:
    """What ``busctl`` said."""

    code: int
    out: str
    err: str


async def ask(bus: PrivateBus, *arguments: str, user: int = NOBODY, interactive: bool = False) -> Asked:
    """Run ``busctl call`` on the daemon's object as that user, beside the event loop."""
    return await busctl(
        bus,
        "call",
        "org.kinebackup.Daemon1",
        "/org/kinebackup/Daemon1",
        "org.kinebackup.Daemon1",
        *arguments,
        user=user,
        interactive=interactive,
    )


async def busctl(bus: PrivateBus, *arguments: str, user: int = NOBODY, interactive: bool = False) -> Asked:
    """Run ``busctl`` as that user, beside the event loop."""
    wish = f"--allow-interactive-authorization={'yes' if interactive else 'no'}"
    process = await asyncio.create_subprocess_exec(
        "busctl",
        f"--address={bus.address}",
        wish,
        *arguments,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        user=user,
        group=user,
        extra_groups=[],
        cwd="/",
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
    )
    out, err = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode is not None
    return Asked(process.returncode, out.decode(), err.decode())
