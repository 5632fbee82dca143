"""How many bad sectors a drive survives, counted and tried: random sectors of 4 KiB, without and with redundancy.

Owns: a small real drive that is spoilt and restored over and over, and the two tables. Does not know: the counting
(damage_model.py).

    .venv/bin/python -m benchmarks.damage

Each seed gives the same sectors. On the real drive a run loses something where its newest backup does not come back
whole; the bad sectors are as many for each byte as thousands of times more would be on a drive of 100 GB.
"""

import argparse
import contextlib
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.damage_model import MIB, Drive, Protected, drive_of_100_gb
from kinebackup.engine.backup.backup import back_up
from kinebackup.engine.backup.run import BackupRequest
from kinebackup.engine.environment import Environment
from kinebackup.engine.format import keyring, parity
from kinebackup.engine.format.keyring import Argon2Cost, MachineKey
from kinebackup.engine.format.layout import INDEX, PACKS, REMOVALS, SNAPSHOTS, parity_path
from kinebackup.engine.repository.lock import LockHolder
from kinebackup.engine.repository.opening import lock_store, open_store
from kinebackup.engine.repository.redundancy.completing import complete_parity
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.errors import KineError
from kinebackup.model import CancelToken, FileName, SilentMonitor
from kinebackup.sources.folder import FolderSource, SystemNames

COUNTS: Final = (1, 10, 100, 1_000, 10_000)
MEASURED_COUNTS: Final = (1, 3, 10, 30, 100)
_SECTOR: Final = parity.BLOCK_BYTES
_KEY: Final = MachineKey(bytes(32))
_CREATED: Final = "2030-01-01T00:00:00.000000Z"
_HOLDER: Final = LockHolder(host="cabinet-pc", pid=0, boot="", since=_CREATED, work="benchmark")


@dataclass(frozen=True, slots=True)
class Tried:
    """Of so many runs with so many bad sectors each, how many lost something.

    ``counted``: with parity, as the counting has it of the same sectors. ``worse``: lost, although it counts as healed.
    """

    runs: int
    without: int
    with_parity: int
    counted: int
    worse: int


class RealDrive:
    """A backup of some files on a drive in that folder."""

    def __init__(self, place: Path, seed: int) -> None:
        dice = random.Random(seed)
        self._place = place
        self._source = place / "patients"
        self._source.mkdir()
        for number in range(9):
            (self._source / f"film-{number}.bin").write_bytes(dice.randbytes(MIB))
        for number in range(200):
            (self._source / f"note-{number:03d}.txt").write_bytes(dice.randbytes(2000))
        self._root = place / "KINEBACKUP"
        self._root.mkdir()
        master, ring = keyring.create([_KEY], entropy=dice.randbytes, created=_CREATED, cost=Argon2Cost(64, 1, 1))
        request = BackupRequest(
            sources=[FolderSource(str(self._source))],
            host="cabinet-pc",
            machine="c0" * 16,
            drive="A",
            program="benchmark",
            started_at=datetime(2030, 1, 2, tzinfo=UTC),
        )
        with lock_store(str(self._root), _HOLDER) as locked:
            made = locked.create(master=master, keyring=ring, repository=dice.randbytes(16).hex(), created=_CREATED)
            world = Environment(dice.randbytes, time.monotonic, SystemNames())
            repository = made.load()
            back_up(repository, request, world, cancel=CancelToken(), monitor=SilentMonitor())
            assert complete_parity(repository, CancelToken()) == ()
        folders = (PACKS, INDEX, SNAPSHOTS, REMOVALS)
        self._paths = sorted(path for each in folders for path in (self._root / each).rglob("*") if path.is_file())
        self.model = Drive([self._protected(path) for path in self._paths])

    def _parity(self, path: Path) -> Path:
        return self._root / parity_path(FileName(path.name))

    def _protected(self, path: Path) -> Protected:
        return Protected(path.stat().st_size, parity.decode(self._parity(path).read_bytes()).columns)

    def loses(self, drawn: dict[int, set[int]], *, with_parity: bool) -> bool:
        """Whether anything of the backup does not come back while these sectors are zeroed."""
        with contextlib.ExitStack() as undone:
            for number, sectors in sorted(drawn.items()):
                path, blocks = self._paths[number], self.model.files[number].blocks
                for sector in sorted(sectors):
                    file, at = (path, sector) if sector < blocks else (self._parity(path), sector - blocks)
                    undone.enter_context(_spoilt(file, at * _SECTOR))
            if not with_parity:
                aside = self._root / "parity"
                aside.rename(self._place / "aside")
                undone.callback((self._place / "aside").rename, aside)
            return self._restore_fails()

    def _restore_fails(self) -> bool:
        with tempfile.TemporaryDirectory(dir=self._place) as out, open_store(str(self._root)) as store:
            try:
                repository = Repository.open(store, _KEY).load()
                request = RestoreRequest(
                    snapshot=repository.find_snapshot("latest"),
                    wanted=[],
                    destination=out,
                    overwrite="never",
                    as_root=False,
                    salvage=False,
                )
                report = restore_snapshot(
                    repository, request, time.monotonic, cancel=CancelToken(), monitor=SilentMonitor()
                )
            except KineError:
                return True
            return bool(report.problems)

    def try_out(self, count: int, *, runs: int, seed: int) -> Tried:
        """So many times: draw, spoil, restore without parity and with it, undo."""
        dice = random.Random(f"{seed} {count}")
        without = with_parity = counted = worse = 0
        for _ in range(runs):
            drawn = self.model.draw(dice, count)
            expected = any(self.model.files[number].is_lost(bad) for number, bad in drawn.items())
            lost = self.loses(drawn, with_parity=True)
            without += self.loses(drawn, with_parity=False)
            with_parity += lost
            counted += expected
            worse += lost and not expected
        return Tried(runs, without, with_parity, counted, worse)


@contextlib.contextmanager
def _spoilt(path: Path, at: int) -> Iterator[None]:
    """Zeros there, until it is undone."""
    with path.open("r+b") as file:
        file.seek(at)
        before = file.read(_SECTOR)
        file.seek(at)
        file.write(bytes(len(before)))
    yield
    with path.open("r+b") as file:
        file.seek(at)
        file.write(before)


def counted_table(runs: int, seed: int) -> list[str]:
    drive = drive_of_100_gb()
    lines = [
        "| bad sectors | runs with a loss, without parity | with it | files that lose something, without | with it |",
        "|---|---|---|---|---|",
    ]
    for count in COUNTS:
        found = drive.shares(count, runs=max(100, min(runs, 200 * runs // count)), seed=seed)
        lines.append(
            f"| {count:,} | {found.without:.2%} | {found.with_parity:.2%} "
            f"| {found.files_without:,.1f} | {found.files_with_parity:,.3f} |"
        )
    return lines


def measured_table(drive: RealDrive, runs: int, seed: int) -> list[str]:
    lines = [
        f"| bad sectors of {drive.model.sectors:,} | without redundancy, tried | counted | with it, tried | counted |",
        "|---|---|---|---|---|",
    ]
    for count in MEASURED_COUNTS:
        tried = drive.try_out(count, runs=runs, seed=seed)
        shares = drive.model.shares(count, runs=4000, seed=seed)
        lines.append(
            f"| {count} | {tried.without / runs:.0%} | {shares.without:.0%} "
            f"| {tried.with_parity / runs:.0%} | {shares.with_parity:.0%} |"
        )
    return lines


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="benchmarks.damage", description=__doc__)
    parser.add_argument("--runs", type=int, default=10_000, help="counted")
    parser.add_argument("--tries", type=int, default=30, help="on the real drive, for each number of sectors")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--dir", type=Path, default=Path("/dev/shm"), help="where to work; emptied afterwards")
    options = parser.parse_args(arguments)
    print("\n".join(counted_table(options.runs, options.seed)), end="\n\n", flush=True)
    with tempfile.TemporaryDirectory(prefix="kinebackup-bench-", dir=options.dir) as folder:
        print("\n".join(measured_table(RealDrive(Path(folder), options.seed), options.tries, options.seed)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
