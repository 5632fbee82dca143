"""A practice on a computer of ours: real files and folders, a clock that is set by hand, cheap Argon2.

Owns: building it, and letting go of its files. Does not know: what is expected.
"""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC
from pathlib import Path

from support.ports import Clock, Dice

from kinebackup.config import BackupConfig, RetentionConfig
from kinebackup.drives.system import System
from kinebackup.engine.format.keyring import Argon2Cost, Passphrase
from kinebackup.jobs.backup import BackupJobRequest, run_backup
from kinebackup.jobs.enroll import Enrolled, EnrollRequest, enroll
from kinebackup.jobs.prune import PruneJobRequest, run_prune
from kinebackup.jobs.verify import VerifyJobRequest, run_verify
from kinebackup.model import BackupReport, CancelToken, Place, PruneReport, SilentMonitor, VerifyReport
from kinebackup.practice.access import PresentDrive, find_drive
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.world import World
from kinebackup.sources.folder import FolderSource, SystemNames

PASSPHRASE = Passphrase.of("exemple de phrase pour les essais")
CHEAP = Argon2Cost(memory_kib=64, passes=1, lanes=1)


def make_world(place: Path, clock: Clock, *, seed: str = "pc") -> World:
    """A computer whose scratch place is a folder, and which has no devices."""
    scratch = place / "scratch"
    scratch.mkdir(parents=True, exist_ok=True)
    ticks = iter(range(10**9))
    return World(
        now=clock,
        zone=UTC,
        elapsed_s=lambda: float(next(ticks)),
        entropy=Dice(seed),
        names=SystemNames(),
        host="cabinet-pc",
        boot="boot",
        pid=4242,
        is_root=False,
        system=System("/", homes=(str(place),)),
        scratch=(str(scratch),),
        cost=CHEAP,
    )


@dataclass
class Office:
    """The practice, its computer and its patients' folder. ``closing``: what is let go when the test has ended.

    ``keeps_parity``: else each run is followed by its loss, so that damage is damage: what is tried without parity is
    what is beyond its reach.
    """

    place: Path
    computer: ComputerKeys
    world: World
    clock: Clock
    code: str = field(repr=False)
    closing: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)
    keeps_parity: bool = False

    @property
    def patients(self) -> Path:
        return self.place / "Patients"

    def enroll(self, label: str, place: Place = "cabinet", *, folder: Path | None = None) -> Enrolled:
        request = EnrollRequest(
            path=str(folder or self.place / "drives" / label),
            label=label,
            place=place,
            simulated=True,
            allow_existing_files=False,
            sources=[str(self.patients)],
        )
        return enroll(request, self.computer, self.world)

    def drive(self, label: str) -> PresentDrive:
        return find_drive(label, self.computer, self.world)

    def back_up(self, label: str, *, accept_shrink: bool = False) -> BackupReport:
        request = BackupJobRequest([FolderSource(str(self.patients))], BackupConfig(), accept_shrink=accept_shrink)
        with self._losing_parity():
            return run_backup(
                self.drive(label), self.computer, request, self.world, cancel=CancelToken(), monitor=SilentMonitor()
            )

    def verify(self, label: str) -> VerifyReport:
        return run_verify(
            self.drive(label),
            self.computer,
            VerifyJobRequest(),
            self.world,
            cancel=CancelToken(),
            monitor=SilentMonitor(),
        )

    def prune(self, label: str, rules: RetentionConfig) -> PruneReport:
        with self._losing_parity():
            return run_prune(
                self.drive(label),
                self.computer,
                PruneJobRequest(rules),
                self.world,
                cancel=CancelToken(),
                monitor=SilentMonitor(),
            )

    @contextlib.contextmanager
    def _losing_parity(self) -> Iterator[None]:
        try:
            yield
        finally:
            if not self.keeps_parity:
                self.lose_parity()

    def lose_parity(self) -> None:
        """Nothing heals the files of its drives any more."""
        for path in self.place.rglob("KINEBACKUP/parity/*/*.xor"):
            path.unlink()


@contextlib.contextmanager
def open_office(place: Path, *, seed: str = "pc") -> Iterator[Office]:
    """A practice that was set up this morning, with two patients."""
    clock = Clock()
    world = make_world(place, clock, seed=seed)
    for name in ("Dupont", "Durand"):
        (place / "Patients" / name).mkdir(parents=True)
        (place / "Patients" / name / "bilan.txt").write_text(f"Bilan de {name}\n" * 50, encoding="utf-8")
    computer, code = ComputerKeys.create(place / "state", PASSPHRASE, world)
    office = Office(place, computer, world, clock, code)
    with office.closing:
        office.closing.enter_context(computer.state)
        yield office
