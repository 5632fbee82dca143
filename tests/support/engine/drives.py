"""A small practice for the tests of the engine: patient folders, an enrolled drive, and the main jobs on them.

Owns: builders with seeded random bytes and an invented calendar, and how two trees are compared.
Does not know: what is expected.
"""

import contextlib
import hashlib
import os
import shutil
import stat as st
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from support.ports import Calendar, Dice, Stopwatch

from kinebackup.engine.backup.backup import back_up as engine_back_up
from kinebackup.engine.backup.backup import preview_backup
from kinebackup.engine.backup.parent.directory import WINDOW_SIZE, WindowSize
from kinebackup.engine.backup.run import BackupRequest
from kinebackup.engine.check.restore_test import RestoreTestRequest, restore_test
from kinebackup.engine.check.verify import Budget, Verification
from kinebackup.engine.environment import Environment
from kinebackup.engine.format import keyring
from kinebackup.engine.format.key_schedule import MasterKey
from kinebackup.engine.format.keyring import Argon2Cost, Keyring, MachineKey, Passphrase
from kinebackup.engine.prune.missing_snapshots import find_missing_snapshots
from kinebackup.engine.prune.prune import PruneRequest, preview_prune, prune_snapshots
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.index_files import forget_lost_files
from kinebackup.engine.repository.lock import LockHolder
from kinebackup.engine.repository.opening import lock_store
from kinebackup.engine.repository.redundancy.completing import complete_parity
from kinebackup.engine.repository.removals import Remover
from kinebackup.engine.repository.repository import LoadedRepository, LockedRepository, Repository, WritableRepository
from kinebackup.engine.repository.store import FolderStore, Store
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.engine.restore.existing import Overwrite
from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
from kinebackup.engine.source import Source
from kinebackup.model import (
    BackupReport,
    CancelToken,
    FileName,
    Monitor,
    PruneReport,
    RestoreReport,
    RestoreTestReport,
    SeenSnapshot,
    SilentMonitor,
    VerifyReport,
)
from kinebackup.sources.folder import FolderSource, SystemNames

MACHINE_KEY = MachineKey(bytes(range(32)))
PASSPHRASE = Passphrase.of("exemple de phrase pour les essais")
CHEAP = Argon2Cost(memory_kib=64, passes=1, lanes=1)
HOLDER = LockHolder(host="cabinet-pc", pid=4242, boot="boot", since="2040-01-01", work="backup")
CREATED = "2030-01-01T00:00:00.000000Z"
MACHINE = "c0" * 16


@dataclass
class Drive:
    """A drive of the practice: ``root`` is its KINEBACKUP directory.

    ``keeps_parity``: else each run is followed by its loss, so that damage is damage: what is tried without parity is
    what is beyond its reach.
    """

    root: Path
    master: MasterKey = field(repr=False)
    ring: Keyring = field(repr=False)
    dice: Dice = field(repr=False)
    calendar: Calendar = field(default_factory=Calendar, repr=False)
    keeps_parity: bool = False

    def lose_parity(self) -> None:
        """Unless the drive keeps it."""
        for path in self.files("parity"):
            if path.suffix == ".xor" and not self.keeps_parity:
                path.unlink()

    def world(self) -> Environment:
        return Environment(self.dice, Stopwatch(), SystemNames())

    def files(self, directory: str) -> list[Path]:
        """Regular files below a directory of the repository, sorted."""
        return sorted(path for path in (self.root / directory).rglob("*") if path.is_file())

    def copied_to(self, folder: Path) -> "Drive":
        """The same drive, byte by byte, at another place."""
        shutil.copytree(self.root, folder / "KINEBACKUP")
        return replace(self, root=folder / "KINEBACKUP")


def enroll(folder: Path, *, seed: str = "drive", practice: Drive | None = None, keeps_parity: bool = False) -> Drive:
    """An empty repository below the folder; of the same practice as another drive where one is given."""
    root = folder / "KINEBACKUP"
    root.mkdir(parents=True)
    dice = Dice(seed)
    if practice is None:
        master, ring = keyring.create([MACHINE_KEY, PASSPHRASE], entropy=dice, created=CREATED, cost=CHEAP)
    else:
        master, ring = practice.master, practice.ring
    with lock_store(str(root), HOLDER) as locked:
        locked.create(master=master, keyring=ring, repository=dice(16).hex(), created=CREATED)
    return Drive(root, master, ring, dice, keeps_parity=keeps_parity)


@contextlib.contextmanager
def opened(drive: Drive, store: Store | None = None) -> Iterator[Repository]:
    """The unlocked repository, its index not yet loaded; through another ``Store`` where one is given."""
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        yield Repository.open(store or folder, MACHINE_KEY)


@contextlib.contextmanager
def loaded(drive: Drive, store: Store | None = None) -> Iterator[LoadedRepository]:
    """The unlocked repository with its index, to be read."""
    with opened(drive, store) as repository:
        yield repository.load()


@contextlib.contextmanager
def locked(drive: Drive, store: Store | None = None) -> Iterator[LockedRepository]:
    """The unlocked repository, its index not yet loaded, held by its only writer."""
    with lock_store(str(drive.root), HOLDER, store) as files:
        yield files.open(MACHINE_KEY)


@contextlib.contextmanager
def writable(drive: Drive, store: Store | None = None) -> Iterator[WritableRepository]:
    """The same with its index."""
    with locked(drive, store) as repository:
        yield repository.load()


def request_for(drive: Drive, *sources: Path | Source, started_at: datetime | None = None) -> BackupRequest:
    """What a backup of these folders asks of the engine, on the drive's next day if no time is given."""
    return BackupRequest(
        sources=[FolderSource(str(s)) if isinstance(s, Path) else s for s in sources],
        host="cabinet-pc",
        machine=MACHINE,
        drive="A",
        program="kinebackup tests",
        started_at=started_at or drive.calendar.next_day(),
    )


def back_up(
    drive: Drive,
    *sources: Path | Source,
    store: Store | None = None,
    cancel: CancelToken | None = None,
    monitor: Monitor | None = None,
    started_at: datetime | None = None,
    accept_shrink: bool = False,
    dry_run: bool = False,
    read_back: bool = True,
    window: WindowSize = WINDOW_SIZE,
    machine: str = MACHINE,
    host: str = "cabinet-pc",
) -> BackupReport:
    """One backup of these folders, the healing of the index that follows it, and what is lacking of parity."""
    request = replace(
        request_for(drive, *sources, started_at=started_at),
        host=host,
        machine=machine,
        accept_shrink=accept_shrink,
        read_back=read_back,
        window=window,
    )
    cancel, monitor = cancel or CancelToken(), monitor or SilentMonitor()
    if dry_run:
        with loaded(drive, store) as seen_only:
            return preview_backup(seen_only, request, drive.world(), cancel=cancel, monitor=monitor)
    try:
        with writable(drive, store) as repository:
            report = engine_back_up(repository, request, drive.world(), cancel=cancel, monitor=monitor).report
            forget_lost_files(repository, drive.dice)
            return replace(report, problems=(*report.problems, *complete_parity(repository, cancel)))
    finally:
        drive.lose_parity()


def restored(
    drive: Drive,
    into: Path,
    snapshot: str = "latest",
    *,
    paths: Sequence[str] = (),
    overwrite: Overwrite = "never",
    salvage: bool = False,
    store: Store | None = None,
    cancel: CancelToken | None = None,
    monitor: Monitor | None = None,
) -> RestoreReport:
    """A restore of the snapshot below ``into``, where each source keeps its full path."""
    with loaded(drive, store) as repository:
        named = repository.find_snapshot(snapshot)
        trees = TreeReader(BlobReader(repository), lambda problem: None)
        request = RestoreRequest(
            snapshot=named,
            wanted=[trees.find(named.snapshot.root, path) for path in paths],
            destination=str(into),
            overwrite=overwrite,
            as_root=os.geteuid() == 0,
            salvage=salvage,
        )
        return restore_snapshot(
            repository, request, Stopwatch(), cancel=cancel or CancelToken(), monitor=monitor or SilentMonitor()
        )


def verified(drive: Drive, *, store: Store | None = None, cancel: CancelToken | None = None) -> VerifyReport:
    """A verification of everything, as ``kinebackup verify --full`` does it."""
    with loaded(drive, store) as repository:
        order = sorted(repository.packs)
        check = Verification(
            repository,
            order,
            Budget(),
            lambda name, ok: None,
            cancel=cancel or CancelToken(),
            monitor=SilentMonitor(),
        )
        return check.run(Stopwatch())


def pruned(
    drive: Drive,
    *remove: str,
    store: Store | None = None,
    cancel: CancelToken | None = None,
    dry_run: bool = False,
    give_up: Sequence[str] = (),
    accept_share: bool = False,
    remembered: Sequence[SeenSnapshot] = (),
) -> PruneReport:
    """A prune that removes these snapshots. ``remembered``: what the computer has seen on the drive."""
    cancel = cancel or CancelToken()

    def request(repository: Repository) -> PruneRequest:
        missing = find_missing_snapshots(repository, remembered)
        return PruneRequest([FileName(name) for name in remove], missing, give_up, accept_share)

    if dry_run:
        with loaded(drive, store) as seen_only:
            wanted = request(seen_only)
            return preview_prune(seen_only, wanted, drive.world(), cancel=cancel, monitor=SilentMonitor())
    by = Remover(at=drive.calendar.next_day(), host="cabinet-pc", machine=MACHINE)
    try:
        with writable(drive, store) as repository:
            return prune_snapshots(
                repository, request(repository), drive.world(), by=by, cancel=cancel, monitor=SilentMonitor()
            )
    finally:
        drive.lose_parity()


def proven(
    drive: Drive,
    scratch: Path,
    snapshot: str = "latest",
    *,
    files: int | None = None,
    seed: int = 1,
    compare_with_source: bool = True,
    as_root: bool = os.geteuid() == 0,
) -> RestoreTestReport:
    """A restore test, of every file where no number is given; ``scratch`` is made."""
    scratch.mkdir(mode=0o700, parents=True, exist_ok=True)
    with loaded(drive) as repository:
        request = RestoreTestRequest(
            snapshot=repository.find_snapshot(snapshot),
            files=files,
            seed=seed,
            scratch=[str(scratch)],
            key_slot="machine",
            compare_with_source=compare_with_source,
            as_root=as_root,
        )
        return restore_test(repository, request, Stopwatch(), cancel=CancelToken(), monitor=SilentMonitor())


@contextlib.contextmanager
def in_memory(otherwise: Path) -> Iterator[Path]:
    """A folder where a sync costs nothing, for tests that make hundreds of drives; gone afterwards."""
    if not os.access("/dev/shm", os.W_OK):
        yield otherwise
        return
    with tempfile.TemporaryDirectory(prefix="kinebackup-tests-", dir="/dev/shm") as folder:
        yield Path(folder)


# -- what is saved -----------------------------------------------------------------------------------------------


def noise(seed: str, size: int) -> bytes:
    """Bytes that do not compress, always the same for a seed."""
    return hashlib.shake_256(seed.encode("utf-8")).digest(size)


def make_patients(folder: Path) -> Path:
    """Patient folders with one of everything that a backup must bring back; small. Returns the folder."""
    (folder / "Dupont" / "radios").mkdir(parents=True)
    (folder / "Durand").mkdir()
    (folder / "vide").mkdir(mode=0o750)
    (folder / "Dupont" / "bilan.txt").write_text("Bilan initial : épaule droite\n" * 40, encoding="utf-8")
    (folder / "Dupont" / "radios" / "image.jpg").write_bytes(noise("image", 90_000))
    (folder / "Dupont" / "radios" / "film.bin").write_bytes(noise("film", 700_000))
    (folder / "Durand" / "vide.txt").write_bytes(b"")
    (folder / "Durand" / "secret.txt").write_text("mode zéro", encoding="utf-8")
    (folder / "Durand" / "ligne\nsuivante").write_text("a name with a newline", encoding="utf-8")
    Path(os.fsdecode(os.fsencode(folder / "Durand") + b"/lettre-\xe9.doc")).write_bytes(b"a name in Latin-1")
    os.link(folder / "Dupont" / "bilan.txt", folder / "Durand" / "même-bilan.txt")
    (folder / "dernier").symlink_to("Dupont/bilan.txt")
    (folder / "ailleurs").symlink_to("/nulle/part")
    os.mkfifo(folder / "tuyau", 0o640)
    with (folder / "creux.img").open("wb") as sparse:
        sparse.truncate(3_000_000)
        sparse.seek(1_000_000)
        sparse.write(noise("creux", 5000))
    with contextlib.suppress(OSError):  # a file system without user attributes proves the rest all the same
        os.setxattr(folder / "Dupont" / "bilan.txt", "user.dossier", b"\x00kin\xe9")
    os.utime(folder / "Dupont" / "bilan.txt", ns=(0, -86_400_000_000_123))
    os.utime(folder / "Durand" / "vide.txt", ns=(0, 4_000_000_000_000_000_007))
    os.chmod(folder / "Durand" / "secret.txt", 0 if os.geteuid() == 0 else 0o400)  # what is 0 only root reads
    os.chmod(folder / "Durand", 0o2770)
    return folder


def edit_patients(folder: Path) -> None:
    """A day's work on ``make_patients``: one file new, one changed, one removed, one renamed, a large one edited."""
    (folder / "Martin").mkdir()
    (folder / "Martin" / "séance.txt").write_text("Première séance\n" * 30, encoding="utf-8")
    (folder / "Durand" / "vide.txt").write_text("plus vide", encoding="utf-8")
    (folder / "Dupont" / "radios" / "image.jpg").unlink()
    (folder / "ailleurs").rename(folder / "là-bas")
    with (folder / "Dupont" / "radios" / "film.bin").open("r+b") as film:
        film.seek(350_000)
        film.write(noise("séquence", 1000))


# -- comparing ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything of one name that a restore must bring back. ``links``: all names of the same inode, when several."""

    type: str
    mode: int
    owner: tuple[int, int]
    mtime_ns: int | None
    size: int = 0
    sha256: str = ""
    target: str = ""
    xattrs: tuple[tuple[str, bytes], ...] = ()
    links: tuple[str, ...] = ()
    device: int = 0


def seen(root: Path) -> dict[str, Seen]:
    """What lies below a folder (and the folder itself as ``.``), by relative path."""
    paths = [root, *_below(root)]
    names: dict[tuple[int, int], list[str]] = {}
    for path in paths:
        stat = path.lstat()
        if stat.st_nlink > 1 and not st.S_ISDIR(stat.st_mode):
            names.setdefault((stat.st_dev, stat.st_ino), []).append(str(path.relative_to(root)))
    return {str(path.relative_to(root)): _look(path, names) for path in paths}


def _below(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        yield path
        if path.is_dir() and not path.is_symlink():
            yield from _below(path)


def _look(path: Path, names: dict[tuple[int, int], list[str]]) -> Seen:
    stat = path.lstat()
    kind = st.S_IFMT(stat.st_mode)
    is_file, is_link = kind == st.S_IFREG, kind == st.S_IFLNK
    attributes = os.listxattr(path, follow_symlinks=False)
    return Seen(
        type={st.S_IFREG: "file", st.S_IFDIR: "dir", st.S_IFLNK: "symlink"}.get(kind, f"{kind:o}"),
        mode=st.S_IMODE(stat.st_mode),
        owner=(stat.st_uid, stat.st_gid),
        mtime_ns=stat.st_mtime_ns,
        size=stat.st_size if is_file else 0,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest() if is_file else "",
        target=os.readlink(path) if is_link else "",
        xattrs=tuple((a, os.getxattr(path, a, follow_symlinks=False)) for a in sorted(attributes)),
        links=tuple(names.get((stat.st_dev, stat.st_ino), [])),
        device=stat.st_rdev,
    )


def below(into: Path, source: Path) -> Path:
    """Where a restore into ``into`` puts that source."""
    return into / str(source).lstrip("/")
