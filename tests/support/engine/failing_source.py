"""A source of which one call fails, with the error that a test asks for.

Owns: the names of the calls, and their failing. Does not know: what is expected.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from kinebackup.engine.source import Border, Found, Listing, LiveCopy, Looked, SourceDirectory
from kinebackup.sources.folder import FolderSource

What = Literal["lstat", "open", "list", "list on", "read link", "list attributes", "read attribute", "close"]


class Call(NamedTuple):
    """A call on one name. ``path``: relative to the source, which is the empty one."""

    what: What
    path: str


Met = Callable[[Call], None]
"""Hears each call before it is made; raises what is to be raised."""


class FailingDirectory:
    """A real directory, each of whose calls can fail."""

    def __init__(self, inner: SourceDirectory, path: str, met: Met) -> None:
        self._inner = inner
        self._path = path
        self._met = met
        self._open: dict[int, str] = {}
        self.fd = inner.fd

    def listing(self) -> Listing:
        """``list on``: after half of the names."""
        self._met(Call("list", self._path))
        names = self._inner.listing().names
        try:
            if names:
                self._met(Call("list on", self._path))
        except OSError as error:
            return Listing(names[: len(names) // 2], error)
        return Listing(names)

    def look_at(self, names: Sequence[str]) -> Looked:
        found: list[Found] = []
        unseen: list[tuple[str, OSError]] = []
        for name in names:
            try:
                self._met(Call("lstat", self._below(name)))
            except FileNotFoundError:
                continue
            except OSError as error:
                unseen.append((name, error))
            else:
                found += self._inner.look_at([name]).found
        return Looked(found, unseen)

    def _below(self, name: str) -> str:
        return f"{self._path}/{name}".lstrip("/")

    def open_file(self, name: str) -> int:
        self._met(Call("open", self._below(name)))
        fd = self._inner.open_file(name)
        self._open[fd] = self._below(name)
        return fd

    def open_directory(self, name: str) -> SourceDirectory:
        self._met(Call("open", self._below(name)))
        return FailingDirectory(self._inner.open_directory(name), self._below(name), self._met)

    def duplicate(self) -> SourceDirectory:
        return FailingDirectory(self._inner.duplicate(), self._path, self._met)

    def read_link(self, name: str) -> str:
        self._met(Call("read link", self._below(name)))
        return self._inner.read_link(name)

    def xattr_names(self, name: str | None, fd: int | None) -> list[str]:
        self._met(Call("list attributes", self._of(name, fd)))
        return self._inner.xattr_names(name, fd)

    def xattr(self, name: str | None, fd: int | None, attribute: str) -> bytes:
        self._met(Call("read attribute", self._of(name, fd)))
        return self._inner.xattr(name, fd, attribute)

    def _of(self, name: str | None, fd: int | None) -> str:
        if fd is not None:
            return self._open[fd]
        return self._path if name is None else self._below(name)

    def border(self, found: Found) -> Border:
        return self._inner.border(found)

    def live_copy(self, name: str) -> LiveCopy | None:
        return self._inner.live_copy(name)

    def close(self) -> None:
        self._inner.close()
        self._met(Call("close", self._path))


class FailingSource:
    """A folder whose calls can fail."""

    def __init__(self, folder: Path, met: Met) -> None:
        self._inner = FolderSource(str(folder))
        self._met = met
        self.configured, self.path = self._inner.configured, self._inner.path

    def open_root(self) -> SourceDirectory:
        self._met(Call("open", ""))
        return FailingDirectory(self._inner.open_root(), "", self._met)

    def write_out(self, done: set[int]) -> None:
        self._inner.write_out(done)

    def ancestors(self) -> list[Found]:
        self._met(Call("lstat", ""))
        return self._inner.ancestors()
