"""The data sets: deterministic, so that two computers measure the same work.

Owns: which folders and files there are, with which names, modes and times. Does not know: who backs them up.
Run by itself it makes one: ``python -m benchmarks.datasets practice DIR --scale 0.01``.
"""

import argparse
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks import documents
from benchmarks.database import create_database
from benchmarks.prose import Noise, Prose

_PATIENTS = 1_520
_PRACTICE_BASE_BYTES = 400_000_000
_NEWEST_S = 1_735_000_000  # the newest file is of December 2024: nothing looks "just changed" to a tool
_YEARS_S = 8 * 365 * 86_400


@dataclass(frozen=True, slots=True)
class Census:
    """What was made: regular files and their bytes."""

    files: int
    size_bytes: int


class _Writer:
    """Writes files with seeded modes and times, and counts them."""

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self.files = 0
        self.size_bytes = 0

    def write(self, path: str, content: bytes) -> None:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            os.write(fd, content)
            os.fchmod(fd, self._rng.choice((0o644, 0o644, 0o644, 0o600, 0o640)))
            mtime_ns = (_NEWEST_S - int(self._rng.random() * _YEARS_S)) * 1_000_000_000 + self._rng.randrange(10**9)
            os.utime(fd, ns=(mtime_ns, mtime_ns))
        finally:
            os.close(fd)
        self.files += 1
        self.size_bytes += len(content)

    def census(self) -> Census:
        return Census(self.files, self.size_bytes)


def make_practice(root: Path, scale: float) -> Census:
    """About 33,000 files and 4 GB at scale 1: patients' folders, and the practice's base."""
    rng = random.Random("practice")
    writer = _Writer(rng)
    prose, noise = Prose("practice"), Noise("practice")
    patients = max(2, round(_PATIENTS * scale))
    shared = root / "Modèles"
    shared.mkdir(parents=True)
    for number in range(patients):
        name = f"{number:05d} FICTIF {rng.choice(prose.words).capitalize()}"
        folder = root / "Patients" / name
        _make_patient(folder, writer, rng, prose, noise)
        if number % 50 == 0:
            os.symlink(f"../Patients/{name}", shared / f"récent {number:05d}")
            (folder / "Vide").mkdir()
            writer.write(f"{folder}/vide.txt", b"")
    base = root / "Logiciel" / "cabinet.sqlite"
    base.parent.mkdir()
    create_database(base, int(_PRACTICE_BASE_BYTES * scale), "practice/base")
    return Census(writer.files + 1, writer.size_bytes + base.stat().st_size)


def _make_patient(folder: Path, writer: _Writer, rng: random.Random, prose: Prose, noise: Noise) -> None:
    letters, reports, pictures = (f"{folder}/{name}" for name in ("Courriers", "Bilans", "Imagerie"))
    for directory in (letters, reports, pictures):
        os.makedirs(directory)
    for number in range(5):
        writer.write(f"{letters}/séance {number}.txt", documents.plain_letter(prose, rng.randrange(800, 6_000)))
        writer.write(
            f"{letters}/courrier {number}.docx", documents.docx_letter(prose, noise, _size(rng, 5_000, 60_000))
        )
    for number in range(2):
        writer.write(f"{letters}/lettre {number}.rtf", documents.rtf_letter(prose, _size(rng, 4_000, 30_000)))
        writer.write(f"{letters}/réponse {number}.odt", documents.odt_letter(prose, noise, _size(rng, 5_000, 60_000)))
    for number in range(5):
        writer.write(f"{reports}/bilan {number}.pdf", documents.pdf(prose, noise, _size(rng, 15_000, 600_000)))
    for number in range(rng.choice((1, 1, 2))):
        writer.write(f"{pictures}/IMG_{number:04d}.JPG", documents.jpeg(noise, _size(rng, 50_000, 4_000_000)))
    if rng.random() < 0.5:  # a copy of something, under another name, as people make them
        original = rng.choice((f"{pictures}/IMG_0000.JPG", f"{reports}/bilan 0.pdf", f"{reports}/bilan 1.pdf"))
        writer.write(f"{letters}/pièce jointe{Path(original).suffix}", Path(original).read_bytes())
    writer.write(f"{folder}/fiche.txt", documents.plain_letter(prose, 400))


def _size(rng: random.Random, smallest: int, largest: int) -> int:
    """Log-uniform: many small ones, few large ones."""
    return int(smallest * (largest / smallest) ** rng.random())


def make_small(root: Path, scale: float) -> Census:
    """300,000 files of about 0.5 kB in 3,000 folders at scale 1."""
    return _many_files(root, max(2, round(3_000 * scale)), 100, (100, 900), "small")


def make_many(root: Path, scale: float) -> Census:
    """1,000,000 files of about 100 bytes, all different, in 10,000 folders at scale 1: one chunk each."""
    return _many_files(root, max(2, round(10_000 * scale)), 100, (60, 140), "many")


def make_one_folder(root: Path, scale: float) -> Census:
    """The same files in one folder."""
    rng = random.Random("one folder")
    writer = _Writer(rng)
    prose = Prose("one folder")
    os.makedirs(root)
    for number in range(max(200, round(1_000_000 * scale))):
        writer.write(f"{root}/note-{number:07d}.txt", prose.text(rng.randrange(60, 140)).encode())
    return writer.census()


def _many_files(root: Path, folders: int, files_each: int, lengths: tuple[int, int], label: str) -> Census:
    rng = random.Random(label)
    writer = _Writer(rng)
    prose = Prose(label)
    for folder in range(folders):
        directory = f"{root}/{folder // 100:03d}/{folder:05d}"
        os.makedirs(directory)
        for number in range(files_each):
            writer.write(f"{directory}/note-{number:03d}.txt", prose.text(rng.randrange(*lengths)).encode())
    return writer.census()


def make_database(root: Path, scale: float) -> Census:
    """A SQLite base of 1 GB at scale 1, alone in its folder."""
    root.mkdir(parents=True)
    path = root / "base.sqlite"
    create_database(path, int(1_000_000_000 * scale), "database")
    return Census(1, path.stat().st_size)


MAKERS: dict[str, Callable[[Path, float], Census]] = {
    "practice": make_practice,
    "small": make_small,
    "database": make_database,
    "memory": make_many,
    "one-folder": make_one_folder,
}


def make(name: str, root: Path, scale: float) -> Census:
    """Make the data set ``name`` in ``root``, or count it if an earlier run finished it there."""
    done = root.with_name(f"{root.name}.done")
    if done.exists():
        files, size_bytes = done.read_text().split()
        return Census(int(files), int(size_bytes))
    if root.exists():
        shutil.rmtree(root)  # an earlier run was interrupted
    census = MAKERS[name](root, scale)
    done.write_text(f"{census.files} {census.size_bytes}")
    return census


def main() -> None:
    parser = argparse.ArgumentParser(description="make one data set of the benchmark")
    parser.add_argument("name", choices=sorted(MAKERS))
    parser.add_argument("directory", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    census = make(options.name, options.directory, options.scale)
    print(f"{census.files:,} files, {census.size_bytes / 1e6:,.1f} MB")


if __name__ == "__main__":
    main()
