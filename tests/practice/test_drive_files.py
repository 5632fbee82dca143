"""The files beside the repository: put there, checked without a key, mended by the next writing.

Owns: damage of each of them, and another version's. Does not know: what they say.
"""

import contextlib
import hashlib
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from kinebackup.engine import FolderStore
from kinebackup.model import Problem
from kinebackup.practice.drive_files import drive_file_problems, write_drive_files

ALL = ("LISEZMOI.txt", "README.txt", "recover.py", "FORMAT.md", "vectors/stages.json", "SHA256SUMS")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "KINEBACKUP"
    (folder / "tmp").mkdir(parents=True)
    write_drive_files(str(folder))
    return folder


@contextlib.contextmanager
def files_of(root: Path) -> Iterator[FolderStore]:
    with contextlib.closing(FolderStore(str(root))) as store:
        yield store


def problems(root: Path) -> list[Problem]:
    with files_of(root) as store:
        return drive_file_problems(store)


def test_what_is_put_on_a_drive_is_whole_and_open_to_everyone(root: Path) -> None:
    assert problems(root) == []
    there = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    assert there == set(ALL)
    assert all(stat.S_IMODE((root / name).stat().st_mode) == 0o644 for name in ALL)
    assert stat.S_IMODE((root / "vectors").stat().st_mode) == 0o755


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("damage", ["zero", "cut", "longer", "empty"])
def test_damage_of_one_is_named_and_mended_by_the_next_writing(root: Path, name: str, damage: str) -> None:
    path = root / name
    raw = path.read_bytes()
    half = len(raw) // 2
    path.write_bytes(
        {"zero": raw[:half] + bytes(16) + raw[half + 16 :], "cut": raw[:half], "longer": raw + b"x", "empty": b""}[
            damage
        ]
    )
    assert [(found.kind, found.path) for found in problems(root)] == [("damaged", name)]
    write_drive_files(str(root))
    assert problems(root) == []
    assert path.read_bytes() == raw


@pytest.mark.parametrize("name", ALL)
def test_one_that_is_gone_is_named_as_missing(root: Path, name: str) -> None:
    (root / name).unlink()
    assert [(found.kind, found.path, found.healable) for found in problems(root)] == [("missing", name, True)]


@pytest.mark.parametrize("name", ALL)
def test_a_folder_in_the_place_of_one_is_damage(root: Path, name: str) -> None:
    (root / name).unlink()
    (root / name).mkdir()
    assert [(found.kind, found.path) for found in problems(root)] == [("damaged", name)]


def test_what_another_version_wrote_is_not_damaged(root: Path) -> None:
    (root / "recover.py").write_text("# of another version\n")
    (root / "LISEZMOI.txt").write_text("d'une autre version\n")
    (root / "package").mkdir()
    (root / "package" / "kinebackup_9.deb").write_bytes(b"package")
    names = [name for name in ALL if name != "SHA256SUMS"] + ["package/kinebackup_9.deb"]
    sums = "".join(f"{hashlib.sha256((root / name).read_bytes()).hexdigest()}  {name}\n" for name in names)
    (root / "SHA256SUMS").write_text(sums)
    assert problems(root) == []
    (root / "recover.py").write_text("# of another versiom\n")
    assert [found.path for found in problems(root)] == ["recover.py"]


def test_without_the_list_only_the_list_is_missing_where_all_else_is_ours(root: Path) -> None:
    (root / "SHA256SUMS").unlink()
    (root / "FORMAT.md").write_text("another one")
    assert [(found.kind, found.path) for found in problems(root)] == [
        ("missing", "SHA256SUMS"),
        ("damaged", "FORMAT.md"),
    ]


def test_another_file_that_the_list_of_the_drive_names_is_checked_too(root: Path) -> None:
    (root / "package").mkdir()
    (root / "package" / "kinebackup_9.deb").write_bytes(b"package")
    with (root / "SHA256SUMS").open("a") as sums:
        sums.write(f"{hashlib.sha256(b'package').hexdigest()}  package/kinebackup_9.deb\n")
    assert problems(root) == []
    (root / "package" / "kinebackup_9.deb").write_bytes(b"packagf")
    assert [found.path for found in problems(root)] == ["package/kinebackup_9.deb"]
    (root / "package" / "kinebackup_9.deb").unlink()
    assert [(found.kind, found.path) for found in problems(root)] == [("missing", "package/kinebackup_9.deb")]


@pytest.mark.parametrize("at", range(0, 400, 7))
def test_one_wrong_character_of_the_list_is_a_problem_of_the_list(root: Path, at: int) -> None:
    raw = bytearray((root / "SHA256SUMS").read_bytes())
    raw[at % len(raw)] ^= 1
    (root / "SHA256SUMS").write_bytes(raw)
    assert "SHA256SUMS" in [found.path for found in problems(root)]


@pytest.mark.parametrize("name", ["../secret", "vectors/../../secret", "/etc/hostname", "./recover.py"])
def test_a_list_that_leads_out_of_the_drive_is_no_list(root: Path, name: str) -> None:
    (root.parent / "secret").write_text("x")
    with (root / "SHA256SUMS").open("a") as sums:
        sums.write(f"{'0' * 64}  {name}\n")
    assert [found.path for found in problems(root)] == ["SHA256SUMS"]
