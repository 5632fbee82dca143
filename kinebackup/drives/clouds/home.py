"""The home of one person, as sync clients use it.

Owns: where clients keep their files (XDG directories, Flatpak, snap), and how the common formats are read. Does not
know: which client writes what.
"""

import os
import re
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Final, NoReturn

from kinebackup.drives.system import System

# A client that runs keeps its latest changes in the -wal file, which is read only together with a writable database.
_MAX_COPIED_BYTES: Final = 16 * 1024 * 1024
_MAX_STEPS: Final = 5_000_000
_MAX_ROWS: Final = 10_000

_QT_ESCAPE: Final = re.compile(r"\\x([0-9a-fA-F]{1,4})|\\(.)")


@dataclass(frozen=True, slots=True)
class Home:
    """One home directory, and the configuration directory its owner chose, where that is known.

    ``flatpaks`` are the application ids below ~/.var/app, ``snaps`` the names below ~/snap.
    """

    system: System
    path: str
    config_home: str | None = None
    flatpaks: tuple[str, ...] = ()
    snaps: tuple[str, ...] = ()

    def config_files(self, name: str) -> Iterator[str]:
        """The paths at which a client may keep ``name`` of ~/.config."""
        return self._variants(".config", "config", name, self.config_home)

    def data_files(self, name: str) -> Iterator[str]:
        """The same for ~/.local/share."""
        return self._variants(".local/share", "data", name)

    def state_files(self, name: str) -> Iterator[str]:
        """The same for ~/.local/state."""
        return self._variants(".local/state", ".local/state", name)

    def cache_files(self, name: str) -> Iterator[str]:
        """The same for ~/.cache."""
        return self._variants(".cache", "cache", name)

    def dot_files(self, name: str) -> Iterator[str]:
        """The same for ~ itself."""
        return self._variants("", "", name)

    def expand(self, path: str) -> str:
        """An absolute path, from one that may begin with ``~`` or be relative to the home."""
        if path == "~" or path.startswith("~/"):
            path = path[2:]
        return os.path.normpath(os.path.join(self.path, path))

    def _variants(self, plain: str, flatpak: str, name: str, chosen: str | None = None) -> Iterator[str]:
        """Under the home, under the chosen directory, and under the sandboxes that hold such a directory."""
        yield os.path.normpath(f"{self.path}/{plain}/{name}")
        if chosen is not None:
            yield os.path.normpath(f"{chosen}/{name}")
        for app in self.flatpaks:
            yield os.path.normpath(f"{self.path}/.var/app/{app}/{flatpak}/{name}")
        for snap in self.snaps:
            for revision in ("common", "current"):
                yield os.path.normpath(f"{self.path}/snap/{snap}/{revision}/{plain}/{name}")


def open_home(system: System, path: str, config_home: str | None = None) -> Home:
    """The home at ``path``. Raises OSError where it cannot be read."""
    system.names(path)
    return Home(system, path, config_home, tuple(system.names(f"{path}/.var/app")), tuple(system.names(f"{path}/snap")))


def qt_value(line_value: str) -> str:
    """One value of a QSettings INI file: quotes and escapes undone. ``\\xe9`` is the code point U+00E9."""
    value = line_value.strip()
    if value.startswith('"'):
        value = value.removesuffix('"')[1:]
    return _QT_ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else match[2], value)


def column(system: System, database: str, query: str) -> list[str]:
    """The first column of a query on a client's SQLite database; nothing where there is none.

    The client's own files are never opened for writing, not even its locks: a file made by root beside them would stop
    the client. Raises OSError or ValueError where the database cannot be read.
    """
    if not system.exists(database):
        return []
    # Both are heavy, and needed only where such a client is installed.
    import sqlite3
    import tempfile

    with tempfile.TemporaryDirectory(prefix="kinebackup-") as private:
        try:
            with closing(sqlite3.connect(_readable(system, database, private), uri=True)) as connection:
                # Its owner may have put a view in the place of the table: it must neither act nor run for ever.
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.set_progress_handler(lambda: 1, _MAX_STEPS)
                return [str(row[0]) for row in connection.execute(query).fetchmany(_MAX_ROWS) if row[0]]
        except sqlite3.Error as error:
            raise ValueError(f"{database}: {error}") from error


def not_understood(path: str, what: str) -> NoReturn:
    raise ValueError(f"{path}: {what}")


def _readable(system: System, database: str, private: str) -> str:
    """The URI of a copy, with its -wal; or of the database as it is, where it is large."""
    if os.stat(system.path(database)).st_size > _MAX_COPIED_BYTES:
        return f"file:{_uri(system.path(database))}?mode=ro&immutable=1"
    for suffix in ("", "-wal"):
        data = system.read_bytes(database + suffix, 4 * _MAX_COPIED_BYTES)
        if data is not None:
            with open(f"{private}/copy.db{suffix}", "wb") as copy:
                copy.write(data)
    return f"file:{_uri(private)}/copy.db?mode=rw"


def _uri(path: str) -> str:
    return path.replace("%", "%25").replace("?", "%3f").replace("#", "%23")
