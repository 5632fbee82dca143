"""Which snapshot recover.py takes for the newest: the last one taken, whatever the clocks of two computers said.

Owns: recover.py on drives of two computers that the product wrote. Does not know: how files come back.
"""

import itertools
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, enroll, in_memory, opened
from support.project import ROOT

RECOVER = ROOT / "kinebackup" / "recover" / "recover.py"
CLOCKS = {
    "ahead": datetime(2061, 1, 1, tzinfo=UTC),
    "right": datetime(2040, 1, 2, 12, 0, tzinfo=UTC),
    "behind": datetime(2040, 1, 2, 11, 57, tzinfo=UTC),
}
NEAR, AWAY = "c0" * 16, "ab" * 16


def save(drive: Drive, source: Path, text: str, host: str, clock: str) -> None:
    (source / "note.txt").write_text(text, encoding="utf-8")
    machine = NEAR if host == "cabinet-pc" else AWAY
    assert back_up(drive, source, machine=machine, host=host, started_at=CLOCKS[clock]).snapshot


def recover(drive: Drive, place: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    secret = place / "phrase.txt"
    secret.write_text("exemple de phrase pour les essais\n", encoding="utf-8")
    words = [sys.executable, "-I", str(RECOVER), str(drive.root), "--passphrase-file", str(secret), *options]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)


def note(drive: Drive, source: Path, place: Path, to: str, *options: str) -> str:
    ran = recover(drive, place, "--to", str(place / to), *options)
    assert ran.returncode == 0, ran.stderr
    return (place / to / str(source / "note.txt").lstrip("/")).read_text(encoding="utf-8")


@pytest.mark.parametrize("clocks", list(itertools.permutations(CLOCKS)))
def test_the_newest_is_the_last_one_taken_of_all_computers_or_of_the_named_one(
    clocks: Sequence[str], tmp_path: Path
) -> None:
    with in_memory(tmp_path) as place:
        source = place / "docs"
        source.mkdir()
        drive = enroll(place / "drive")
        save(drive, source, "first", "cabinet-pc", clocks[0])
        save(drive, source, "second", "salle-2", clocks[1])
        save(drive, source, "third", "cabinet-pc", clocks[2])
        assert note(drive, source, place, "all") == "third"
        assert note(drive, source, place, "latest", "--snapshot", "latest") == "third"
        assert note(drive, source, place, "near", "--host", "Cabinet-PC") == "third"
        assert note(drive, source, place, "away", "--host", "salle-2") == "second"
        with opened(drive) as repository:
            assert [named.snapshot.sequence for named in repository.snapshots().readable] == [1, 2, 3]
            assert repository.find_snapshot("latest").snapshot.host == "cabinet-pc"


def test_the_computers_are_shown_with_the_dates_of_their_newest_backups(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    drive = enroll(tmp_path / "drive")
    save(drive, tmp_path / "docs", "first", "salle-2", "ahead")
    save(drive, tmp_path / "docs", "second", "cabinet-pc", "behind")
    save(drive, tmp_path / "docs", "third", "cabinet-pc", "right")
    ran = recover(drive, tmp_path, "--to", str(tmp_path / "back"))
    assert ran.stderr.splitlines() == [
        "--host 'salle-2'  2061-01-01T00:00:00.000000Z",
        "--host 'cabinet-pc'  2040-01-02T12:00:00.000000Z  <-",
    ]
    listed = [line.split()[1:3] for line in recover(drive, tmp_path, "--list").stdout.splitlines()]
    assert listed == [
        ["2061-01-01T00:00:00.000000Z", "'salle-2'"],
        ["2040-01-02T11:57:00.000000Z", "'cabinet-pc'"],
        ["2040-01-02T12:00:00.000000Z", "'cabinet-pc'"],
    ]
    assert len(recover(drive, tmp_path, "--list", "--host", "salle-2").stdout.splitlines()) == 1


def test_a_computer_that_the_drive_does_not_know_ends_with_10(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    drive = enroll(tmp_path / "drive")
    save(drive, tmp_path / "docs", "first", "salle-2", "right")
    assert recover(drive, tmp_path, "--to", str(tmp_path / "back"), "--host", "salle-3").returncode == 10
