"""The progress bar: files, bytes, rate, time left.

Owns: its look, on a terminal's stderr. Does not know: what is being done.
"""

import time

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from kinebackup.cli.terminal.words import duration_text, files_text, size_text
from kinebackup.i18n import _
from kinebackup.model import Problem

_SURE_AFTER_S = 2.0  # a rate that was measured for less time says little about the time left


def phase_text(name: str) -> str:
    """What a phase of a ``Monitor`` is called; its own name where it has no words."""
    texts = {
        "backup": _("Backing up"),
        "commit": _("Finishing"),
        "restore": _("Restoring"),
        "restore-test": _("Testing the restore"),
        "verify": _("Verifying"),
        "mark": _("Looking for what is needed"),
        "repack": _("Making room"),
        "repair": _("Repairing"),
    }
    return texts.get(name, name)


class ProgressBar:
    """A ``Monitor`` that draws. Ends with the process, or with the next phase."""

    def __init__(self) -> None:
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[amounts]}", markup=False),
            console=Console(stderr=True),
            transient=True,
            refresh_per_second=5,
        )
        self._task: TaskID | None = None
        self._files = self._bytes = self._files_total = self._bytes_total = 0
        self._began = time.monotonic()

    def phase(self, name: str, *, files: int = 0, size_bytes: int = 0) -> None:
        if self._task is not None:
            self._progress.remove_task(self._task)
        self._files, self._bytes, self._files_total, self._bytes_total = 0, 0, files, size_bytes
        self._began = time.monotonic()
        self._task = self._progress.add_task(phase_text(name), total=size_bytes or files or None, amounts="")
        self._progress.start()

    def advance(self, *, files: int = 0, size_bytes: int = 0) -> None:
        self._files += files
        self._bytes += size_bytes
        if self._task is None:
            return
        done, total = (self._bytes, self._bytes_total) if self._bytes_total else (self._files, self._files_total)
        # There may be more than was expected: the totals of a backup are those of the last one.
        known = total if done <= total else None
        self._progress.update(self._task, completed=done, total=known, amounts=self._amounts(done, known))

    def _amounts(self, done: int, total: int | None) -> str:
        seconds = time.monotonic() - self._began
        parts = [files_text(self._files)] if self._files else []
        if self._bytes:
            parts.append(size_text(self._bytes))
            if seconds > _SURE_AFTER_S:
                parts.append(_("{size}/s").format(size=size_text(int(self._bytes / seconds))))
        if total and done and seconds > _SURE_AFTER_S:
            left_s = seconds * (total - done) / done
            parts.append(_("{duration} left").format(duration=duration_text(left_s)))
        return " · ".join(parts)

    def problem(self, problem: Problem) -> None:
        """Problems are listed at the end, once."""

    def close(self) -> None:
        """Take the bar away."""
        self._progress.stop()
