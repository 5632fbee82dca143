"""What comes back of which damage: the table of THREATS.md, row by row, by the product and by recover.py.

Owns: damage for each row, and that the table says what then comes back; FORMAT.md has the same one. Does not know: one
place of damage on every kind of file (test_damage_matrix.py).
"""

import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from support.engine.drives import (
    MACHINE_KEY,
    Drive,
    Seen,
    back_up,
    below,
    enroll,
    in_memory,
    loaded,
    make_patients,
    noise,
    pruned,
    restored,
    seen,
    verified,
)
from support.engine.emergency import recovered
from support.engine.parity_files import parity_of, protected_files
from support.engine.with_parity import KIB, MIB, victims
from support.project import DOCS

from kinebackup.engine.format.layout import HEADER_COPIES, pack_path
from kinebackup.engine.format.parity import BLOCK_BYTES, HEAD_BYTES, blocks_of, decode
from kinebackup.engine.prune.missing_snapshots import find_missing_snapshots
from kinebackup.engine.repository.repository import Repository
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import Damaged, KineError, NotFound
from kinebackup.model import BlobId

ALL: Final = "all"
ONE_FILE: Final = "all but the files that lie there"


@dataclass(frozen=True)
class Scene:
    """``held``: what each backup restores to; the newest one is the last."""

    source: Path
    drive: Drive
    held: dict[str, dict[str, Seen]]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Each of three files in a pack of its own, of another size class."""
    with in_memory(tmp_path_factory.mktemp("limits")) as folder:
        source = make_patients(folder / "patients")
        drive = enroll(folder / "drive", keeps_parity=True)
        removed = str(back_up(drive, source).snapshot)
        held: dict[str, dict[str, Seen]] = {}
        for name, size in (("grand.bin", 9 * MIB), ("petit.bin", 2 * MIB), ("minuscule.bin", 30 * KIB)):
            (source / name).write_bytes(noise(name, size))
            held[str(back_up(drive, source).snapshot)] = seen(source)
        pruned(drive, removed, accept_share=True)
        yield Scene(source, drive, held)


# -- damages -------------------------------------------------------------------------------------------------------


def pack(drive: Drive, name: str) -> Path:
    """The one that holds that file's content."""
    low, high = {"grand.bin": (9, 10), "petit.bin": (2, 2.5), "minuscule.bin": (0.02, 0.04)}[name]
    (found,) = [path for path in victims(drive, "data-pack") if low * MIB <= path.stat().st_size < high * MIB]
    return found


def zero(path: Path, at: int, length: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(bytes(max(0, min(length, path.stat().st_size - at))))


def gone_or_zero(paths: list[Path]) -> None:
    """Every second one each."""
    for number, path in enumerate(paths):
        path.unlink() if number % 2 else zero(path, 0, path.stat().st_size)


def columns(drive: Drive, path: Path) -> int:
    return decode(parity_of(drive, path).read_bytes()).columns


def some_headers(drive: Drive) -> None:
    gone_or_zero([drive.root / name for name in HEADER_COPIES[1:]])


def all_headers(drive: Drive) -> None:
    gone_or_zero([drive.root / name for name in HEADER_COPIES])


def what_describes(drive: Drive) -> None:
    """All of them at once, for each has its own copy."""
    packs = victims(drive, "tree-pack")
    for path in victims(drive, "index"):
        zero(path, 0, path.stat().st_size)
    gone_or_zero([*victims(drive, "snapshot"), *victims(drive, "removal"), *packs])


def index_and_trees(drive: Drive) -> None:
    for path in [*victims(drive, "tree-pack"), *victims(drive, "index")]:
        path.unlink()


def parity(drive: Drive) -> None:
    gone_or_zero([path for path in drive.files("parity") if path.suffix])


def with_parity(kind: str) -> Callable[[Drive], None]:
    def damage(drive: Drive) -> None:
        for path in victims(drive, kind):
            parity_of(drive, path).unlink()
            path.unlink()

    return damage


def newest_snapshot(drive: Drive) -> None:
    with loaded(drive) as repository:
        path = drive.root / "snapshots" / repository.find_snapshot("latest").id
    gone_or_zero([path, parity_of(drive, path)])


def trees_of_one_day(drive: Drive) -> None:
    """Those of the newest backup."""
    with loaded(drive) as repository:
        (place,) = repository.index.locations(
            BlobId(bytes.fromhex(repository.find_snapshot("latest").snapshot.root[0]))
        )
        path = drive.root / pack_path(place.pack)
    gone_or_zero([path, parity_of(drive, path)])


def burst(name: str, length: int) -> Callable[[Drive], None]:
    def damage(drive: Drive) -> None:
        path = pack(drive, name)
        zero(path, random.Random(name).randrange(1, path.stat().st_size - length), length)

    return damage


def scattered(drive: Drive) -> None:
    """As many as there are columns."""
    for name in ("grand.bin", "petit.bin"):
        path, dice = pack(drive, name), random.Random(name)
        for column in range(columns(drive, path)):
            row = dice.randrange(column, blocks_of(path.stat().st_size), columns(drive, path))
            zero(path, row * BLOCK_BYTES, 512)


def two_in_a_column(drive: Drive) -> None:
    path = pack(drive, "grand.bin")
    for block in (700, 700 + columns(drive, path)):
        zero(path, block * BLOCK_BYTES, 512)


def bad_sectors(drive: Drive, *, column_of_parity: int) -> None:
    path = pack(drive, "grand.bin")
    table = HEAD_BYTES + 4 * (blocks_of(path.stat().st_size) + columns(drive, path) + 1)
    zero(parity_of(drive, path), table + column_of_parity * BLOCK_BYTES, BLOCK_BYTES)
    zero(path, 700 * BLOCK_BYTES, 512)


def in_other_columns(drive: Drive) -> None:
    bad_sectors(drive, column_of_parity=5)


def in_the_same_column(drive: Drive) -> None:
    bad_sectors(drive, column_of_parity=700 % 257)


def beginning_of_parity(drive: Drive) -> None:
    path = pack(drive, "grand.bin")
    zero(parity_of(drive, path), 0, 4096)
    zero(path, 700 * BLOCK_BYTES, 512)


# -- what comes back -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of the newest backup and the one before: files that do not come back; None where more than single files do not.

    ``words``: what the table says. ``by_recover``: recover.py brings back as much.
    """

    words: str
    lost: frozenset[str] | None = frozenset()
    lost_before: frozenset[str] | None = frozenset()
    by_recover: bool = True


EVERYTHING: Final = Outcome(ALL)
LARGE: Final = Outcome(ONE_FILE, frozenset({"grand.bin"}), frozenset({"grand.bin"}))
SMALL: Final = Outcome(ONE_FILE, frozenset({"petit.bin"}), frozenset({"petit.bin"}))

ROWS: Final[dict[tuple[str, str], tuple[Callable[[Drive], None], Outcome]]] = {
    ("three of the four copies of the header", "any of it, or gone"): (some_headers, EVERYTHING),
    ("snapshots, index files, removal records, packs of trees and lists", "any of it, or gone"): (
        what_describes,
        EVERYTHING,
    ),
    ("parity files", "any of it, or gone"): (parity, EVERYTHING),
    ("index file, and packs of trees that it lists", "all of them gone, their parity is there"): (
        index_and_trees,
        Outcome("all; recover.py does not find those packs", by_recover=False),
    ),
    ("index files and their parity", "both gone"): (with_parity("index"), EVERYTHING),
    ("removal record and its parity", "both gone"): (
        with_parity("removal"),
        Outcome("all; what was removed on purpose is said to be missing"),
    ),
    ("snapshot and its parity", "both gone"): (newest_snapshot, Outcome("the other backups", None)),
    ("pack of trees and its parity", "both gone"): (
        trees_of_one_day,
        Outcome("the other backups, and of those that need it the folders that lie elsewhere", None),
    ),
    ("pack of contents above 8 MiB", "any one stretch of 1 MiB"): (burst("grand.bin", MIB), EVERYTHING),
    ("pack of contents up to 8 MiB", "any one stretch of 64 KiB"): (burst("petit.bin", 64 * KIB), EVERYTHING),
    ("pack of contents up to 8 MiB", "a stretch of 1 MiB"): (burst("petit.bin", MIB), SMALL),
    ("pack of contents up to 68 KiB", "any of it, or gone"): (
        lambda drive: pack(drive, "minuscule.bin").unlink(),
        EVERYTHING,
    ),
    ("pack of contents above 68 KiB", "gone"): (lambda drive: pack(drive, "petit.bin").unlink(), SMALL),
    ("pack of contents", "bad sectors, no two a multiple of *c* blocks apart"): (scattered, EVERYTHING),
    ("pack of contents", "two bad sectors a multiple of *c* blocks apart"): (two_in_a_column, LARGE),
    ("pack of contents and its parity", "a bad sector in each, in different columns"): (in_other_columns, EVERYTHING),
    ("pack of contents and its parity", "a bad sector in each, in the same column"): (in_the_same_column, LARGE),
    ("pack of contents and its parity", "a bad sector in it, and one in the table of its parity"): (
        beginning_of_parity,
        LARGE,
    ),
}
HEADERS: Final = ("all four copies of the header", "any of it, or gone")
BY_KEYS: Final = "all, with the key export, or on a computer of the practice; else nothing"


def table(document: str) -> dict[tuple[str, str], str]:
    """The rows of the table of damage."""
    text = (DOCS / document).read_text("utf-8")
    (found,) = re.findall(
        r"^\| what is damaged \| how \| what comes back \|\n\|-+\|-+\|-+\|\n((?:\|.*\|\n)+)", text, re.M
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in found.splitlines()]
    return {(what, how): back for what, how, back in rows}


@pytest.mark.parametrize("document", ["THREATS.md", "FORMAT.md"])
def test_each_row_of_the_table_is_tried_and_says_what_comes_back(document: str) -> None:
    assert table(document) == {row: outcome.words for row, (_damage, outcome) in ROWS.items()} | {HEADERS: BY_KEYS}


@pytest.mark.parametrize("row", ROWS, ids=" — ".join)
def test_what_the_table_says_comes_back(row: tuple[str, str], scene: Scene, tmp_path: Path) -> None:
    damage, outcome = ROWS[row]
    before, newest = list(scene.held)[-2:]
    with in_memory(tmp_path) as folder:
        drive = scene.drive.copied_to(folder)
        damage(drive)
        assert came_back(scene, drive, newest, folder / "newest") == outcome.lost
        assert came_back(scene, drive, before, folder / "before") == outcome.lost_before
        check_recover(scene, drive, folder / "recovered", outcome)
        if row[0].startswith("removal"):
            with loaded(drive) as repository:
                assert find_missing_snapshots(repository).count == 1
        verified(drive)  # so that it is known
        made = str(back_up(drive, scene.source).snapshot)  # what the sources still have is saved again
        scene_now = Scene(scene.source, drive, {made: seen(scene.source)})
        assert came_back(scene_now, drive, made, folder / "again") == frozenset()


def came_back(scene: Scene, drive: Drive, snapshot: str, out: Path) -> frozenset[str] | None:
    """The files that did not, each of which is named; what came is right. None: the backup did not open, or folders of
    it did not.
    """
    expected = scene.held[snapshot]
    try:
        problems = restored(drive, out, snapshot).problems
    except (Damaged, NotFound):
        return None
    place = below(out, scene.source)
    if not place.exists():  # the way to it is lost
        assert problems
        return None
    got = seen(place)
    lost = frozenset(expected.keys() - got.keys())
    assert {path: each for path, each in got.items() if expected[path] != each and path != "."} == {}
    named = {problem.path for problem in problems}
    if {f"{scene.source}/{path}" for path in lost} == named:
        return lost
    assert all(any(f"{scene.source}/{path}".startswith(f"{name}/") for name in named) for path in lost)
    return None


def check_recover(scene: Scene, drive: Drive, out: Path, outcome: Outcome) -> None:
    """recover.py brings back as much of the newest backup."""
    newest = list(scene.held)[-1]
    ran = recovered(drive, out, "--snapshot", newest)
    if outcome.lost is None or not outcome.by_recover:
        assert ran.code != 0
        return
    assert ran.code == (3 if outcome.lost else 0), ran.err
    got = {path for path, each in seen(below(out, scene.source)).items() if each.type == "file"}
    assert got == {path for path, each in scene.held[newest].items() if each.type == "file"} - outcome.lost


def test_a_drive_without_any_header_opens_by_one_from_elsewhere_and_else_not(scene: Scene, tmp_path: Path) -> None:
    header = (scene.drive.root / "header").read_bytes()
    with in_memory(tmp_path) as folder:
        drive = scene.drive.copied_to(folder)
        all_headers(drive)
        store = FolderStore(str(drive.root))
        try:
            with pytest.raises(KineError):
                Repository.open(store, MACHINE_KEY)
            assert Repository.open(store, MACHINE_KEY, [header]).load().inventory.findings == ()
        finally:
            store.close()
        (folder / "export.txt").write_bytes(header)
        assert recovered(drive, folder / "without").code != 0
        ran = recovered(drive, folder / "back", "--header-from", str(folder / "export.txt"))
        assert ran.code == 0, ran.err
        got = seen(below(folder / "back", scene.source))
        newest = list(scene.held)[-1]
        assert {path: each.sha256 for path, each in got.items()} == {
            path: each.sha256 for path, each in scene.held[newest].items()
        }


def test_every_protected_file_of_the_scene_has_its_parity(scene: Scene) -> None:
    """Else rows would be tried on less than they speak of."""
    assert all(parity_of(scene.drive, path).is_file() for path in protected_files(scene.drive))
