"""A backup in a process of its own, to be killed: ``killed_backup.py KINEBACKUP-FOLDER SOURCE SEED``.

Owns: one run, as a command line would have it. Does not know: when it is killed.
"""

import contextlib
import sys
from pathlib import Path

from support.engine.drives import MACHINE_KEY, Drive, back_up
from support.ports import Dice

from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.store import FolderStore


def reopened(root: Path, seed: str) -> Drive:
    """A drive that another process has enrolled."""
    with contextlib.closing(FolderStore(str(root))) as store:
        repository = Repository.open(store, MACHINE_KEY)
        return Drive(root, repository.unlocked.master, repository.header.keyring, Dice(seed))


def main() -> None:
    root, source, seed = sys.argv[1:]
    drive = reopened(Path(root), seed)
    for _ in range(int(seed)):
        drive.calendar.next_day()
    sys.stdout.write("begun\n")
    sys.stdout.flush()
    report = back_up(drive, Path(source))
    sys.stdout.write(f"{report.snapshot}\n")


if __name__ == "__main__":
    main()
