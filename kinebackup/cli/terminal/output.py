"""What the program prints: one JSON document, or words and a progress bar.

Owns: stdout, stderr, colours, progress. Does not know: commands.

stdout is for results, stderr for progress, warnings and errors; with ``--json`` stdout holds exactly one document.
"""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, is_dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from kinebackup.cli.terminal.gathered import Gathered, Lines
from kinebackup.errors import KineError
from kinebackup.i18n import _, ngettext
from kinebackup.model import HealedFile, Monitor, Problem, SilentMonitor

if TYPE_CHECKING:  # rich takes longer to import than most commands take to run
    from kinebackup.cli.terminal.progress import ProgressBar

_Item = TypeVar("_Item")

MAX_PROBLEMS_SHOWN = 10
_SURROGATE = re.compile("[\ud800-\udfff]")
_FRENCH_SPACES = "\u00a0\u202f"  # before « : » and in numbers; Python does not count them as printable


@dataclass
class Output:
    """Where a command writes."""

    as_json: bool = False
    quiet: bool = False
    _bar: "ProgressBar | None" = None

    def result(self, document: object, words: Callable[[], str | Lines]) -> None:
        """The result: a JSON document, or what ``words`` says."""
        self.end_progress()
        if self.as_json:
            for piece in json_pieces(document):
                sys.stdout.write(piece)
        elif not self.quiet:
            text = words()
            for line in text if isinstance(text, Lines) else filter(None, [text]):
                sys.stdout.write(printable(line) + "\n")

    def gather(self, item: Callable[[_Item], object], words: Callable[[_Item], str] | None) -> Gathered[_Item]:
        """For the items of a long result: each as it is in JSON, a dataclass, or in words."""
        if self.as_json:
            return Gathered(lambda each: json_text(item(each)), in_words=False)
        return Gathered(None if self.quiet else words, in_words=not self.quiet)

    def once(self, text: str) -> None:
        """The part of a result that can be shown only once, even with ``--quiet``."""
        if self.quiet and not self.as_json:
            sys.stdout.write(text + "\n")

    def say(self, text: str) -> None:
        """Something a person should know that is not the result."""
        self.end_progress()
        if not self.quiet and not self.as_json:
            sys.stderr.write(printable(text) + "\n")

    def warn(self, message: str, hint: str = "") -> None:
        """Something that may do harm: on stderr, even with ``--quiet`` and ``--json``."""
        self.end_progress()
        sys.stderr.write(f"! {printable(with_hint(message, hint))}\n")

    def problems(self, problems: tuple[Problem, ...], healed: tuple[HealedFile, ...] = ()) -> None:
        """Problems, the first few in full; and of what was healed, that it was."""
        self.end_progress()
        if self.as_json:
            return
        if healed:
            self.say(_healed_words(healed))
        for problem in problems[:MAX_PROBLEMS_SHOWN]:
            sys.stderr.write(printable(f"! {_told(problem)}") + "\n")
        if len(problems) > MAX_PROBLEMS_SHOWN:
            more = len(problems) - MAX_PROBLEMS_SHOWN
            sys.stderr.write(_("… and {count} more; --json lists all").format(count=more) + "\n")

    def error(self, error: KineError) -> None:
        """An error that ended the command."""
        self.end_progress()
        if self.as_json:
            document = {"error": {"code": int(error.exit_code), "message": error.message, "hint": error.hint}}
            sys.stdout.write(json_line(document))
        sys.stderr.write(printable(_("kinebackup: error: {message}").format(message=error.message)) + "\n")
        if error.hint:
            sys.stderr.write(printable(hint_text(error.hint)) + "\n")

    def monitor(self) -> Monitor:
        """A progress bar on a terminal; silence elsewhere."""
        if self.as_json or self.quiet or not sys.stderr.isatty():
            return SilentMonitor()
        from kinebackup.cli.terminal.progress import ProgressBar

        self.end_progress()
        self._bar = ProgressBar()
        return self._bar

    def end_progress(self) -> None:
        """Take the progress bar away, if there is one: what is printed next must not run into it."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None


def with_hint(message: str, hint: str) -> str:
    """Both on one line, as French and English put them together."""
    return _("{message}; {hint}").format(message=message, hint=hint) if hint else message


def hint_text(hint: str) -> str:
    """The line after a message."""
    return _("hint: {hint}").format(hint=hint)


def with_detail(message: str, detail: str) -> str:
    """``message: detail``, with the space that French puts before a colon."""
    return _("{message}: {detail}").format(message=message, detail=detail)


def _healed_words(healed: tuple[HealedFile, ...]) -> str:
    count = len(healed)
    if all(each.rewritten for each in healed):
        text = ngettext(
            "{count} damaged file of the drive was mended", "{count} damaged files of the drive were mended", count
        )
    else:
        text = ngettext(
            "{count} damaged file of the drive was read whole all the same; the next backup mends it",
            "{count} damaged files of the drive were read whole all the same; the next backup mends them",
            count,
        )
    return text.format(count=count)


def _told(problem: Problem) -> str:
    return with_detail(on_one_line(problem.path), problem.message) + _affected(problem)


def _affected(problem: Problem) -> str:
    if not problem.snapshots:
        return ""
    return " (" + _("backups: {ids}").format(ids=", ".join(i[:8] for i in problem.snapshots[:5])) + ")"


def printable(text: str) -> str:
    """Text without control characters: file names may hold sequences that a terminal would obey."""
    if text.isascii() and text.replace("\n", "").isprintable():
        return text
    return "".join(c if c.isprintable() or c == "\n" or c in _FRENCH_SPACES else _escaped(c) for c in text)


def on_one_line(name: str) -> str:
    """A file's name as a terminal shows it: also without the line breaks that a name may hold."""
    return printable(name).replace("\n", "\\n")


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:  # a byte that is no UTF-8, as os.fsdecode gives it (PEP 383)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def json_line(document: object) -> str:
    """One line of JSON."""
    return "".join(json_pieces(document))


def json_pieces(document: object) -> Iterator[str]:
    """The same in pieces: what was gathered, as a member of a dataclass, may be too much for memory."""
    if not is_dataclass(document) or isinstance(document, type):
        yield json_text(document) + "\n"
        return
    before = "{"
    for field in fields(document):
        yield f'{before}"{field.name}": '
        value = getattr(document, field.name)
        if isinstance(value, Gathered):
            yield "["
            separator = ""
            for line in value.lines:
                yield separator + line
                separator = ", "
            yield "]"
        else:
            yield json_text(value)
        before = ", "
    yield "}\n"


def json_text(value: object) -> str:
    """A value in JSON. A byte of a name that is no UTF-8 is a lone surrogate (PEP 383), written as an escape.

    So a Python program gets the name's bytes with ``os.fsencode``, and can give the name back as an argument.
    """
    text = json.dumps(to_plain(value), ensure_ascii=False)
    return text if text.isascii() else _SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def to_plain(value: object) -> Any:
    """Dataclasses, tuples and mappings as JSON knows them; times as text, UTC."""
    if is_dataclass(value) and not isinstance(value, type):
        return to_plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return value
