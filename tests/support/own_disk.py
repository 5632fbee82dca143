"""This computer's own disk in trouble: a small real one, full or read-only.

Owns: making it and bringing it in trouble. Does not know: what is kept on it.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

Trouble = Literal["full", "no more files", "read-only"]
TROUBLES: tuple[Trouble, ...] = ("full", "no more files", "read-only")
SAID = {
    "full": "this computer's disk is full",
    "no more files": "this computer's disk is full",
    "read-only": "this computer's disk can only be read",
}


class OwnDisk:
    """A disk that is mounted over a folder, with what was in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def trouble(self, which: Trouble) -> None:
        """From now on nothing can be written there."""
        match which:
            case "full":
                with contextlib.suppress(OSError), (self.folder / "others").open("wb", buffering=0) as filling:
                    while True:
                        filling.write(b"x" * 4096)
                self._until_nothing_fits()
            case "no more files":
                self._until_nothing_fits()
            case "read-only":
                self._mount("remount,ro,bind")

    def _until_nothing_fits(self) -> None:
        with contextlib.suppress(OSError):
            for number in range(10_000):
                (self.folder / f"other {number}").write_bytes(b"x")

    def recover(self) -> None:
        """There is room again, and it can be written to."""
        self._mount("remount,rw,bind")
        for path in self.folder.glob("other*"):
            path.unlink()

    def _mount(self, options: str) -> None:
        subprocess.run(["mount", "--options", options, str(self.folder)], check=True)


@contextlib.contextmanager
def own_disk(folder: Path) -> Iterator[OwnDisk]:
    """That folder on a disk of its own, of 1 MB."""
    if os.geteuid() != 0:
        pytest.skip("only root mounts")
    before = folder.with_name(f"{folder.name} before")
    if folder.exists():
        folder.rename(before)
    folder.mkdir(mode=0o700)
    options = "size=1m,nr_inodes=64,mode=0700"
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "own", str(folder)], capture_output=True, check=False)
    if done.returncode:
        pytest.skip("nothing may be mounted here")
    try:
        if before.exists():
            shutil.copytree(before, folder, dirs_exist_ok=True)
        yield OwnDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
