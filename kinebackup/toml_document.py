"""A TOML file, read strictly, with line numbers for error messages.

Owns: refusing unknown keys and values of the wrong type, naming the file, the line and the nearest known key. Does not
know: which keys there are; dataclasses given by the caller say so.
"""

import os.path
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import time
from pathlib import Path
from typing import Any, Final, NoReturn, cast

from kinebackup.errors import ConfigError
from kinebackup.i18n import _

KeyPath = tuple[str | int, ...]

_CLOCK: Final = re.compile(r"(?:[01]?\d|2[0-3]):[0-5]\d")


class Document:
    """A parsed file that can still say at which line a key stands. ``sections`` says which keys each heading knows."""

    def __init__(self, text: str, path: Path, sections: Mapping[str, type]) -> None:
        self.file = path
        self.sections = sections
        self._lines = [line + "\n" for line in text.split("\n")]
        try:
            self._values: dict[str, Any] = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(
                _("{path} is not valid TOML: {reason}").format(path=path, reason=str(error)),
                _("compare that line with config.example.toml; text stands between quotes"),
            ) from None

    def table(self, at: KeyPath, described_by: type) -> "Table":
        """The table at a place known to hold one, with the fields of the class as its only keys."""
        return Table(self, at, cast(dict[str, Any], _reach(self._values, at)), described_by)

    def section(self, root: "Table", name: str, described_by: type) -> "Table":
        """The table ``[name]``, empty if the file has none."""
        values = root.values.get(name, {})
        if not isinstance(values, dict):
            root.fail(name, _("{key} must be a section").format(key=name), _("write it as [{key}]").format(key=name))
        return Table(self, (name,), values, described_by)

    def line_of(self, at: KeyPath) -> int:
        """The line where the statement that makes ``at`` begins, from 1.

        The parser itself finds it: it is the statement whose addition makes the key appear. That takes a parse for each
        line, but only ever for a file that is refused.
        """
        begin = 0
        for end in range(1, len(self._lines) + 1):
            try:
                values = tomllib.loads("".join(self._lines[:end]))
            except tomllib.TOMLDecodeError:
                continue  # in the midst of a value that spans lines
            if _reach(values, at) is not None:
                return begin + 1
            begin = end
        return len(self._lines)

    def heading_of(self, section: str) -> str:
        """The section with the brackets that it is written in."""
        return next((heading for heading in self.sections if heading.strip("[]") == section), f"[{section}]")

    def headings_with(self, key: str) -> Sequence[str]:
        """The headings under which a key of this name belongs."""
        return [heading for heading, kind in self.sections.items() if key in _keys(kind)]


class Table:
    """One section being read. Refuses unknown keys at once, wrong values when they are asked for."""

    def __init__(self, document: Document, at: KeyPath, values: dict[str, Any], described_by: type) -> None:
        self.values = values
        self._document = document
        self._at = at
        known = _keys(described_by)
        for key in values:
            if key not in known:
                self._refuse_unknown(key, known)

    def text(self, key: str, default: str) -> str:
        value = self.values.get(key, default)
        if not isinstance(value, str) or "\0" in value:
            self._expected(key, _("text between quotes"))
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self.values.get(key, [])
        if not isinstance(value, list) or not all(
            isinstance(each, str) and each and "\0" not in each for each in value
        ):
            self._expected(key, _('a list of texts between quotes, such as ["*.tmp", "Cache"]'))
        return tuple(value)

    def flag(self, key: str, default: bool) -> bool:
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            self._expected(key, _("true or false, without quotes"))
        return value

    def integer(self, key: str, default: int, *, minimum: int = 0) -> int:
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool) or value < minimum:
            self._expected(key, _("a whole number, {minimum} or more, without quotes").format(minimum=minimum))
        return value

    def clock(self, key: str, default: time) -> time:
        """A time of the day, as ``"17:30"`` or TOML's own 17:30:00."""
        value = self.values.get(key, default)
        if isinstance(value, str) and _CLOCK.fullmatch(value):
            hour, minute = value.split(":")
            value = time(int(hour), int(minute))
        if not isinstance(value, time) or value.tzinfo is not None:
            self._expected(key, _('a time of the day between quotes, such as "17:30"'))
        return value

    def share(self, key: str, default: float) -> float:
        value = self.values.get(key, default)
        # The comparison is written so that nan, which TOML has, fails it.
        if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= 1:
            self._expected(key, _("a number from 0 to 1, such as 0.5"))
        return float(value)

    def path(self, key: str, default: Path) -> Path:
        """An absolute path, without doubled slashes and dots."""
        value = self.text(key, str(default))
        if value.startswith("~"):
            self.fail(
                key,
                _('"{value}" begins with ~, which is another folder for each user').format(value=value),
                _("write the path in full, such as /home/…"),
            )
        if not value.startswith("/"):
            self.fail(
                key,
                _('"{value}" is not a path from the top of the disk').format(value=value),
                _("write the path in full, such as /home/…"),
            )
        if ".." in value.split("/"):  # behind a symbolic link, it is not the folder that it seems to be
            self.fail(key, _('"{value}" has a ".." in it').format(value=value), _("write the path without it"))
        return Path("/" + os.path.normpath(value).lstrip("/"))  # POSIX lets two leading slashes stand

    def fail(self, key: str | None, message: str, hint: str) -> NoReturn:
        """Refuse the value of ``key``, or the whole section."""
        line = self._document.line_of(self._at if key is None else (*self._at, key))
        where = _("{path}, line {line}: {message}").format(path=self._document.file, line=line, message=message)
        raise ConfigError(where, hint)

    def _expected(self, key: str, expected: str) -> NoReturn:
        message = _("{key} has a value of another kind").format(key=key)
        self.fail(key, message, _("expected: {kind}").format(kind=expected))

    def _refuse_unknown(self, key: str, known: Sequence[str]) -> NoReturn:
        import difflib  # only needed to refuse; a command has 0.2 s to answer

        if self._at:
            section = self._document.heading_of(str(self._at[0]))
            message = _('unknown key "{key}" in {section}').format(key=key, section=section)
        else:
            message = _('unknown key or section "{key}"').format(key=key)
        near = difflib.get_close_matches(key, known, n=1)
        homes = self._document.headings_with(key)
        if near:
            hint = _('did you mean "{key}"?').format(key=near[0])
        elif homes:
            hint = _("it belongs under {section}").format(section=homes[0])
        else:
            hint = _("known here: {keys}").format(keys=", ".join(known))
        self.fail(key, message, hint)


def _keys(described_by: type) -> list[str]:
    return [each.name for each in fields(described_by)]


def _reach(values: object, at: KeyPath) -> object:
    for step in at:
        try:
            values = values[step]  # type: ignore[index]  # what TOML nests: dicts and lists; anything else is caught below
        except (KeyError, IndexError, TypeError):
            return None
    return values
