"""What a power cut may leave of a recorded run: every state that POSIX allows and that drives have shown.

Owns: a model of a file system with volatile data, names and removals. Does not know: what the files mean.

Data is durable after fsync of the file; a name, a removal or a new directory after fsync of the directory that holds
it. Until then, each kind may have reached the drive or not, in any combination.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, assert_never

from support.engine.recording_store import (
    Created,
    MadeDirectory,
    Operation,
    Renamed,
    Synced,
    SyncedDirectory,
    Unlinked,
    Wrote,
)

Fate = Literal["whole", "zero length", "torn"]


@dataclass
class _File:
    data: bytes = b""
    synced: bool = True

    def after(self, fate: Fate) -> bytes:
        """What is left of its bytes."""
        if self.synced or fate == "whole":
            return self.data
        if fate == "zero length":
            return b""
        half = len(self.data) // 2
        return self.data[:half] + bytes(len(self.data) // 4)


@dataclass(frozen=True)
class Remains:
    """One possible state of the repository's directory after the cut. ``name`` tells which."""

    name: str
    files: dict[str, bytes] = field(repr=False)
    directories: frozenset[str] = field(repr=False)

    @property
    def key(self) -> str:
        """Equal for states between which no program could tell; leftovers in ``tmp/`` count as one."""
        digest = hashlib.sha256(repr(sorted(self.directories)).encode())
        for path, data in sorted(self.files.items()):
            digest.update((path if not path.startswith("tmp/") else "tmp/").encode() + b"\0")
            if not path.startswith("tmp/"):
                digest.update(hashlib.sha256(data).digest())
        return digest.hexdigest()

    def write_to(self, root: Path) -> None:
        """Make it real."""
        for directory in sorted(self.directories | {""}):
            (root / directory).mkdir(parents=True, exist_ok=True)
        for path, data in self.files.items():
            (root / path).write_bytes(data)


class Disk:
    """A repository's directory, as the operations leave it in memory and on the platter."""

    def __init__(self, root: Path) -> None:
        """Everything that lies below ``root`` now is durable."""
        self._names = {str(p.relative_to(root)): _File(p.read_bytes()) for p in root.rglob("*") if p.is_file()}
        self._directories = {str(p.relative_to(root)) for p in root.rglob("*") if p.is_dir()}
        self._open: dict[int, _File] = {}
        self._pending: list[Renamed | Unlinked | MadeDirectory] = []

    def apply(self, operation: Operation) -> None:
        """The next thing that the program asked for."""
        match operation:
            case Created(file):
                self._open[file] = _File(synced=False)
            case Wrote(file, data):
                self._open[file].data += data
                self._open[file].synced = False
            case Synced(file):
                self._open[file].synced = True
            case Renamed() | Unlinked() | MadeDirectory():
                self._pending.append(operation)
            case SyncedDirectory(path):
                settled = [p for p in self._pending if _parent(p.path) == path]
                self._pending = [p for p in self._pending if _parent(p.path) != path]
                for change in settled:
                    self._settle(change, self._names, self._directories)
            case _:
                assert_never(operation)

    def _settle(
        self, change: Renamed | Unlinked | MadeDirectory, names: dict[str, _File], directories: set[str]
    ) -> None:
        match change:
            case Renamed(file, path):
                names[path] = self._open[file]
            case Unlinked(path):
                names.pop(path, None)
            case MadeDirectory(path):
                directories.add(path)

    def remains(self) -> Iterator[Remains]:
        """Every state that a cut at this moment may leave."""
        everything = (Renamed, Unlinked, MadeDirectory)
        for what, kinds in (
            ("all names", everything),
            ("no names", ()),
            ("no removals", (Renamed, MadeDirectory)),
            ("only removals", (Unlinked,)),
        ):
            names, directories = dict(self._names), set(self._directories)
            for change in self._pending:
                if isinstance(change, kinds):
                    self._settle(change, names, directories)
            # A file in a directory that was not kept is not there either.
            placed = {path: file for path, file in names.items() if _parent(path) in directories | {""}}
            for number, file in self._open.items():
                if all(file is not other for other in placed.values()) and "tmp" in directories:
                    placed[f"tmp/{number}"] = file
            for fate in ("whole", "zero length", "torn"):
                left = {path: file.after(fate) for path, file in placed.items()}
                yield Remains(f"{what}, data {fate}", left, frozenset(directories))


def _parent(path: str) -> str:
    return path.rpartition("/")[0]


@dataclass(frozen=True)
class Cut:
    """The power went after ``done`` operations, the last of which was ``last``; ``finished``: the run had ended."""

    done: int
    last: str
    remains: Remains
    finished: bool


def cuts(before: Path, operations: list[Operation]) -> Iterator[Cut]:
    """Every distinct state after every prefix, the empty one included; after the last one, every state."""
    disk = Disk(before)
    known: set[str] = set()
    for done in range(len(operations) + 1):
        if done:
            disk.apply(operations[done - 1])
        for remains in disk.remains():
            finished = done == len(operations)
            if finished or remains.key not in known:
                known.add(remains.key)
                last = operations[done - 1] if done else None
                yield Cut(done, type(last).__name__ + f" {getattr(last, 'path', '')}", remains, finished)
