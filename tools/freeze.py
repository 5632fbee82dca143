"""Freeze a small repository of the version at hand under tests/compat/, for ever.

Owns: what is in a frozen repository and what is expected of it. Does not know: how it is tested
(tests/recover/test_compat.py).

    .venv/bin/python -m tools.freeze            writes tests/compat/v1-VERSION, which must not exist yet

Run it once for each release that changes what is written. A frozen repository is never made again: it stands for
drives that exist.
"""

import hashlib
import json
import os
import stat
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from kinebackup import __version__
from kinebackup.engine.backup.backup import back_up
from kinebackup.engine.backup.run import BackupRequest
from kinebackup.engine.environment import Environment
from kinebackup.engine.format import keyring, recovery_code
from kinebackup.engine.format.keyring import Passphrase, RecoveryCode
from kinebackup.engine.format.layout import FOLDER
from kinebackup.engine.repository.lock import LockHolder
from kinebackup.engine.repository.opening import lock_store
from kinebackup.model import CancelToken, SilentMonitor
from kinebackup.sources.folder import FolderSource, SystemNames

COMPAT = Path(__file__).parent.parent / "tests" / "compat"
PASSPHRASE = "une phrase secrète gelée"  # noqa: S105 - of an invented practice, and meant to be known
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


def freeze(target: Path, source: Path) -> None:
    """A repository with two backups: the second after a small change."""
    (target / FOLDER).mkdir(parents=True)
    code = recovery_code.create(os.urandom)
    master, ring = keyring.create(
        [Passphrase.of(PASSPHRASE), RecoveryCode.of(code)], entropy=os.urandom, created=CREATED
    )
    holder = LockHolder(host="cabinet-gele", pid=os.getpid(), boot="", since=CREATED, work="freeze")
    with lock_store(str(target / FOLDER), holder) as locked:
        locked.create(master=master, keyring=ring, repository=os.urandom(16).hex(), created=CREATED)
    expected: dict[str, object] = {"passphrase": PASSPHRASE, "code": code, "source": str(source), "snapshots": []}
    snapshots: list[object] = []
    for day in (1, 2):
        if day == 2:
            (source / "Patients" / "nouveau.txt").write_text("le lendemain")
            (source / "Patients" / "vide.txt").unlink()
        request = BackupRequest(
            sources=[FolderSource(str(source))],
            host="cabinet-gele",
            machine="f0" * 16,
            drive="GELE",
            program=f"kinebackup {__version__}",
            started_at=datetime(2026, 11, 24, day, tzinfo=UTC),
        )
        world = Environment(os.urandom, lambda: 0.0, SystemNames())
        with lock_store(str(target / FOLDER), holder) as locked:
            repository = locked.open(master).load()
            report = back_up(repository, request, world, cancel=CancelToken(), monitor=SilentMonitor()).report
        snapshots.append({"id": report.snapshot, "files": listing(source)})
    expected["snapshots"] = snapshots
    text = json.dumps(expected, ensure_ascii=True, indent=1, sort_keys=True)
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
