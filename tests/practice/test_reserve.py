"""The ballast on a drive, also on one that somebody prepared.

Owns: what lies in its place. Does not know: what a prune needs it for.
"""

import contextlib
import os
import threading
from pathlib import Path

from kinebackup.engine.repository.store import FolderStore
from kinebackup.practice.reserve import make_reserve


def test_the_ballast_is_two_percent_of_the_drive_and_64_mib_at_most(tmp_path: Path) -> None:
    with contextlib.closing(FolderStore(str(tmp_path))) as store:
        make_reserve(store)
    space, made = os.statvfs(tmp_path), (tmp_path / "reserve").stat()
    assert made.st_size == min(64 * 2**20, space.f_blocks * space.f_frsize // 50)
    assert made.st_blocks * 512 >= made.st_size  # the room is taken, and not only named
    (tmp_path / "reserve").unlink()


def test_a_pipe_in_the_place_of_the_ballast_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "reserve")
    with contextlib.closing(FolderStore(str(tmp_path))) as store:
        thread = threading.Thread(target=make_reserve, args=(store,), daemon=True)
        thread.start()
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert not (tmp_path / "reserve").is_fifo()
