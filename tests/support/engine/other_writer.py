"""Another process that writes: ``other_writer.py KINEBACKUP-FOLDER SEED back-up SOURCE``, or ``… remove ID``.

Owns: one run, as a command line would have it, and starting it. Does not know: what else is open meanwhile.
"""

import os
import subprocess
import sys
from pathlib import Path

from support.engine.drives import Drive, back_up, pruned
from support.engine.killed_backup import reopened
from support.project import TESTS


def other_process(drive: Drive, work: str, what: str | Path, *, seed: int = 1) -> str:
    """The id of the snapshot that the other process has made or removed."""
    done = subprocess.run(
        [sys.executable, str(Path(__file__)), str(drive.root), str(seed), work, str(what)],
        env=os.environ | {"PYTHONPATH": str(TESTS)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def main() -> None:
    root, seed, work, what = sys.argv[1:]
    drive = reopened(Path(root), f"other {seed}")
    for _ in range(int(seed)):
        drive.calendar.next_day()
    if work == "back-up":
        sys.stdout.write(str(back_up(drive, Path(what)).snapshot))
    else:
        (removed,) = pruned(drive, what).snapshots_removed
        sys.stdout.write(removed)


if __name__ == "__main__":
    main()
