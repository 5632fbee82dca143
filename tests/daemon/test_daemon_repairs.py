"""The whole daemon with two drives plugged in: what one has lost comes from the other, and nobody is asked for it.

Owns: the real program with real drives, mounts and jobs, on a bus of its own. Needs root. Does not know: when a repair
is planned (decide/test_lending.py), or how parts are brought back (tests/engine/repair).
"""

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.bus.private_bus import private_bus
from support.cli.computer import PROGRAM
from support.cli.usb_computer import UsbComputer, fresh, make_usb_computer
from support.waiting import wait_until

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]

# The middle of the pack of contents, and each parity file: beyond what the drive heals by itself. Lists stay sound: the
# other drive has others, for what lies beside the sources changed between the two backups.
_DAMAGE = """
cd "$1/KINEBACKUP"
find parity -name '*.xor' -delete
for pack in $(find packs -type f -size +200k); do
    size=$(stat -c %s "$pack")
    dd if=/dev/zero of="$pack" bs=1 seek=$((size / 2)) count=16 conv=notrunc 2>/dev/null
done
"""


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[UsbComputer]:
    """A computer with two enrolled drives, which are plugged in and have been saved to."""
    with ExitStack() as stack:
        pc = make_usb_computer(tmp_path, stack, disks=2)
        pc.start_practice()
        for node, label in zip(pc.disks, ("CABINET", "DOMICILE"), strict=True):
            assert pc.run(*fresh(node, label)).code == 0
        pc.must(
            "sh",
            "-c",
            'head -c 300000 /dev/urandom > "$1/Patients/clos.bin"; cp "$1/Patients/clos.bin" "$1/clos.bin"',
            "sh",
            str(pc.base),
        )
        for label in ("CABINET", "DOMICILE"):
            assert pc.run("backup", "--no-daemon", "--drive", label).code == 0
        yield pc


def results(pc: UsbComputer) -> list[tuple[str, str]]:
    jobs = json.loads(pc.must(str(PROGRAM), "drive", "show", "CABINET", "--json"))["jobs"]
    return [(each["kind"], each["result"]) for each in jobs]


def test_a_drive_that_has_lost_something_is_repaired_when_both_are_plugged_in(pc: UsbComputer, tmp_path: Path) -> None:
    pc.must("rm", f"{pc.base}/Patients/clos.bin")  # no backup can save it again
    pc.mount(pc.partition())
    pc.must("sh", "-ec", _DAMAGE, "sh", pc.media)
    pc.must("umount", pc.media)
    assert pc.run("verify", "--full", "--drive", "CABINET").code == 14
    log = tmp_path / "daemon.log"
    with ExitStack() as stack:
        bus = stack.enter_context(private_bus())
        environ = {"DBUS_SYSTEM_BUS_ADDRESS": bus.address, "SYSTEMD_DEVICE_VERIFY_SYSFS": "0"}
        process = pc.start(str(PROGRAM), "daemon", environ=environ, said=stack.enter_context(log.open("wb")))
        stack.callback(process.kill)
        wait_until(lambda: ("repair", "ok") in results(pc), 180, look_again_s=0.5)
        process.terminate()
        assert process.wait(60) == 0, log.read_text("utf-8")
    said = log.read_text("utf-8")
    assert "drive CABINET: repair ended: good" in said
    assert "Traceback" not in said
    pc.mount(pc.partition())
    try:
        opening = ("--drive", pc.media, "--passphrase-file", str(pc.base / "phrase.txt"))
        checked = pc.run("verify", "--full", *opening)
        assert checked.code == 0, checked.out + checked.err
        back = pc.base / "back"
        found = json.loads(pc.must(str(PROGRAM), "snapshots", *opening, "--json"))["snapshots"]
        first = min(found, key=lambda each: each["time"])["id"]
        done = pc.run("restore", first, "--to", str(back), *opening)
        assert done.code == 0, done.err
    finally:
        pc.must("umount", pc.media)
    pc.must("cmp", f"{back}{pc.base}/Patients/clos.bin", f"{pc.base}/clos.bin")
