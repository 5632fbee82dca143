"""The contract of redundancy, through the real programs: one damaged place of a drive costs nothing, frightens nobody.

Owns: every file that lies below KINEBACKUP/ × one bad place of it, or its loss. Does not know: several places at once,
or what is beyond the reach of parity (tests/engine/test_damage.py).

Each time the newest backup comes back bit by bit, by ``restore`` and by a sound recover.py; ``verify --full`` names the
file and calls it healable; a backup mends it, after which ``verify --full`` has nothing to say.
"""

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.cli.computer import Computer, make_computer
from support.engine.drives import Seen, below, edit_patients, make_patients, noise, seen
from support.project import RECOVER

from kinebackup.engine.format.layout import FIRST_HEADERS, SPREAD_HEADER

KIB, MIB = 2**10, 2**20
FOR_READERS = ("LISEZMOI.txt", "README.txt", "recover.py", "FORMAT.md", "SHA256SUMS", "vectors/stages.json")
SEALED = ("index", "snapshots", "removals", "packs")


@dataclass(frozen=True, slots=True)
class Damage:
    """One place of one file. ``name``: what is done there."""

    path: str
    name: str
    do: Callable[[Path], None]

    def __str__(self) -> str:
        return f"{self.name}: {self.path}"


@dataclass(frozen=True, slots=True)
class Scene:
    """A practice whose drive A has three backups and the record of a fourth; ``as_made``: the drive, and the computer's
    memory of it.
    """

    computer: Computer
    as_made: Path
    held: dict[str, Seen]

    @property
    def root(self) -> Path:
        return self.computer.drive("A") / "KINEBACKUP"

    @property
    def root_as_made(self) -> Path:
        """What the cases are made of: each of them changes the drive."""
        return self.as_made / "drives" / "A" / "KINEBACKUP"

    def begin_again(self) -> None:
        for name in ("drives", "state"):
            shutil.rmtree(self.computer.home / name)
            shutil.copytree(self.as_made / name, self.computer.home / name, symlinks=True)

    def files(self, kind: str) -> list[str]:
        """``kind``: a folder, the parity of one (``parity of packs``), or one file."""
        if kind.startswith("parity of "):
            names = {
                path.name for path in (self.root_as_made / kind.removeprefix("parity of ")).rglob("*") if path.is_file()
            }
            found = [path for path in (self.root_as_made / "parity").glob("*/*.xor") if path.stem in names]
            assert len(found) == len(names)
        else:
            top = self.root_as_made / kind
            found = [path for path in top.rglob("*") if path.is_file()] if top.is_dir() else [top]
        return sorted(str(path.relative_to(self.root_as_made)) for path in found)


def make_scene(home: Path, *, large: bool) -> Scene:
    computer = make_computer(home / "pc")
    done = computer.run(
        "init", "--passphrase-file", computer.passphrase_file, "--recovery-code-file", computer.code_file
    )
    assert done.code == 0, done.err
    computer.enroll("A")
    if large:
        (computer.patients / "base.bin").write_bytes(noise("base", 18 * MIB))
    shutil.rmtree(computer.patients / "Martin")
    make_patients(computer.patients / "Cas")
    first = computer.back_up("A", keeps_parity=True)["snapshot"]
    edit_patients(computer.patients / "Cas")
    computer.back_up("A", keeps_parity=True)
    (computer.patients / "Dupont" / "bilan.txt").write_text("Bilan final\n" * 90, encoding="utf-8")
    computer.back_up("A", keeps_parity=True)
    computer.back_up("A", keeps_parity=True)
    assert computer.run("snapshots", "forget", first, "--yes", "--drive", "A").code == 0
    assert computer.run("verify", "--full", "--drive", "A").code == 0
    for name in ("drives", "state"):
        shutil.copytree(computer.home / name, home / "as-made" / name, symlinks=True)
    return Scene(computer, home / "as-made", seen(computer.patients))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("one-place"), large=False)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    return make_scene(tmp_path_factory.mktemp("one-place-large"), large=True)


# -- damages ---------------------------------------------------------------------------------------------------------


def zeros(path: str, begin: int, length: int, name: str) -> Damage:
    def do(victim: Path) -> None:
        with victim.open("r+b") as file:
            file.seek(begin)
            file.write(bytes(length))

    return Damage(path, name, do)


def damages(scene: Scene, path: str, length: int) -> Iterator[Damage]:
    """Zeros at the beginning, in the middle and at the end; and the loss of what holds no contents."""
    size = (scene.root_as_made / path).stat().st_size
    length = min(length, size)
    for begin, where in {0: "start", (size - length) // 2: "middle", size - length: "end"}.items():
        yield zeros(path, begin, length, f"{length} bytes zeroed at the {where}")
    if not path.startswith("packs/"):
        yield Damage(path, "deleted", os.unlink)


# -- what must hold ----------------------------------------------------------------------------------------------------


def check(scene: Scene, damage: Damage, out: Path) -> None:
    scene.begin_again()
    victim = scene.root / damage.path
    whole = victim.read_bytes()
    damage.do(victim)
    assert not victim.exists() or victim.read_bytes() != whole
    computer = scene.computer

    restored = computer.run("restore", "latest", "--drive", "A", "--to", out / "product", "--json")
    assert (restored.code, restored.json["problems"]) == (0, []), restored.err
    assert {healed["path"] for healed in restored.json["healed"]} <= {damage.path}
    assert seen(below(out / "product", computer.patients)) == scene.held

    by_reader = recover(scene, out / "reader")
    assert by_reader.returncode == 0, by_reader.stderr
    assert seen(below(out / "reader", computer.patients)) == scene.held

    verified = computer.run("verify", "--full", "--drive", "A", "--json")
    assert verified.code == 14, verified.err
    found = [(problem["path"], problem["healable"]) for problem in verified.json["problems"]]
    assert found == [(damage.path, True)]
    assert verified.json["healable"] is True

    mended = computer.run("backup", "--drive", "A", "--json")
    assert mended.code == 0, mended.err
    assert {problem["kind"] for problem in mended.json["problems"]} <= {"healed"}
    again = computer.run("verify", "--full", "--drive", "A", "--json")
    assert (again.code, again.json["problems"]) == (0, []), again.err
    assert victim.read_bytes() == whole


def recover(scene: Scene, out: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, RECOVER, scene.computer.drive("A"), "--to", out, "--code-file", scene.computer.code_file],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=120,
        check=False,
    )


def check_each(scene: Scene, cases: list[Damage], tmp_path: Path) -> None:
    """All of them are tried: what fails says which, and the others are known to hold."""
    assert cases
    failed: list[Exception] = []
    for number, damage in enumerate(cases):
        try:
            check(scene, damage, tmp_path / str(number))
        except AssertionError as error:
            failed.append(AssertionError(f"{damage}\n{error}"))
        shutil.rmtree(tmp_path / str(number), ignore_errors=True)
    if failed:
        raise ExceptionGroup(f"{len(failed)} of {len(cases)}", failed)


KINDS = (*FIRST_HEADERS, SPREAD_HEADER, *FOR_READERS, *SEALED, *(f"parity of {directory}" for directory in SEALED))


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_any_one_file_with_four_kilobytes_zeroed_or_gone_costs_nothing(kind: str, small: Scene, tmp_path: Path) -> None:
    cases = [damage for path in small.files(kind) for damage in damages(small, path, 4 * KIB)]
    check_each(small, cases, tmp_path)


@pytest.mark.slow
def test_any_mebibyte_of_a_large_pack_costs_nothing(large: Scene, tmp_path: Path) -> None:
    big = [path for path in large.files("packs") if (large.root_as_made / path).stat().st_size > 8 * MIB]
    check_each(large, [damage for path in big for damage in damages(large, path, MIB)], tmp_path)


@pytest.mark.slow
def test_every_file_of_the_drive_is_tried(small: Scene) -> None:
    tried = {path for kind in KINDS for path in small.files(kind)}
    there = {str(path.relative_to(small.root_as_made)) for path in small.root_as_made.rglob("*") if path.is_file()}
    assert there - tried == {"lock"}


def test_one_of_them_each_time(small: Scene, tmp_path: Path) -> None:
    """Another one at each run: over the days, all of them are tried here too."""
    every = [damage for kind in KINDS for path in small.files(kind) for damage in damages(small, path, 4 * KIB)]
    check_each(small, [random.SystemRandom().choice(every)], tmp_path)
