"""A backup that is killed at any moment costs that backup and nothing else.

Owns: a real process, SIGKILL at seeded random moments. Does not know: power cuts, which also lose what was not synced.
"""

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    Seen,
    back_up,
    below,
    enroll,
    loaded,
    noise,
    proven,
    pruned,
    restored,
    seen,
    verified,
)
from support.engine.killed_backup import reopened
from support.project import TESTS

from kinebackup.engine.repository.lock import LockHolder, WriterLock

KILLS = 12


def start(drive: Drive, source: Path, seed: int) -> "subprocess.Popen[str]":
    """A backup that has taken the lock and is about to begin."""
    script = TESTS / "support/engine/killed_backup.py"
    process = subprocess.Popen(
        [sys.executable, str(script), str(drive.root), str(source), str(seed)],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    return process


def edit(source: Path, turn: int) -> None:
    (source / f"film-{turn % 4}.bin").write_bytes(noise(f"film {turn}", 12 * 2**20))
    for number in range(20):
        (source / "notes" / f"{turn}-{number}.txt").write_text(f"séance {turn}.{number}\n" * 40, encoding="utf-8")


@pytest.mark.slow
def test_a_backup_killed_at_random_moments_loses_nothing_and_the_next_one_goes_on(tmp_path: Path) -> None:
    chance = random.Random(20401)
    source = tmp_path / "patients"
    (source / "notes").mkdir(parents=True)
    drive = enroll(tmp_path / "drive")
    held: dict[str, dict[str, Seen]] = {}
    edit(source, 0)
    process = start(drive, source, 1)
    began = time.monotonic()
    out, _ = process.communicate(timeout=60)
    lasts = time.monotonic() - began
    held[out.strip()] = seen(source)
    for turn in range(1, KILLS + 1):
        edit(source, turn)
        process = start(drive, source, turn + 1)
        time.sleep(chance.uniform(0, lasts))  # the moment itself is what is tried here
        process.kill()
        out, _ = process.communicate(timeout=60)
        if out.strip():
            held[out.strip()] = seen(source)
        with WriterLock(str(drive.root), LockHolder("cabinet-pc", os.getpid(), "boot", "2040-01-02", "test")) as lock:
            assert out.strip() or (lock.stale is not None and lock.stale.work == "backup")
        with loaded(drive) as repository:
            assert repository.inventory.findings == ()
            there, unreadable = repository.snapshots().readable, repository.snapshots().unreadable
        assert not unreadable
        # A kill between the commit of a snapshot and the report of it leaves one more than was reported.
        held |= {named.id: seen(source) for named in there if named.id not in held}
        assert {named.id for named in there} == set(held)
    last = reopened(drive.root, "last")
    for _ in range(KILLS + 2):
        last.calendar.next_day()
    made = str(back_up(last, source).snapshot)
    held[made] = seen(source)
    assert last.files("tmp") == []
    for number, (name, expected) in enumerate(held.items()):
        assert restored(last, tmp_path / f"out-{number}", name).problems == ()
        assert seen(below(tmp_path / f"out-{number}", source)) == expected
        shutil.rmtree(tmp_path / f"out-{number}")
    assert verified(last).problems == ()
    pruned(last, *[name for name in held if name != made])
    assert verified(last).problems == ()
    assert proven(last, tmp_path / "scratch").result == "ok"
