"""The whole daemon with a drive that goes on failing: it mends without a word, and says once when to replace the drive.

Owns: the real program with a real drive, mounts and jobs, on a bus of its own. Needs root. Does not know: when a drive
is to be replaced (tests/policy/test_ageing.py).
"""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from support.cli.usb_computer import UsbComputer, make_usb_computer
from support.daemon.whole_daemon import DRIVE, Daemon, daemon

from kinebackup.state.state_db import STATE_FILE

pytestmark = [
    pytest.mark.root,
    pytest.mark.slow,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]


@pytest.fixture
def pc(tmp_path: Path) -> Iterator[UsbComputer]:
    """A computer with an enrolled drive, which is plugged in."""
    with ExitStack() as stack:
        pc = make_usb_computer(tmp_path, stack)
        pc.start_practice()
        pc.enroll_fresh(DRIVE)
        yield pc


A_MONTH_EARLIER = """
import sqlite3, sys
memory = sqlite3.connect(sys.argv[1])
month_us = 30 * 86400 * 10**6
memory.execute("UPDATE runs SET started_us = started_us - ?1, ended_us = ended_us - ?1", (month_us,))
memory.execute("UPDATE faults SET found_us = found_us - ?", (month_us,))
memory.commit()
"""


def a_month_passes(pc: UsbComputer) -> None:
    """For this computer's memory, all was a month earlier: what is done once a day or a week is due again."""
    pc.must(sys.executable, "-c", A_MONTH_EARLIER, str(pc.base / "state" / STATE_FILE))


def spoil(pc: UsbComputer, folder: str) -> None:
    """A part of each file there is zeros now."""
    pc.mount(pc.partition())
    script = 'for file in "$1"/*; do dd if=/dev/zero of="$file" bs=1 seek=99 count=64 conv=notrunc status=none; done'
    pc.must("sh", "-ec", script, "sh", f"{pc.media}/KINEBACKUP/{folder}")
    pc.must("umount", pc.media)


def told(running: Daemon) -> tuple[set[tuple[str, str]], Any]:
    """After the visit: the notices, and what is known of the drive."""
    running.await_the_end_of_the_visit()
    [drive] = json.loads(running.ask("Status"))["drives"]
    return running.notices(), drive


def test_one_bad_place_is_mended_without_a_word_and_the_next_one_makes_the_drive_one_to_be_replaced(
    pc: UsbComputer, tmp_path: Path
) -> None:
    with daemon(pc, tmp_path / "first") as running:
        assert told(running)[0] == {("safe", DRIVE)}
    a_month_passes(pc)
    spoil(pc, "index")
    with daemon(pc, tmp_path / "second") as running:
        notices, drive = told(running)
        assert (notices, drive["health"]) == ({("safe", DRIVE)}, "watch")
    a_month_passes(pc)
    spoil(pc, "snapshots")
    with daemon(pc, tmp_path / "third") as running:
        notices, drive = told(running)
        assert (notices, drive["health"]) == ({("safe", DRIVE), ("drive-ages", DRIVE)}, "replace")
