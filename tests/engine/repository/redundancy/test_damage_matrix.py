"""The matrix: every damage of one place × every kind of file, by the product and by recover.py.

Owns: the matrix, and which of its cells are beyond what parity promises. Does not know: two places at once
(test_limits_of_damage.py), a drive's medium (test_placement.py), or how it is mended (tests/engine/test_healing.py).
"""

import os
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    Seen,
    back_up,
    below,
    edit_patients,
    enroll,
    in_memory,
    make_patients,
    noise,
    pruned,
    restored,
    seen,
    verified,
)
from support.engine.emergency import recovered
from support.engine.parity_files import parity_of
from support.engine.with_parity import KIB, MIB, BadSector, victims

from kinebackup.engine.format.layout import HEADER_COPIES
from kinebackup.model import only_healable

PROTECTED = ("index", "snapshot", "removal", "tree pack", "large pack", "small pack")
KINDS = (*HEADER_COPIES, *PROTECTED, *(f"parity of {kind}" for kind in PROTECTED))
DAMAGES = ("flip", "512", "4 KiB", "64 KiB", "1 MiB", "delete", "truncate", "unreadable")
BEYOND = {("small pack", "1 MiB"), ("small pack", "delete"), ("large pack", "delete")}
"""The file in that pack is lost, is named, and everything else comes back."""


@dataclass(frozen=True)
class Scene:
    folder: Path
    source: Path
    drive: Drive
    held: dict[str, Seen]

    def file(self, drive: Drive, kind: str) -> Path:
        """One of that kind."""
        if kind in HEADER_COPIES:
            return drive.root / kind
        if kind.startswith("parity of "):
            return parity_of(drive, self.file(drive, kind.removeprefix("parity of ")))
        if kind == "large pack":
            return max(victims(drive, "data-pack"), key=lambda path: path.stat().st_size)
        if kind == "small pack":
            return next(path for path in victims(drive, "data-pack") if 650 * KIB < path.stat().st_size < 660 * KIB)
        return victims(drive, kind.replace(" ", "-"))[-1]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with in_memory(tmp_path_factory.mktemp("matrix")) as folder:
        source = make_patients(folder / "patients")
        drive = enroll(folder / "drive", keeps_parity=True)
        first = str(back_up(drive, source).snapshot)
        (source / "grand.bin").write_bytes(noise("grand", 9 * MIB))
        back_up(drive, source)
        edit_patients(source)
        back_up(drive, source)
        (source / "petit.bin").write_bytes(noise("petit", 650 * KIB))
        back_up(drive, source)
        pruned(drive, first, accept_share=True)
        yield Scene(folder, source, drive, seen(source))


def spoil(path: Path, damage: str, dice: random.Random, reach: int) -> tuple[int, int]:
    """Do that at a place that is no multiple of anything; which bytes nobody shall be able to read."""
    size = path.stat().st_size
    length = {"flip": 1, "512": 512, "4 KiB": 4 * KIB, "64 KiB": 64 * KIB}.get(damage, MIB)
    data = path.read_bytes()
    begin = next(at for at in iter(lambda: dice.randrange(size), None) if any(data[at : at + length]))
    end = min(size, begin + length)
    match damage:
        case "delete":
            path.unlink()
        case "truncate":
            os.truncate(path, max(0, size - reach))
        case "flip":
            path.write_bytes(data[:begin] + bytes([data[begin] ^ 1 << dice.randrange(8)]) + data[end:])
        case "unreadable":
            return begin, min(size, begin + reach)
        case _:
            with path.open("r+b") as file:
                file.seek(begin)
                file.write(bytes(end - begin))
    return 0, 0


def reach_of(kind: str) -> int:
    """How much may be cut off, or unreadable, at one place."""
    return 64 * KIB if kind == "small pack" else MIB


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("kind", KINDS)
def test_one_place_of_damage_costs_nothing_or_what_is_said(
    kind: str, damage: str, scene: Scene, tmp_path: Path
) -> None:
    with in_memory(tmp_path) as folder:
        drive = scene.drive.copied_to(folder)
        victim = scene.file(drive, kind)
        name = str(victim.relative_to(drive.root))
        begin, end = spoil(victim, damage, random.Random(f"{kind} {damage}"), reach_of(kind))
        with closing(BadSector(drive, victim, begin, end)) as store:
            told = restored(drive, folder / "back", store=store).problems
            report = verified(drive, store=store)
        assert name in {problem.path for problem in report.problems}
        got = seen(below(folder / "back", scene.source))
        if (kind, damage) in BEYOND:
            assert_but_for(scene, kind, got)
            assert [problem.kind for problem in told] == ["damaged"]
            assert not only_healable(report.problems)
        else:
            assert told == ()
            assert got == scene.held
            assert only_healable(report.problems)


@pytest.mark.slow
@pytest.mark.parametrize("damage", [damage for damage in DAMAGES if damage != "unreadable"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_same_with_recover_py(kind: str, damage: str, scene: Scene, tmp_path: Path) -> None:
    """What cannot be read: tests/recover/test_recover_healing.py."""
    with in_memory(tmp_path) as folder:
        drive = scene.drive.copied_to(folder)
        spoil(scene.file(drive, kind), damage, random.Random(f"{kind} {damage}"), reach_of(kind))
        ran = recovered(drive, folder / "back")
        got = seen(below(folder / "back", scene.source))
        if (kind, damage) in BEYOND:
            assert ran.code == 3
            assert_but_for(scene, kind, got)
        else:
            assert (ran.code, contents(got)) == (0, contents(scene.held)), ran.err


def assert_but_for(scene: Scene, kind: str, got: dict[str, Seen]) -> None:
    """The one file that lies in that pack."""
    lost = "grand.bin" if kind == "large pack" else "petit.bin"
    assert contents(got) == {path: digest for path, digest in contents(scene.held).items() if path != lost}


def contents(found: dict[str, Seen]) -> dict[str, str]:
    return {path: each.sha256 for path, each in found.items() if each.type == "file"}
