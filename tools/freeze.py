"""Freeze a small repository of the version at hand under tests/compat/, for ever.

Owns: what is in a frozen repository and what is expected of it. Does not know: how it is tested
(tests/recover/test_compat.py).

    .venv/bin/python -m tools.freeze            writes tests/compat/v1-VERSION, which must not exist yet

Run it once for each release that changes what is written. A frozen repository is never made again: it stands for
drives that exist.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from kinebackup import __version__
from kinebackup.engine.backup.backup import back_up
from kinebackup.engine.backup.run import BackupRequest
from kinebackup.engine.environment import Environment
from kinebackup.engine.format import keyring, recovery_code
from kinebackup.engine.format.keyring import Passphrase, RecoveryCode
from kinebackup.engine.format.layout import FOLDER
from kinebackup.engine.prune.prune import PruneRequest, prune_snapshots
from kinebackup.engine.repository.lock import LockHolder
from kinebackup.engine.repository.opening import lock_store
from kinebackup.engine.repository.removals import Remover, record_removal
from kinebackup.model import BlobId, CancelToken, FileName, SilentMonitor
from kinebackup.sources.folder import FolderSource, SystemNames

COMPAT = Path(__file__).parent.parent / "tests" / "compat"
PASSPHRASE = "une phrase secrète gelée"  # noqa: S105 - of an invented practice, and meant to be known
HOST, MACHINE = "cabinet-gele", "f0" * 16
CARRIED = "Patients/Exemple-1/séance-07.txt"
GIVEN_UP = BlobId(bytes(range(16)))
CREATED = "2026-11-24T00:00:00.000000Z"


def make_source(folder: Path) -> None:
    """Invented files of every kind that needs no root; sizes that make every kind of segment and of blob list."""
    patients = folder / "Patients"
    (patients / "Exemple-1").mkdir(parents=True)
    for number in range(40):
        text = f"Bilan {number} : épaule droite, amplitude {number * 3} degrés.\n" * 20
        (patients / "Exemple-1" / f"séance-{number:02d}.txt").write_text(text, encoding="utf-8")
    (patients / "vide.txt").write_bytes(b"")
    (patients / "image.jpg").write_bytes(hashlib.shake_256(b"image").digest(60_000))
    base = b"SQLite format 3\0" + b"".join(number.to_bytes(4, "big") * 2048 for number in range(300))
    (folder / "cabinet.sqlite").write_bytes(base)
    os.symlink("Exemple-1/séance-00.txt", patients / "dernier")
    os.link(patients / "image.jpg", patients / "même-image.jpg")
    os.mkfifo(patients / "tuyau", 0o640)
    (patients / os.fsdecode(b"lettre-\xe9.txt")).write_text("a name in Latin-1")
    (patients / "ligne\nsuivante.txt").write_text("a name with a line break")
    with (patients / "creux.img").open("wb") as sparse:
        sparse.truncate(2_000_000)
        sparse.seek(1_048_576)
        sparse.write(b"au milieu")
    (patients / "lecture-seule.txt").write_text("0o400")
    (patients / "lecture-seule.txt").chmod(0o400)
    os.utime(patients / "vide.txt", ns=(0, -86_400_000_000_123))
    os.utime(patients / "image.jpg", ns=(0, 4_102_444_800_000_000_007))


def listing(root: Path) -> dict[str, dict[str, object]]:
    """What a restore must bring back, by path; names as Python's file functions give them, escaped for JSON."""
    found: dict[str, dict[str, object]] = {}
    for path in sorted(root.rglob("*")):
        about = path.lstat()
        entry: dict[str, object] = {"mode": stat.S_IMODE(about.st_mode), "mtime": about.st_mtime_ns}
        if stat.S_ISLNK(about.st_mode):
            entry = {"target": str(path.readlink())}
        elif stat.S_ISREG(about.st_mode):
            entry["sha256"] = hashlib.sha256(path.read_bytes()).hexdigest()
        elif stat.S_ISFIFO(about.st_mode):
            entry["fifo"] = True
        found[str(path.relative_to(root))] = entry
    return found


@contextlib.contextmanager
def held_by_another_program(path: Path) -> Iterator[None]:
    """Whoever would open the file is told to come back later, root too: so a backup cannot read it."""
    before = signal.signal(signal.SIGIO, signal.SIG_IGN)
    fd = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
        yield
    finally:
        os.close(fd)
        signal.signal(signal.SIGIO, before)


class Frozen:
    """A repository that is being made, and what is expected of it."""

    def __init__(self, target: Path, source: Path) -> None:
        self._folder, self._source = target / FOLDER, source
        self._folder.mkdir(parents=True)
        code = recovery_code.create(os.urandom)
        self._master, ring = keyring.create(
            [Passphrase.of(PASSPHRASE), RecoveryCode.of(code)], entropy=os.urandom, created=CREATED
        )
        self._holder = LockHolder(host=HOST, pid=os.getpid(), boot="", since=CREATED, work="freeze")
        self._world = Environment(os.urandom, lambda: 0.0, SystemNames())
        with lock_store(str(self._folder), self._holder) as locked:
            locked.create(master=self._master, keyring=ring, repository=os.urandom(16).hex(), created=CREATED)
        self.snapshots: list[object] = []
        self.expected = {"passphrase": PASSPHRASE, "code": code, "source": str(source), "snapshots": self.snapshots}

    def back_up(self, day: int) -> str:
        """A backup of that day; its name."""
        request = BackupRequest(
            sources=[FolderSource(str(self._source))],
            host=HOST,
            machine=MACHINE,
            drive="GELE",
            program=f"kinebackup {__version__}",
            started_at=datetime(2026, 11, 24, day, tzinfo=UTC),
        )
        with lock_store(str(self._folder), self._holder) as locked:
            repository = locked.open(self._master).load()
            done = back_up(repository, request, self._world, cancel=CancelToken(), monitor=SilentMonitor())
        assert done.report.snapshot is not None
        return done.report.snapshot

    def remove(self, name: str) -> None:
        """A removal record of that snapshot, and one of a list that was given up; what only it needed goes."""
        by = Remover(datetime(2026, 11, 25, tzinfo=UTC), HOST, MACHINE)
        request = PruneRequest([FileName(name)], accept_share=True)
        with lock_store(str(self._folder), self._holder) as locked:
            repository = locked.open(self._master).load()
            record_removal(repository, [], by, os.urandom, given_up=[GIVEN_UP])  # first: a prune completes its parity
            prune_snapshots(repository, request, self._world, by=by, cancel=CancelToken(), monitor=SilentMonitor())
        self.expected |= {"removed": [{"id": name, "sequence": 1}], "given_up": [GIVEN_UP.hex()]}

    def expect(self, name: str, files: dict[str, dict[str, object]], *carried: str) -> None:
        """What a restore of that snapshot must bring back, and what of it is of the snapshot before."""
        self.snapshots.append({"id": name, "files": files, "carried": carried})


def freeze(target: Path, source: Path) -> None:
    """Three backups: the first is removed in the end, the second is whole, and to the third something was not readable,
    which it has as it was.
    """
    made = Frozen(target, source)
    patients = source / "Patients"
    (patients / "brouillon.txt").write_text("of the first backup only")
    first = made.back_up(1)
    (patients / "brouillon.txt").unlink()
    made.expect(made.back_up(2), listing(source))
    (patients / "nouveau.txt").write_text("le lendemain")
    (patients / "vide.txt").unlink()
    as_it_was = listing(source)
    (source / CARRIED).write_text("what nobody could read")
    with held_by_another_program(source / CARRIED):
        made.expect(made.back_up(3), as_it_was, CARRIED)
    made.remove(first)
    text = json.dumps(made.expected, ensure_ascii=True, indent=1, sort_keys=True)
    (target / "expected.json").write_text(text + "\n", encoding="ascii")
    (target / FOLDER / "tmp" / ".keep").write_bytes(b"")
    (target / FOLDER / "damaged" / ".keep").write_bytes(b"")


def main() -> int:
    target = COMPAT / f"v1-{__version__}"
    if target.exists():
        sys.stderr.write(f"{target} exists: a frozen repository is never changed\n")
        return 1
    with tempfile.TemporaryDirectory(prefix="gele-") as folder:
        source = Path(folder) / "cabinet"
        make_source(source)
        freeze(target, source)
    return 0


if __name__ == "__main__":
    sys.exit(main())
