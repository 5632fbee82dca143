"""What the program prints: one JSON document, or words and a progress bar.

Owns: stdout, stderr, colours, progress. Does not know: commands.

stdout is for results, stderr for progress, warnings and errors; with ``--json`` stdout holds exactly one document.
"""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from kinebackup.errors import KineError
from kinebackup.i18n import _
from kinebackup.model import Monitor, Problem, SilentMonitor

MAX_PROBLEMS_SHOWN = 20


@dataclass
class Output:
    """Where a command's words go."""

    as_json: bool = False
    quiet: bool = False

    def result(self, document: object, words: Callable[[], str]) -> None:
        """The result: a JSON document, or what ``words`` says."""
        if self.as_json:
            sys.stdout.write(json.dumps(to_plain(document), ensure_ascii=False) + "\n")
        elif not self.quiet:
            text = words()
            if text:
                sys.stdout.write(printable(text) + "\n")

    def say(self, text: str) -> None:
        """Something a person should know that is not the result."""
        if not self.quiet and not self.as_json:
            sys.stderr.write(printable(text) + "\n")

    def problems(self, problems: tuple[Problem, ...]) -> None:
        """Problems, the first few in full."""
        if self.as_json:
            return
        for problem in problems[:MAX_PROBLEMS_SHOWN]:
            sys.stderr.write(printable(f"! {problem.path}: {problem.message}{_affected(problem)}") + "\n")
        if len(problems) > MAX_PROBLEMS_SHOWN:
            more = len(problems) - MAX_PROBLEMS_SHOWN
            sys.stderr.write(_("… and {count} more; --json lists all").format(count=more) + "\n")

    def error(self, error: KineError) -> None:
        """An error that ended the command."""
        if self.as_json:
            document = {"error": {"code": int(error.exit_code), "message": error.message, "hint": error.hint}}
            sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
        sys.stderr.write(printable(f"kinebackup: {_('error')}: {error.message}") + "\n")
        if error.hint:
            sys.stderr.write(printable(f"{_('hint')}: {error.hint}") + "\n")

    def monitor(self) -> Monitor:
        """A progress bar on a terminal; silence elsewhere."""
        if self.as_json or self.quiet or not sys.stderr.isatty():
            return SilentMonitor()
        from kinebackup.cli.progress import ProgressBar

        return ProgressBar()


def _affected(problem: Problem) -> str:
    if not problem.snapshots:
        return ""
    return " (" + _("backups: {ids}").format(ids=", ".join(i[:8] for i in problem.snapshots[:5])) + ")"


def printable(text: str) -> str:
    """Text that a terminal shows and does not obey: file names may hold control characters and bytes that are no text."""
    safe = text.encode("utf-8", "backslashreplace").decode("utf-8") if not text.isascii() else text
    return "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in safe)


def to_plain(value: object) -> Any:
    """Dataclasses, tuples and mappings as JSON knows them; undecodable names as escapes."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode("utf-8")
    return value
