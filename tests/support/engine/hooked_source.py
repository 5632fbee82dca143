"""A source that lets a test act at the very moment at which the engine opens something.

Owns: the hook. Does not know: what is done in it, or what is expected.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from kinebackup.engine.source import Border, Found, Listing, LiveCopy, Looked, SourceDirectory
from kinebackup.sources.folder import FolderSource

Hook = Callable[[str], None]


class HookedDirectory:
    """A real directory; ``before_open`` hears the name of each file and folder just before it is opened."""

    def __init__(self, inner: SourceDirectory, before_open: Hook) -> None:
        self._inner = inner
        self._before_open = before_open
        self.fd = inner.fd

    def listing(self) -> Listing:
        return self._inner.listing()

    def look_at(self, names: Sequence[str]) -> Looked:
        return self._inner.look_at(names)

    def open_file(self, name: str) -> int:
        self._before_open(name)
        return self._inner.open_file(name)

    def open_directory(self, name: str) -> SourceDirectory:
        self._before_open(name)
        return HookedDirectory(self._inner.open_directory(name), self._before_open)

    def duplicate(self) -> SourceDirectory:
        return HookedDirectory(self._inner.duplicate(), self._before_open)

    def read_link(self, name: str) -> str:
        self._before_open(name)
        return self._inner.read_link(name)

    def xattr_names(self, name: str | None, fd: int | None) -> list[str]:
        return self._inner.xattr_names(name, fd)

    def xattr(self, name: str | None, fd: int | None, attribute: str) -> bytes:
        return self._inner.xattr(name, fd, attribute)

    def border(self, found: Found) -> Border:
        return self._inner.border(found)

    def live_copy(self, name: str) -> LiveCopy | None:
        return self._inner.live_copy(name)

    def close(self) -> None:
        self._inner.close()


class HookedSource:
    """A folder whose every opening is announced."""

    def __init__(self, folder: Path, before_open: Hook) -> None:
        self._inner = FolderSource(str(folder))
        self._before_open = before_open
        self.configured, self.path = self._inner.configured, self._inner.path

    def write_out(self, done: set[int]) -> None:
        self._inner.write_out(done)

    def open_root(self) -> SourceDirectory:
        return HookedDirectory(self._inner.open_root(), self._before_open)

    def ancestors(self) -> list[Found]:
        return self._inner.ancestors()
