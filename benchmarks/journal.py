"""What the journal of the sources saves: a backup of many files, of which none or few have changed.

Owns: the four backups, and what watching costs. Does not know: the peers (compare.py).

    .venv/bin/python -m benchmarks.journal --files 1000000

All is done in one process, as the daemon does it; files and drive lie in the same folder, in memory by default.
"""

import argparse
import logging
import os
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from kinebackup.change_journal.cursors import JournalCursors
from kinebackup.engine.backup.backup import back_up
from kinebackup.engine.backup.run import BackupOutcome, BackupRequest
from kinebackup.engine.environment import Environment
from kinebackup.engine.format import keyring
from kinebackup.engine.format.keyring import Argon2Cost, MachineKey
from kinebackup.engine.repository.lock import LockHolder
from kinebackup.engine.repository.opening import lock_store
from kinebackup.model import CancelToken, SilentMonitor
from kinebackup.practice.this_computer import raise_open_file_limit
from kinebackup.sources.folder import FolderSource, SystemNames
from kinebackup.wiring import make_journal, make_world

FILES_EACH = 100
FOLDERS_EACH = 100
_KEY = MachineKey(bytes(32))
_CREATED = "2030-01-01T00:00:00.000000Z"
_HOLDER = LockHolder(host="cabinet-pc", pid=0, boot="", since=_CREATED, work="benchmark")


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of the table."""

    name: str
    value: str


def make_files(root: Path, files: int) -> int:
    """Folders of 100 files of about 500 bytes, 100 of these in one; returns the number of folders."""
    folders = max(1, files // FILES_EACH)
    for number in range(folders):
        folder = root / f"{number // FOLDERS_EACH:03d}" / f"dossier-{number:06d}"
        folder.mkdir(parents=True)
        for file in range(FILES_EACH):
            text = f"Séance {file} du dossier {number}\n" * 12
            (folder / f"seance-{file:03d}.txt").write_text(text, encoding="utf-8")
    return folders


def change_some(root: Path, folders: int) -> None:
    """One file in each of ten folders."""
    for number in range(0, folders, max(1, folders // 10)):
        path = root / f"{number // FOLDERS_EACH:03d}" / f"dossier-{number:06d}" / "seance-050.txt"
        path.write_text("corrigée\n", encoding="utf-8")


class Bench:
    """A drive and the way to back up to it."""

    def __init__(self, place: Path, source: FolderSource, tracking: JournalCursors) -> None:
        self._source = source
        self._continuity = tracking
        self._root = place / "KINEBACKUP"
        self._root.mkdir()
        ring = keyring.create([_KEY], entropy=os.urandom, created=_CREATED, cost=Argon2Cost(64, 1, 1))
        with lock_store(str(self._root), _HOLDER) as locked:
            locked.create(master=ring[0], keyring=ring[1], repository=os.urandom(16).hex(), created=_CREATED)

    def back_up(self, *, follow: bool) -> BackupOutcome:
        """From opening the drive to the snapshot. Without ``follow``, the journal is asked nothing."""
        now = datetime.now(UTC)
        with lock_store(str(self._root), _HOLDER) as locked:
            repository = locked.open(_KEY).load()
            tracked = self._continuity.begin(repository.id, [self._source], now)
            assert tracked is not None
            request = BackupRequest(
                sources=[self._source],
                host="cabinet-pc",
                machine="c0" * 16,
                drive="A",
                program="benchmark",
                started_at=now,
                since=tracked.since if follow else None,
            )
            world = Environment(os.urandom, time.monotonic, SystemNames())
            taken = back_up(repository, request, world, cancel=CancelToken(), monitor=SilentMonitor())
            assert self._continuity.end(tracked, taken.report, taken.tracking, now) == []
        return taken


@dataclass(frozen=True, slots=True)
class Timed:
    """A backup, how long it took, and the processor time of this process meanwhile."""

    taken: BackupOutcome
    wall_s: float
    cpu_s: float


def timed(work: Callable[[], BackupOutcome]) -> Timed:
    wall, cpu = time.perf_counter(), time.process_time()
    taken = work()
    return Timed(taken, time.perf_counter() - wall, time.process_time() - cpu)


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def run(place: Path, files: int) -> list[Figure]:
    """Everything, once."""
    raise_open_file_limit()
    root = place / "Patients"
    folders = make_files(root, files)
    source = FolderSource(str(root))
    journal = make_journal([source], make_world())
    before_mb, began = resident_mb(), time.perf_counter()
    journal.start()
    assert journal.wait(600)
    status = journal.status()
    assert status.state == "watching", status
    figures = [
        Figure("files, folders", f"{folders * FILES_EACH:,}, {folders:,}"),
        Figure("watching them: until it does", f"{time.perf_counter() - began:.2f} s"),
        Figure("watching them: memory", f"{resident_mb() - before_mb:.1f} MB"),
    ]
    bench = Bench(place, source, JournalCursors(journal))
    try:
        for name, follow, changed in (
            ("first backup", True, False),
            ("no change, full scan", False, False),
            ("no change, with the journal", True, False),
            ("no change, with the journal, again", True, False),
            ("10 files changed, with the journal", True, True),
        ):
            if changed:
                change_some(root, folders)
            done = timed(partial(bench.back_up, follow=follow))
            figures.append(Figure(name, f"{done.wall_s:.2f} s, of the processor {done.cpu_s:.2f} s"))
            report, expected = done.taken.report, 10 if changed else 0
            assert report.files_new + report.files_unmodified + report.files_changed == folders * FILES_EACH
            assert name == "first backup" or (done.taken.tracking.followed, report.files_changed) == (follow, expected)
    finally:
        journal.stop()
    return figures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.journal", description=__doc__)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where to work; emptied afterwards")
    options = parser.parse_args(arguments)
    if options.files < 10 * FILES_EACH:
        parser.error(f"--files: at least {10 * FILES_EACH}, for one file in each of ten folders is changed")
    logging.basicConfig(level=logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="kinebackup-bench-", dir=options.dir) as folder:
        for figure in run(Path(folder), options.files):
            print(f"{figure.name:<40} {figure.value}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
