"""Folders of many small files, which are opened a little before their turn."""

import os
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, enroll, restored, seen
from support.engine.hooked_source import HookedSource

from kinebackup.engine.backup.read_ahead import AHEAD, ReadAhead
from kinebackup.sources.folder import FolderSource


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    return enroll(tmp_path / "drive")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    for number in range(200):
        (tmp_path / "docs" / f"lettre-{number:03}.txt").write_text(f"Bilan {number}", encoding="utf-8")
    return tmp_path / "docs"


def test_only_a_few_files_are_open_and_none_stays_open(docs: Path) -> None:
    before = descriptors()
    directory = FolderSource(str(docs)).open_root()
    names = directory.listing().names
    ahead = ReadAhead()
    ahead.begin(directory, names)

    taken = ahead.take(names[0])
    assert taken is not None
    assert os.pread(taken, 99, 0) == b"Bilan 0"
    assert descriptors() == before + 1 + AHEAD

    os.close(taken)
    ahead.end()
    directory.close()
    assert descriptors() == before


def test_many_new_and_old_files_together_come_back_in_order(drive: Drive, docs: Path, tmp_path: Path) -> None:
    back_up(drive, docs)
    for number in range(0, 200, 3):
        (docs / f"lettre-{number:03}.txt").write_text(f"Bilan {number}, corrigé", encoding="utf-8")
        (docs / f"lettre-{number:03}-bis.txt").write_text("bis", encoding="utf-8")

    report = back_up(drive, docs)

    assert (report.files_new, report.files_changed, report.files_unmodified) == (67, 67, 133)
    assert restored(drive, tmp_path / "back").problems == ()
    assert seen(below(tmp_path / "back", docs)) == seen(docs)
    assert back_up(drive, docs).files_unmodified == 267


def test_files_that_vanish_before_their_turn_are_as_if_never_there(drive: Drive, docs: Path, tmp_path: Path) -> None:
    before = descriptors()

    def vanish(name: str) -> None:
        if name == "lettre-100.txt":
            for number in range(101, 200):
                (docs / f"lettre-{number:03}.txt").unlink()

    assert back_up(drive, HookedSource(docs, vanish)).problems == ()
    assert descriptors() == before
    restored(drive, tmp_path / "back")
    assert sorted(path.name for path in below(tmp_path / "back", docs).iterdir())[100] == "lettre-100.txt"
