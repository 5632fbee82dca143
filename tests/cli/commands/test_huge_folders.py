"""One folder of very many names: every command that reads it needs little more memory than for a small one.

Owns: how much a process may have for each name. Does not know: how folders are read.

A million names are promised within 250 MB: 180 bytes for each, beside what the program itself takes.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.engine.drives import enroll, in_memory, writable
from support.engine.forged_snapshot import forge
from support.project import ROOT, TESTS

from kinebackup.engine import complete_parity
from kinebackup.engine.format.tree import Entry
from kinebackup.model import CancelToken
from kinebackup.practice.drive_files import write_drive_files

pytestmark = pytest.mark.slow

NAMES = 100_000
MOST_BYTES = 70_000_000 + 180 * NAMES
FOLDER = "/home/marie/Patients"
NIGHT = 1_900_000_000 * 10**9


def a_file(number: int, night: int) -> Entry:
    time = NIGHT * night + number * 1_000_003
    return Entry(name=f"lettre-{number:07}.odt", type="file", mode=0o640, mtime=time, ctime=time, inode=number)


def a_folder(number: int, night: int) -> Entry:
    time = NIGHT * night + number * 1_000_003
    return Entry(name=f"patient-{number:07}", type="dir", mode=0o750, mtime=time, ctime=time, inode=number)


def a_link(number: int, night: int) -> Entry:
    """Each second name is another one of the file before it."""
    return replace(a_file(number // 2, night), name=f"lettre-{number:07}.odt", link=f"fe00:{number // 2:x}")


SHAPES: dict[str, Callable[[int, int], Entry]] = {"files": a_file, "folders": a_folder, "links": a_link}


@dataclass(frozen=True)
class Huge:
    """A drive with two backups of a folder, in which everything has changed, and the id of the first."""

    folder: Path
    first: str


@pytest.fixture(scope="module")
def huge(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Huge]:
    make = SHAPES[request.param]
    with in_memory(tmp_path_factory.mktemp("huge")) as place:
        (place / "secret").write_text("exemple de phrase pour les essais\n")
        drive = enroll(place / "drive")
        first, _second = (
            forge(drive, Path(FOLDER), [make(number, night) for number in range(NAMES)], []) for night in (1, 2)
        )
        with writable(drive) as repository:
            complete_parity(repository, CancelToken())
        write_drive_files(str(drive.root))
        yield Huge(place / "drive", first)


def peak_bytes(drive: Huge, *arguments: str) -> int:
    place = drive.folder.parent
    done = subprocess.run(
        [
            *(sys.executable, str(TESTS / "support/cli/peak_memory.py")),
            *(argument.format(out=place / "out", first=drive.first) for argument in arguments),
            *("--drive", str(drive.folder), "--passphrase-file", str(place / "secret")),
        ],
        env=os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(place), "LANG": "en_GB.UTF-8"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split("\n")[-2]) * 1024


@pytest.mark.parametrize("huge", ["files", "folders"], indirect=True)
@pytest.mark.parametrize(
    "arguments",
    [
        ("verify", "--full"),
        ("restore", "latest", "--to", "{out}", "--dry-run"),
        ("ls", "latest", FOLDER),
        ("ls", "--long", "latest", FOLDER),
        ("ls", "--recursive", "latest", "/"),
        ("--json", "ls", "latest", FOLDER),
        ("find", "*0"),
        ("--json", "find", "*"),
        ("diff", "{first}", "latest"),
        ("--json", "diff", "{first}", "latest"),
    ],
    ids=" ".join,
)
def test_a_folder_of_very_many_names_takes_little_memory(huge: Huge, arguments: tuple[str, ...]) -> None:
    assert peak_bytes(huge, *arguments) <= MOST_BYTES


@pytest.mark.parametrize("huge", SHAPES, indirect=True)
def test_so_it_does_when_it_is_restored_and_restored_again(huge: Huge) -> None:
    for _time in range(2):
        assert peak_bytes(huge, "restore", "latest", "--to", "{out}") <= MOST_BYTES
