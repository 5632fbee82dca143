"""A practice in which anything happens to files and folders: random, and the same for the same seed.

Owns: the operations. Does not know: who watches.
"""

import contextlib
import mmap
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path


class Work:
    """Works in ``folder``; ``outside`` is a folder beside it that nobody saves."""

    def __init__(self, folder: Path, outside: Path, seed: int) -> None:
        self.folder = folder
        self.outside = outside
        self._random = random.Random(seed)
        self._number = 0
        self._held: list[int] = []
        self._deeds: list[Callable[[], None]] = [
            self._create, self._create, self._append, self._overwrite, self._map, self._move_file, self._delete,
            self._change_mode, self._change_times, self._link, self._symlink, self._make_tree, self._rename_folder,
            self._remove_folder, self._move_out, self._move_in, self._swap, self._replace_by_file, self._set_xattr,
            self._make_and_rename,
        ]  # fmt: skip

    def some(self, number: int) -> None:
        """That many deeds; one that is impossible just then is left."""
        for _ in range(number):
            with contextlib.suppress(OSError, IndexError):
                self._random.choice(self._deeds)()

    def close(self) -> None:
        for fd in self._held:
            os.close(fd)
        self._held.clear()

    def _name(self) -> str:
        self._number += 1
        return f"n{self._number}é"

    def _folders(self) -> list[Path]:
        return [self.folder, *sorted(p for p in self.folder.rglob("*") if p.is_dir() and not p.is_symlink())]

    def _any_folder(self) -> Path:
        return self._random.choice(self._folders())

    def _inner_folder(self) -> Path:
        return self._random.choice(self._folders()[1:])

    def _any_file(self) -> Path:
        return self._random.choice(sorted(p for p in self.folder.rglob("*") if p.is_file() and not p.is_symlink()))

    def _bytes(self) -> bytes:
        return self._random.randbytes(self._random.randrange(1, 3000))

    def _create(self) -> None:
        (self._any_folder() / self._name()).write_bytes(self._bytes())

    def _append(self) -> None:
        with self._any_file().open("ab") as file:
            file.write(self._bytes())

    def _overwrite(self) -> None:
        """In place, of the same length, by a file that stays open."""
        fd = os.open(self._any_file(), os.O_RDWR)
        self._held.append(fd)
        os.pwrite(fd, self._random.randbytes(4), 0)

    def _map(self) -> None:
        """Through memory, which is no event; the file stays open, the map does not."""
        fd = os.open(self._any_file(), os.O_RDWR)
        self._held.append(fd)
        if os.fstat(fd).st_size:
            with mmap.mmap(fd, 0) as memory:
                memory[0:1] = self._random.randbytes(1)
                memory.flush()

    def _move_file(self) -> None:
        self._any_file().rename(self._any_folder() / self._name())

    def _delete(self) -> None:
        self._any_file().unlink()

    def _change_mode(self) -> None:
        path = self._random.choice([self._any_file(), self._any_folder()])
        path.chmod(self._random.choice([0o700, 0o750, 0o755]))

    def _change_times(self) -> None:
        path = self._random.choice([self._any_file(), self._any_folder()])
        os.utime(path, ns=(0, self._random.randrange(10**18)))

    def _link(self) -> None:
        os.link(self._any_file(), self._any_folder() / self._name())

    def _symlink(self) -> None:
        (self._any_folder() / self._name()).symlink_to("quelque/part")

    def _make_tree(self) -> None:
        top = self._any_folder() / self._name()
        for branch in ("a/b/c", "a/d", "e"):
            (top / branch).mkdir(parents=True)
            (top / branch / "lettre.txt").write_bytes(self._bytes())

    def _rename_folder(self) -> None:
        self._inner_folder().rename(self._any_folder() / self._name())

    def _remove_folder(self) -> None:
        if len(self._folders()) > 12:
            shutil.rmtree(self._inner_folder())

    def _move_out(self) -> None:
        """Without names of files that have others inside: what is done to a file outside is beyond the journal."""
        folder = self._inner_folder()
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.is_symlink() and path.stat().st_nlink > 1:
                path.unlink()
        folder.rename(self.outside / self._name())

    def _move_in(self) -> None:
        """What was outside has changed there meanwhile."""
        folder = self._random.choice(sorted(p for p in self.outside.iterdir() if p.is_dir()))
        (folder / self._name()).write_bytes(self._bytes())
        folder.rename(self._any_folder() / self._name())

    def _swap(self) -> None:
        one, other = self._inner_folder(), self._inner_folder()
        if one in other.parents or other in one.parents or one == other:
            return
        aside = self.folder / self._name()
        one.rename(aside)
        other.rename(one)
        aside.rename(other)

    def _replace_by_file(self) -> None:
        if len(self._folders()) > 12:
            folder = self._inner_folder()
            shutil.rmtree(folder)
            folder.write_bytes(self._bytes())

    def _set_xattr(self) -> None:
        path = self._random.choice([self._any_file(), self._any_folder()])
        os.setxattr(path, "user.dossier", self._random.randbytes(4))

    def _make_and_rename(self) -> None:
        """A new folder that has another name before anybody can look at it."""
        folder = self._any_folder()
        first, second = folder / self._name(), folder / self._name()
        (first / "x").mkdir(parents=True)
        first.rename(second)
        (second / "x" / "tard.txt").write_bytes(self._bytes())
