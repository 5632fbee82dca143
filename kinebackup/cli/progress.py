"""The progress bar: files, bytes, rate, time left.

Owns: its look, on a terminal's stderr. Does not know: what is being done.
"""

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from kinebackup.i18n import _
from kinebackup.model import Problem


def _phase_text(name: str) -> str:
    texts = {
        "backup": _("Backing up"),
        "commit": _("Finishing"),
        "restore": _("Restoring"),
        "restore-test": _("Testing the restore"),
        "verify": _("Verifying"),
        "mark": _("Looking for what is needed"),
        "repack": _("Making room"),
    }
    return texts.get(name, name)


class ProgressBar:
    """A ``Monitor`` that draws. Ends with the process, or with the next phase."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.fields[files]}"),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=5,
        )
        self._task: TaskID | None = None
        self._files = self._bytes = self._files_total = self._bytes_total = 0

    def phase(self, name: str, *, files: int = 0, size_bytes: int = 0) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._files, self._bytes, self._files_total, self._bytes_total = 0, 0, files, size_bytes
        self._task = self._progress.add_task(_phase_text(name), total=size_bytes or None, files="")
        self._progress.start()

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        self._files += files
        self._bytes += size_bytes
        if self._task is None:
            return
        count = f"{self._files}/{self._files_total}" if self._files_total else f"{self._files}"
        self._progress.update(self._task, completed=self._bytes, files=count)

    def problem(self, problem: Problem) -> None:
        """Problems are listed at the end, once."""

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()
