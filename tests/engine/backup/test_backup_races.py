"""What can happen between seeing a name and reading it, and what a reading in vain must not pretend.

Owns: folders and sparse files that change at exact moments, a database that cannot be copied. Does not know: the
other live files (test_backup_live.py).
"""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, noise, restored
from support.engine.hooked_source import HookedDirectory, HookedSource

from kinebackup.engine.source import Border, Found, SourceDirectory
from kinebackup.model import BackupReport, CancelToken
from kinebackup.sources.folder import FolderSource


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "lettre.txt").write_text("Bilan", encoding="utf-8")
    return tmp_path / "docs"


def kinds(report: BackupReport) -> list[tuple[str, str]]:
    return [(problem.kind, Path(problem.path).name) for problem in report.problems]


def test_a_folder_that_vanishes_after_it_was_listed_is_as_if_it_had_never_been_there(drive: Drive, docs: Path) -> None:
    (docs / "parti").mkdir()

    def vanish(name: str) -> None:
        if name == "parti":
            (docs / "parti").rmdir()

    assert back_up(drive, HookedSource(docs, vanish)).problems == ()


def test_it_is_not_in_the_snapshot_either(drive: Drive, docs: Path, tmp_path: Path) -> None:
    (docs / "parti").mkdir()
    back_up(drive, HookedSource(docs, lambda name: shutil.rmtree(docs / "parti") if name == "parti" else None))
    restored(drive, tmp_path / "back")
    assert sorted(path.name for path in below(tmp_path / "back", docs).iterdir()) == ["lettre.txt"]


class Shrinker(CancelToken):
    """Cuts two megabytes off a file each time somebody asks whether to stop, which is before each part that is read."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def check(self) -> None:
        os.truncate(self._path, max(0, self._path.stat().st_size - 2 * 2**20))


def test_a_sparse_file_that_shrinks_at_each_reading_is_saved_as_far_as_it_was_read(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    with (docs / "disque.img").open("wb") as file:
        file.truncate(200 * 2**20)
        for at in range(0, 200 * 2**20, 4 * 2**20):
            file.seek(at)
            file.write(noise(f"part {at}", 2**20))

    report = back_up(drive, docs, cancel=Shrinker(docs / "disque.img"))

    assert kinds(report) == [("uncertain", "disque.img")]
    assert restored(drive, tmp_path / "back").problems == ()
    got = below(tmp_path / "back", docs) / "disque.img"
    assert got.stat().st_size > 2**20
    assert got.read_bytes()[: 2**20] == noise("part 0", 2**20)


def test_a_database_in_use_that_cannot_be_copied_is_saved_as_it_is_and_reported(drive: Drive, docs: Path) -> None:
    with closing(sqlite3.connect(docs / "cabinet.sqlite")) as base:
        base.execute("PRAGMA journal_mode = WAL")
        base.execute("CREATE TABLE seance (note TEXT)")
        base.commit()

        report = back_up(drive, FolderSource(str(docs), copier=None))

    assert kinds(report) == [("uncertain", "cabinet.sqlite")]


def test_every_name_of_an_uncertain_file_is_uncertain(drive: Drive, docs: Path) -> None:
    """Else the second one would be kept for good, as long as nobody changes the file again."""
    with closing(sqlite3.connect(docs / "a.sqlite")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE rdv (note TEXT)")
        connection.commit()
        os.link(docs / "a.sqlite", docs / "b.sqlite")
        report = back_up(drive, docs)
    assert kinds(report) == [("uncertain", "a.sqlite"), ("uncertain", "b.sqlite")]


class Boundary(HookedDirectory):
    """A folder in which every folder is a mount point."""

    def border(self, found: Found) -> Border:
        return Border.FILE_SYSTEM


class BoundarySource(HookedSource):
    def open_root(self) -> SourceDirectory:
        return Boundary(super().open_root(), lambda name: None)


def test_a_mount_inside_a_source_is_not_left_out_silently(drive: Drive, docs: Path) -> None:
    """A disk of radiographs, or a subvolume: who believes it saved must hear that it is not."""
    (docs / "radios").mkdir()
    (docs / "radios" / "image.jpg").write_bytes(b"image")
    for _ in range(2):
        report = back_up(drive, BoundarySource(docs, lambda name: None))
        assert kinds(report) == [("left-out", "radios")]
        assert report.problems[0].message == (
            "another file system begins here and is not saved: set one_file_system = false, or exclude it"
        )
        assert (report.files_lost, report.suspicious) == (1, False)
