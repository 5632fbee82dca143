"""The whole daemon on a computer whose own disk is full: it saves to the drive, and blames the disk, not the drive.

Owns: the real program with a real drive, mounts and jobs, on a bus of its own. Needs root. Does not know: each method
of the memory (tests/state/test_own_disk.py), or the command line there (tests/cli/test_own_disk.py).
"""

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from support.cli.usb_computer import UsbComputer, make_usb_computer
from support.daemon.whole_daemon import DRIVE, daemon
from support.own_disk import SAID, TROUBLES, OwnDisk, Trouble

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]
BLAME = ("failed", "damaged", "Traceback")


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
