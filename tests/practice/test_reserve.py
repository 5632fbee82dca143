"""The ballast on a drive, also on one that somebody prepared.

Owns: what lies in its place. Does not know: what a prune needs it for.
"""

import contextlib
import os
import threading
from pathlib import Path

from kinebackup.engine.repository.store import FolderStore
from kinebackup.practice.reserve import make_reserve


def test_a_pipe_in_the_place_of_the_ballast_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "reserve")
    with contextlib.closing(FolderStore(str(tmp_path))) as store:
        thread = threading.Thread(target=make_reserve, args=(store,), daemon=True)
        thread.start()
        thread.join(timeout=20)
        assert not thread.is_alive()
    assert not (tmp_path / "reserve").is_fifo()
