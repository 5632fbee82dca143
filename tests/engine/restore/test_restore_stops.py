"""Stopping a restore within a file: soon, and without a trace of the file that was begun.

Owns: a store that asks to stop while a file's content is being read. Does not know: signals.
"""

from pathlib import Path

import pytest
from support.engine.drives import back_up, below, enroll, noise, restored

from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import Cancelled
from kinebackup.model import CancelToken


class StoppingStore(FolderStore):
    """Somebody presses Ctrl-C after so many reads of packs."""

    def __init__(self, root: str, cancel: CancelToken, reads: int) -> None:
        super().__init__(root)
        self._cancel = cancel
        self._left = reads

    def read(self, path: str, offset: int = 0, size: int | None = None) -> bytes:
        if path.startswith("packs/"):
            self._left -= 1
            if self._left == 0:
                self._cancel.cancel()
        return super().read(path, offset, size)


def test_a_restore_stops_within_a_large_file_and_leaves_nothing_of_it(tmp_path: Path) -> None:
    source = tmp_path / "Patients"
    source.mkdir()
    (source / "film.bin").write_bytes(noise("film", 30_000_000))
    drive = enroll(tmp_path / "drive")
    back_up(drive, source)
    cancel = CancelToken()
    store = StoppingStore(str(drive.root), cancel, reads=8)
    with pytest.raises(Cancelled):
        restored(drive, tmp_path / "back", store=store, cancel=cancel)
    store.close()
    assert list(below(tmp_path / "back", source).iterdir()) == []
    report = restored(drive, tmp_path / "back")
    assert (report.files_restored, report.problems) == (1, ())
    assert (below(tmp_path / "back", source) / "film.bin").read_bytes() == noise("film", 30_000_000)
