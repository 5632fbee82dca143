"""The folder that a restore writes below, and what a power cut at any moment would leave of it.

Owns: a model of a file system that keeps nothing until it is synced: of the bytes nothing, of the names all or none.
Does not know: what must be left.
"""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

from kinebackup.engine.restore.destination import Destination, Folder

FATES = ("zero length", "torn")


class CutDestination(Destination):
    """A real folder. ``remains`` has every state that a cut after each operation might leave: bytes by path."""

    def __init__(self, path: str, *, whole_tree: bool) -> None:
        """``whole_tree``: every state is kept; else only the names that came before their bytes, in ``too_early``."""
        super().__init__(path)
        self._root = Path(path)
        self._model = threading.RLock()  # one thread gives its files their names while another waits for the disk
        self._whole_tree = whole_tree
        self._durable: dict[int, bytes] = {}
        self._names_at_sync: dict[str, int] = {}
        self.syncs = 0
        self.too_early: list[str] = []
        self.remains: list[dict[str, bytes]] = []

    def sync(self, devices: Iterable[int]) -> None:
        super().sync(devices)
        with self._model:
            self.syncs += 1
            self._names_at_sync = self._names()
            self._durable = {inode: (self._root / path).read_bytes() for path, inode in self._names_at_sync.items()}
            self._look()

    def replace(self, directory: int, temporary: str, name: str) -> None:
        with self._model:
            super().replace(directory, temporary, name)
            self._named(directory, name)

    def name(self, directory: int, temporary: str, name: str) -> None:
        with self._model:
            super().name(directory, temporary, name)
            self._named(directory, name)

    def link(self, source: str, first: str, directory: int, temporary: str) -> None:
        super().link(source, first, directory, temporary)
        self._look()

    def make(self, parent: Folder, name: str, is_restored: object) -> Folder:
        made = super().make(parent, name, is_restored)  # type: ignore[arg-type] # handed on as it came
        self._look()
        return made

    def _named(self, directory: int, name: str) -> None:
        if os.stat(name, dir_fd=directory, follow_symlinks=False).st_ino not in self._durable:
            self.too_early.append(name)
        self._look()

    def _names(self) -> dict[str, int]:
        return {
            str(path.relative_to(self._root)): path.lstat().st_ino
            for path in self._root.rglob("*")
            if path.is_file() and not path.is_symlink()
        }

    def _look(self) -> None:
        if not self._whole_tree:
            return
        self.remains.append({path: self._durable[inode] for path, inode in self._names_at_sync.items()})
        for fate in FATES:
            left = {}
            for path, inode in self._names().items():
                data = (self._root / path).read_bytes()
                lost = b"" if fate == "zero length" else bytes(len(data))
                left[path] = self._durable.get(inode, lost)
            self.remains.append(left)

    @property
    def after(self) -> dict[str, bytes]:
        """What is left when the power goes once the run is over and nothing more is written."""
        return {path: self._durable[inode] for path, inode in self._names_at_sync.items()}
