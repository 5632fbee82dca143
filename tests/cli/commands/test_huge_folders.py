"""One folder of very many names: every command that reads it needs little more memory than for a small one.

Owns: the growth of a process's memory with the number of names. Does not know: how folders are read.

A million names are promised within 250 MB. A process of this program has some 60 before it reads a name.
"""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.engine.drives import enroll, in_memory
from support.engine.forged_snapshot import forge
from support.project import ROOT, TESTS

from kinebackup.engine.format.tree import Entry

pytestmark = pytest.mark.slow

FEW, MANY = 20_000, 100_000
MOST_BYTES_FOR_EACH = 190
NOISE_BYTES = 3 * 2**20
FOLDER = "/home/marie/Patients"
NIGHT = 1_900_000_000 * 10**9


def a_file(number: int, night: int) -> Entry:
    time = NIGHT * night + number * 1_000_003
    return Entry(name=f"lettre-{number:07}.odt", type="file", mode=0o640, mtime=time, ctime=time, inode=number)


def a_folder(number: int, night: int) -> Entry:
    time = NIGHT * night + number * 1_000_003
    return Entry(name=f"patient-{number:07}", type="dir", mode=0o750, mtime=time, ctime=time, inode=number)


SHAPES: dict[str, Callable[[int, int], Entry]] = {"files": a_file, "folders": a_folder}


@dataclass(frozen=True)
class Huge:
    """A drive with two backups of a folder, in which everything has changed, and the id of the first."""

    folder: Path
    first: str


Drives = dict[int, Huge]
"""By the number of names."""


@pytest.fixture(scope="module", params=SHAPES)
def drives(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Drives]:
    make = SHAPES[request.param]
    made: Drives = {}
    with in_memory(tmp_path_factory.mktemp("huge")) as place:
        (place / "secret").write_text("exemple de phrase pour les essais\n")
        for count in (FEW, MANY):
            drive = enroll(place / str(count))
            first, _second = (
                forge(drive, Path(FOLDER), [make(number, night) for number in range(count)], []) for night in (1, 2)
            )
            made[count] = Huge(place / str(count), first)
        yield made


def peak_bytes(drive: Huge, *arguments: str) -> int:
    place, name = drive.folder.parent, drive.folder.name
    done = subprocess.run(
        [
            *(sys.executable, str(TESTS / "support/cli/peak_memory.py")),
            *(argument.format(out=place / f"out-{name}", first=drive.first) for argument in arguments),
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


def assert_little_growth(drives: Drives, *arguments: str) -> None:
    few, many = (peak_bytes(drives[count], *arguments) for count in (FEW, MANY))
    assert many - few <= (MANY - FEW) * MOST_BYTES_FOR_EACH + NOISE_BYTES


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
def test_a_folder_of_very_many_names_takes_little_memory(drives: Drives, arguments: tuple[str, ...]) -> None:
    assert_little_growth(drives, *arguments)


def test_so_it_does_when_it_is_restored_and_restored_again(drives: Drives) -> None:
    assert_little_growth(drives, "restore", "latest", "--to", "{out}")
    assert_little_growth(drives, "restore", "latest", "--to", "{out}")
