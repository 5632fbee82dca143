"""A drive whose files have parity, and damage of one of them in every way that a drive knows.

Owns: which file is of which kind, and what is done to it. Does not know: what comes back.
"""

import errno
import os
from collections.abc import Callable
from pathlib import Path

from support.engine.drives import Drive, loaded

from kinebackup.engine.drive_errors import drive_errors
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.layout import PARITY_SUFFIX, parity_path
from kinebackup.engine.format.parity import encode
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.store import FolderStore
from kinebackup.model import FileName

KIB, MIB = 2**10, 2**20


def give_parity(drive: Drive) -> None:
    """Every file that lacks its parity file gets one, as FORMAT.md §12 says."""
    with loaded(drive) as repository:
        copied = {name for name in repository.packs if _holds_metadata(repository, name)}
    for directory in ("packs", "index", "snapshots", "removals"):
        for path in drive.files(directory):
            target = drive.root / parity_path(FileName(path.name))
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                target.write_bytes(encode(path.read_bytes(), is_copy=directory != "packs" or path.name in copied))


def remove_parity(drive: Drive) -> None:
    """As a writer leaves a drive that makes none."""
    for path in drive.files("parity"):
        if path.suffix == PARITY_SUFFIX:
            path.unlink()


def _holds_metadata(repository: LoadedRepository, name: FileName) -> bool:
    return any(
        segment.kind != Kind.DATA
        for table in repository.index.tables
        for segment in table.segments_of([name]).get(name, ())
    )


def victims(drive: Drive, kind: str) -> list[Path]:
    """The files of that kind: data-pack, tree-pack, index, snapshot, removal."""
    if not kind.endswith("-pack"):
        return drive.files({"index": "index", "snapshot": "snapshots", "removal": "removals"}[kind])
    with loaded(drive) as repository:
        wanted = kind == "tree-pack"
        names = {name for name in repository.packs if _holds_metadata(repository, name) is wanted}
    return [path for path in drive.files("packs") if path.name in names]


# -- damages -----------------------------------------------------------------------------------------------------


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def zero(length: int) -> Callable[[Path], None]:
    """That many zeros in the middle, or all of a shorter file."""

    def damage(path: Path) -> None:
        size = path.stat().st_size
        at = max(0, (size - length) // 2)
        with path.open("r+b") as file:
            file.seek(at)
            file.write(bytes(min(length, size - at)))

    damage.__name__ = f"zero_{length // KIB}_kib"
    return damage


def delete(path: Path) -> None:
    path.unlink()


def truncate(path: Path) -> None:
    os.truncate(path, max(0, path.stat().st_size - 5000))


def folder_in_its_place(path: Path) -> None:
    path.unlink()
    path.mkdir()


DAMAGES: list[Callable[[Path], None]] = [flip, zero(4 * KIB), zero(64 * KIB), delete, truncate, folder_in_its_place]


class BadSector(FolderStore):
    """A drive of which one stretch of one file cannot be read, until the file is written anew, at another place."""

    def __init__(self, drive: Drive, path: Path, begin: int, end: int) -> None:
        super().__init__(str(drive.root))
        self._path: str | None = str(path.relative_to(drive.root))
        self._begin, self._end = begin, end

    def _refuse(self, path: str, at: int, size: int) -> None:
        if path == self._path and at < self._end and at + size > self._begin:
            with drive_errors(path, lambda: True):
                raise OSError(errno.EIO, os.strerror(errno.EIO))

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        self._refuse(path, offset, 2**40 if size is None else size)
        return super().read(path, offset, size)

    def read_into(self, path: str, offset: int, buffer: memoryview) -> int:
        self._refuse(path, offset, len(buffer))
        return super().read_into(path, offset, buffer)

    def rename(self, source: str, target: str) -> None:
        super().rename(source, target)
        if target == self._path:
            self._path = None
