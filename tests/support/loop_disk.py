"""A small real file system on a loop device.

Owns: making it, mounting it, and that nothing of it stays. Does not know: what is kept on it.
"""

import contextlib
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

MIB = 2**20


@contextlib.contextmanager
def mounted_ext4(folder: Path, size_bytes: int, *options: str, at: Path | None = None) -> Iterator[Path]:
    """An ext4 of that size, made with these options of ``mkfs``; mounted ``at`` a folder, or beside its image.

    The test is skipped where nobody may mount.
    """
    if os.geteuid() != 0:
        pytest.skip("only root may mount")
    image, place = folder / "disk.img", at or folder / "disk"
    place.mkdir(parents=True)
    with image.open("wb") as file:
        file.truncate(size_bytes)
    subprocess.run(["mkfs.ext4", "-q", "-m", "0", *options, str(image)], check=True, capture_output=True)
    done = subprocess.run(["mount", "-o", "loop", str(image), str(place)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine cannot mount that: {done.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
