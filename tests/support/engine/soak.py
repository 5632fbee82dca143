"""A drive that lives: saved to, damaged, read, verified, mended, thinned out, filled up and pulled out, in any order.

Owns: what is done, by seed, and what must hold after each deed; by hand: ``PYTHONPATH=tests python -m
support.engine.soak --minutes 10``. Does not know: how anything is healed.

The model is what a person counts on: as long as each file *or* its parity file has at most one place of damage within
the reach that FORMAT.md §12 promises, each snapshot comes back bit-exact, whatever is done meanwhile; and where more is
lost, what comes back is right, and the rest is named.
"""

import argparse
import contextlib
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from support.engine.drives import (
    Drive,
    Seen,
    back_up,
    below,
    enroll,
    loaded,
    noise,
    proven,
    pruned,
    restored,
    seen,
    verified,
)
from support.engine.faulting_store import FaultingStore, pulled_out
from support.engine.narrow_store import narrow
from support.engine.parity_files import is_copied, parity_of, protected_files, unprotected

from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.engine.format.parity import BLOCK_BYTES, blocks_of, decode
from kinebackup.engine.prune.missing_snapshots import find_missing_snapshots
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import Damaged, DriveFailed, DriveFull, NotFound
from kinebackup.model import counting, only_healable

KIB, MIB = 2**10, 2**20


class Soak:
    """One drive and its source. ``told``: what was done, for whoever looks for the reason of a failure."""

    def __init__(self, folder: Path, seed: int) -> None:
        self._dice = random.Random(seed)
        self._folder = folder
        self._source = folder / "patients"
        self._drive: Drive = enroll(folder / "drive", seed=f"soak {seed}", keeps_parity=True)
        self._held: dict[str, dict[str, Seen]] = {}
        self._whole: dict[Path, bytes] = {}  # of what is damaged: as it was
        self._number = 0
        self.told: list[str] = []
        self._deeds: dict[Callable[[], None], int] = {
            self._save: 5,
            self._damage: 8,
            self._damage_headers: 1,
            self._verify: 3,
            self._restore: 4,
            self._thin_out: 2,
            self._save_to_a_narrow_drive: 1,
            self._pull_out: 1,
            self._mend: 2,
            self._lose: 1,
        }
        (self._source / "Dupont").mkdir(parents=True)
        (self._source / "Durand").mkdir()
        if seed % 4 == 0:
            (self._source / "film.bin").write_bytes(noise(f"film {seed}", 9 * MIB))
        self._save()

    def run(self, deeds: int) -> None:
        """That many, and at the end all must be well."""
        for _ in range(deeds):
            self._choose()()
        self._mend()
        for snapshot in self._held:
            self._restores(snapshot)
        for snapshot in self._held:
            self._tell(f"prove {snapshot[:8]}")
            report = proven(self._drive, self._folder / "scratch", snapshot, compare_with_source=False)
            assert (report.result, report.problems) == ("ok", ())

    def _choose(self) -> Callable[[], None]:
        return self._dice.choices([*self._deeds], [*self._deeds.values()])[0]

    def _tell(self, what: str) -> None:
        self.told.append(what)

    # -- what a practice does --------------------------------------------------------------------------------------

    def _edit(self) -> None:
        for _ in range(self._dice.randrange(1, 5)):
            self._number += 1
            files = sorted(path for path in self._source.rglob("*") if path.is_file())
            small = [path for path in files if path.stat().st_size < MIB]
            folder = self._source / self._dice.choice(["Dupont", "Durand", "."])
            match self._dice.choice(["new", "new", "new", "longer", "gone", "moved", "folder"]):
                case "longer" if small:
                    with self._dice.choice(small).open("ab") as file:
                        file.write(noise(f"more {self._number}", self._dice.randrange(1, 50_000)))
                case "gone" if len(small) > 6:
                    self._dice.choice(small).unlink()
                case "moved" if small:
                    self._dice.choice(small).rename(folder / f"moved-{self._number}")
                case "folder":
                    (self._source / f"patient-{self._number}").mkdir()
                    (self._source / f"patient-{self._number}" / "note.txt").write_text(f"note {self._number}\n" * 30)
                case _:
                    size = self._dice.choice([100, 5_000, 60_000, 300_000, 900_000])
                    (folder / f"file-{self._number}").write_bytes(noise(f"new {self._number}", size))

    def _save(self) -> None:
        self._edit()
        self._tell("save")
        report = back_up(self._drive, self._source, accept_shrink=True)
        assert not counting(report.problems), report.problems
        self._saved(report.snapshot)

    def _saved(self, snapshot: str | None) -> None:
        assert snapshot is not None
        self._held[snapshot] = seen(self._source)
        self._forget_what_is_whole()

    def _restore(self) -> None:
        if self._held:
            self._restores(self._dice.choice(sorted(self._held)))

    def _restores(self, snapshot: str) -> None:
        self._tell(f"restore {snapshot[:8]}")
        out = self._folder / "out"
        try:
            told = restored(self._drive, out, snapshot).problems
            assert not counting(told), told
            assert seen(below(out, self._source)) == self._held[snapshot]
        finally:
            shutil.rmtree(out, ignore_errors=True)

    def _thin_out(self) -> None:
        names = sorted(self._held)
        if len(names) < 3:
            return
        gone = self._dice.sample(names, self._dice.randrange(1, len(names) - 1))
        self._tell(f"prune {[name[:8] for name in gone]}")
        for name in gone:
            del self._held[name]
        told = pruned(self._drive, *gone, accept_share=True).problems
        assert not counting(told), told
        self._forget_what_is_whole()

    def _verify(self) -> None:
        self._tell("verify")
        report = verified(self._drive)
        self._forget_what_is_whole()
        named = {problem.path for problem in report.problems}
        assert only_healable(report.problems) or not report.problems, report.problems
        untold = {self._relative(path) for path in self._whole} - named
        assert not untold, untold
        assert report.result == ("failed" if named else "ok")

    def _mend(self) -> None:
        """What the service does after a verification that found damage."""
        self._verify()
        self._save()
        self._tell("mended?")
        report = verified(self._drive)
        assert report.problems == (), report.problems
        assert not self._whole
        assert unprotected(self._drive) == set()
        assert self._drive.files("damaged") == []
        assert len({(self._drive.root / name).read_bytes() for name in HEADER_COPIES}) == 1

    # -- what happens to a drive -----------------------------------------------------------------------------------

    def _damage(self) -> None:
        """One place of a file or of its parity, of which nothing else is damaged."""
        spoilt = {path.name.removesuffix(".xor") for path in self._whole}
        bad = {path.rpartition("/")[2].removesuffix(".xor") for path in unprotected(self._drive)}
        files = [path for path in protected_files(self._drive) if path.name not in spoilt | bad]
        # Packs are the most; each kind shall have its turn.
        kinds = sorted({path.relative_to(self._drive.root).parts[0] for path in files})
        if not kinds:
            return
        kind = self._dice.choice(kinds)
        file = self._dice.choice([p for p in files if p.relative_to(self._drive.root).parts[0] == kind])
        copied = is_copied(self._drive, file)
        victim = parity_of(self._drive, file) if self._dice.random() < 0.3 else file
        self._whole[victim] = data = victim.read_bytes()
        columns = decode(parity_of(self._drive, file).read_bytes()).columns
        reach = len(data) if copied or victim != file else min(len(data), (columns - 1) * BLOCK_BYTES)
        how = self._dice.choice(["flip", "zero", "noise", "scatter", "cut", "delete", "longer", "folder"])
        if (how in ("delete", "folder") and reach < len(data)) or (how == "longer" and victim != file):
            how = "zero"  # bytes behind a parity file harm nothing
        self._tell(f"{how} {self._relative(victim)} ({'copy' if copied else f'{columns} columns'}, {len(data)} bytes)")
        victim.unlink()
        if how == "folder":
            victim.mkdir()
        if how not in ("delete", "folder"):
            victim.write_bytes(self._spoilt(data, how, reach, columns))

    def _spoilt(self, data: bytes, how: str, reach: int, columns: int) -> bytes:
        at = self._dice.randrange(len(data))
        length = min(self._dice.choice([1, 512, 4 * KIB, 64 * KIB, MIB]), reach, len(data) - at)
        match how:
            case "flip":
                return data[:at] + bytes([data[at] ^ 1 << self._dice.randrange(8)]) + data[at + 1 :]
            case "noise":
                return data[:at] + self._dice.randbytes(length) + data[at + length :]
            case "scatter":
                spoilt = bytearray(data)
                for column in self._dice.sample(range(columns), self._dice.randrange(1, columns + 1)):
                    block = self._dice.randrange(column, blocks_of(len(data)), columns) * BLOCK_BYTES
                    if block < len(data):
                        spoilt[block] ^= 1
                return bytes(spoilt)
            case "cut":
                return data[: len(data) - self._dice.randrange(reach) - 1]
            case "longer":
                return data + self._dice.randbytes(1000)
            case _:
                return data[:at] + bytes(length) + data[at + length :]

    def _damage_headers(self) -> None:
        if any(path.name.startswith("header") for path in self._whole):
            return
        for name in self._dice.sample(HEADER_COPIES, self._dice.randrange(1, len(HEADER_COPIES))):
            path = self._drive.root / name
            self._whole[path] = data = path.read_bytes()
            self._tell(f"header {name}")
            path.unlink()
            if self._dice.random() < 0.7:
                at = self._dice.randrange(len(data))
                path.write_bytes(data[:at] + bytes(100) + data[at + 100 :])

    def _save_to_a_narrow_drive(self) -> None:
        """What is damaged is known before: of damage that nobody knows, the parity may give way."""
        self._verify()
        self._edit()
        free = self._dice.choice([20_000, 100_000, 400_000, 1_000_000])
        self._tell(f"save with {free} bytes of room")
        with narrow(self._drive, free) as store, contextlib.suppress(DriveFull):
            report = back_up(self._drive, self._source, store=store, accept_shrink=True)
            assert {problem.kind for problem in report.problems} <= {"redundancy"}, report.problems
            self._saved(report.snapshot)

    def _pull_out(self) -> None:
        self._edit()
        at = self._dice.randrange(5, 150)
        self._tell(f"save, pulled out at {at}")
        with contextlib.closing(FolderStore(str(self._drive.root))) as folder, contextlib.suppress(DriveFailed):
            report = back_up(self._drive, self._source, store=FaultingStore(folder, pulled_out(at)), accept_shrink=True)
            self._saved(report.snapshot)
            return
        with loaded(self._drive) as repository:  # it may have been saved all the same
            there = {named.id for named in repository.snapshots().readable}
        for snapshot in there - self._held.keys():
            self._held[snapshot] = seen(self._source)

    def _lose(self) -> None:
        """A file and its parity at once: more than the drive can lose."""
        self._mend()
        file = self._dice.choice(protected_files(self._drive))
        self._tell(f"lose {self._relative(file)}")
        file.unlink()
        parity_of(self._drive, file).unlink()
        lost = [snapshot for snapshot in self._held if not self._brings_back_what_is_left(snapshot)]
        if file.parent.name in ("index", "removals"):
            assert lost == []
        self._save_after_a_loss()
        for snapshot in lost:
            del self._held[snapshot]
        self._tell(f"give up {[name[:8] for name in lost]}")
        with loaded(self._drive) as repository:
            unreadable = [each.name for each in repository.snapshots().unreadable]
            numbers = map(str, find_missing_snapshots(repository).first_numbers())
            given_up = [*unreadable, *numbers]
            there = {named.id for named in repository.snapshots().readable}
        removed = sorted(there.intersection(lost))
        pruned(self._drive, *removed, give_up=given_up, accept_share=True)
        self._mend()

    def _save_after_a_loss(self) -> None:
        self._edit()
        self._tell("save what is left")
        self._saved(back_up(self._drive, self._source, accept_shrink=True).snapshot)
        self._restores([*self._held][-1])

    def _brings_back_what_is_left(self, snapshot: str) -> bool:
        """Whether that is all; what is not right is not there, and is named."""
        out, expected = self._folder / "out", self._held[snapshot]
        try:
            problems = restored(self._drive, out, snapshot).problems
            place = below(out, self._source)
            got = seen(place) if place.exists() else {}
            assert {path: each for path, each in got.items() if expected.get(path) != each} == {}
            for path in expected.keys() - got.keys():
                whole = f"{self._source}/{path}"
                assert any(p.path in ("/", whole) or whole.startswith(f"{p.path}/") for p in problems), path
        except (Damaged, NotFound):
            return False
        finally:
            shutil.rmtree(out, ignore_errors=True)
        return got == expected

    # -- the model -------------------------------------------------------------------------------------------------

    def _relative(self, path: Path) -> str:
        return str(path.relative_to(self._drive.root))

    def _forget_what_is_whole(self) -> None:
        """Mended meanwhile, or removed with what it belongs to."""
        for path, data in list(self._whole.items()):
            mended = path.is_file() and path.read_bytes() == data
            gone = not path.exists() and not self._partner(path).exists() and not path.name.startswith("header")
            if mended or gone:
                del self._whole[path]

    def _partner(self, path: Path) -> Path:
        """Of a parity file the file, and the other way round."""
        if path.suffix != ".xor":
            return parity_of(self._drive, path)
        name = path.stem
        places = [f"packs/{name[:2]}/{name}", f"index/{name}", f"snapshots/{name}", f"removals/{name}"]
        return next((self._drive.root / each for each in places if (self._drive.root / each).exists()), path)


def soak(folder: Path, seed: int, deeds: int) -> None:
    """So many deeds on a new drive; a failure says what was done before."""
    living = Soak(folder, seed)
    try:
        living.run(deeds)
    except Exception as error:
        error.add_note("\n".join([f"seed {seed}:", *living.told]))
        raise


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=0, help="of the first drive; each next one has the next")
    parser.add_argument("--deeds", type=int, default=40, help="for each drive")
    options = parser.parse_args()
    end, seed, failed = time.monotonic() + 60 * options.minutes, options.seed, 0
    while time.monotonic() < end:
        with tempfile.TemporaryDirectory(prefix="kinebackup-soak-", dir="/dev/shm") as folder:
            try:
                soak(Path(folder), seed, options.deeds)
            except Exception:  # noqa: BLE001 - told, and the next drive has its turn
                failed += 1
                traceback.print_exc()
        seed += 1
    sys.stdout.write(f"{seed - options.seed} drives of {options.deeds} deeds each, {failed} failed\n")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main())
