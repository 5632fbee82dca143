"""A restore that kills itself: ``killed_restore.py KINEBACKUP-FOLDER DESTINATION STEPS``.

Owns: one run, which ends by SIGKILL after so many operations on the destination. Does not know: what is left.
"""

import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from support.engine.drives import loaded
from support.engine.killed_backup import reopened

from kinebackup.engine.restore.destination import Destination, Folder
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.model import CancelToken, SilentMonitor


class FatalDestination(Destination):
    """Each folder, sync, name and link is one operation."""

    def __init__(self, path: str, steps: int) -> None:
        super().__init__(path)
        self._left = steps

    def _step(self) -> None:
        self._left -= 1
        if self._left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def make(self, parent: Folder, name: str, is_restored: Callable[[os.stat_result], bool]) -> Folder:
        self._step()
        return super().make(parent, name, is_restored)

    def sync(self, devices: Iterable[int]) -> None:
        self._step()
        super().sync(devices)

    def name(self, directory: int, temporary: str, name: str) -> None:
        self._step()
        super().name(directory, temporary, name)

    def link(self, source: str, first: str, directory: int, temporary: str) -> None:
        super().link(source, first, directory, temporary)
        self._step()


def main() -> None:
    root, into, steps = sys.argv[1:]
    with loaded(reopened(Path(root), "killed")) as repository:
        request = RestoreRequest(repository.find_snapshot("latest"), (), into, as_root=os.geteuid() == 0)
        restore_snapshot(
            repository,
            request,
            lambda: 0.0,
            cancel=CancelToken(),
            monitor=SilentMonitor(),
            destination=lambda path: FatalDestination(path, int(steps)),
        )
    sys.stdout.write("ended\n")


if __name__ == "__main__":
    main()
