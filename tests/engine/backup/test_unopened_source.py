"""A source that is there and cannot be opened: what the last backup had of it goes on, and the others are saved.

Owns: the source's own folder or file. Does not know: what lies below it (test_one_error_one_entry.py), or sources that
are not there (test_backup.py).
"""

import errno
import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.engine.backups_with_journal import TrackedPractice, full_picture, listening, picture_of
from support.engine.drives import Drive, back_up, below, enroll, opened, restored
from support.engine.failing_source import Call, FailingSource

from kinebackup.change_journal.cursors import JournalCursors
from kinebackup.engine.source import SourceDirectory
from kinebackup.model import BackupReport
from kinebackup.sources.folder import FolderSource

ERRORS = (errno.EACCES, errno.EPERM, errno.EIO, errno.ESTALE, errno.ENOTCONN, errno.EBUSY, errno.EMFILE, errno.EINTR)


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    return enroll(tmp_path / "drive")


@pytest.fixture
def docs(disk_path: Path) -> Iterator[Path]:
    folder = disk_path / "docs"
    (folder / "deep").mkdir(parents=True)
    for name in ("a.txt", "deep/b.txt", "deep/c.txt"):
        (folder / name).write_text(f"{name} of monday", encoding="utf-8")
    yield folder
    folder.chmod(0o700)


def unopened(path: Path, number: int = errno.EIO) -> FailingSource:
    def met(call: Call) -> None:
        if call == Call("open", ""):
            raise OSError(number, os.strerror(number))

    return FailingSource(path, met)


def told(report: BackupReport) -> list[tuple[str, str, str]]:
    return [(problem.kind, problem.path, problem.message) for problem in report.problems]


def suspicious(drive: Drive, report: BackupReport) -> bool:
    with opened(drive) as repository:
        found = repository.find_snapshot(str(report.snapshot)).snapshot
    assert found.suspicious == report.suspicious
    assert found.files_lost == report.files_lost
    return found.suspicious


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
def test_what_the_last_backup_had_goes_on_and_is_looked_at_again(
    drive: Drive, docs: Path, tmp_path: Path, number: int
) -> None:
    back_up(drive, docs)
    (docs / "a.txt").write_text("of tuesday", encoding="utf-8")
    said = f"this folder cannot be opened ({os.strerror(number)}); what an earlier backup had of it is kept"
    for _day in range(2):
        report = back_up(drive, unopened(docs, number))
        assert told(report) == [("unreadable", str(docs), said)]
        assert (report.files_lost, suspicious(drive, report)) == (3, False)
    assert restored(drive, tmp_path / "back").problems == ()
    assert (below(tmp_path / "back", docs) / "a.txt").read_text("utf-8") == "a.txt of monday"
    assert (below(tmp_path / "back", docs) / "deep" / "c.txt").read_text("utf-8") == "deep/c.txt of monday"

    looked = back_up(drive, unopened(docs, number), dry_run=True)
    assert (told(looked), looked.files_lost) == ([("unreadable", str(docs), said)], 3)
    again = back_up(drive, docs)
    assert (again.problems, again.files_lost, again.files_changed, again.files_unmodified) == ((), 0, 1, 2)
    assert restored(drive, tmp_path / "again").problems == ()
    assert (below(tmp_path / "again", docs) / "a.txt").read_text("utf-8") == "of tuesday"


def test_the_others_are_saved_and_theirs_is_the_latest_backup(drive: Drive, docs: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "agenda.txt").write_text("monday", encoding="utf-8")
    back_up(drive, docs, other)
    (other / "agenda.txt").write_text("tuesday", encoding="utf-8")
    report = back_up(drive, unopened(docs), other)
    assert ([kind for kind, _path, _text in told(report)], report.suspicious) == (["unreadable"], False)
    restored(drive, tmp_path / "back")
    assert (below(tmp_path / "back", other) / "agenda.txt").read_text("utf-8") == "tuesday"
    assert (below(tmp_path / "back", docs) / "a.txt").read_text("utf-8") == "a.txt of monday"


def test_a_source_that_is_one_file_goes_on_too(drive: Drive, docs: Path, tmp_path: Path) -> None:
    file = docs / "a.txt"
    back_up(drive, file)
    file.write_text("of tuesday", encoding="utf-8")
    report = back_up(drive, unopened(file))
    assert [(kind, path) for kind, path, _text in told(report)] == [("unreadable", str(file))]
    assert (report.files_lost, suspicious(drive, report)) == (1, False)
    restored(drive, tmp_path / "back")
    assert below(tmp_path / "back", file).read_text("utf-8") == "a.txt of monday"


def test_one_that_no_backup_has_yet_is_missing(drive: Drive, docs: Path, tmp_path: Path) -> None:
    first = back_up(drive, unopened(docs))
    assert ([problem.kind for problem in first.problems], first.snapshot) == (["source-missing"], None)
    other = tmp_path / "other"
    other.mkdir()
    (other / "agenda.txt").write_text("monday", encoding="utf-8")
    for _day in range(2):
        report = back_up(drive, other, unopened(docs))
        assert [problem.kind for problem in report.problems] == ["source-missing"]
        assert (report.files_lost, report.suspicious) == (1, True)


def test_one_that_is_another_kind_of_thing_now_is_missing(drive: Drive, docs: Path) -> None:
    back_up(drive, docs)
    docs.rename(docs.with_name("elsewhere"))
    docs.write_text("a file in the place of the folder", encoding="utf-8")
    report = back_up(drive, unopened(docs))
    assert ([problem.kind for problem in report.problems], report.files_lost) == (["source-missing"], 3)


def test_one_that_is_gone_when_it_is_opened_is_missing(drive: Drive, docs: Path) -> None:
    back_up(drive, docs)
    report = back_up(drive, unopened(docs, errno.ENOENT))
    assert ([problem.kind for problem in report.problems], report.files_lost) == (["source-missing"], 3)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_this_user_may_not_read_goes_on(drive: Drive, docs: Path) -> None:
    back_up(drive, docs)
    docs.chmod(0)
    report = back_up(drive, docs)
    assert [(problem.kind, problem.path) for problem in report.problems] == [("unreadable", str(docs))]
    assert (report.files_lost, report.suspicious) == (3, False)


class SickSource(FolderSource):
    """A folder that cannot be opened for a while."""

    is_sick = False

    def open_root(self) -> SourceDirectory:  # type: ignore[override] # or an error
        if self.is_sick:
            raise OSError(errno.EIO, "Input/output error")
        return super().open_root()


def test_where_a_journal_is_followed_all_of_it_is_looked_at_once_it_opens_again(tmp_path: Path, docs: Path) -> None:
    source = SickSource(str(docs))
    with listening(source) as journal:
        office = TrackedPractice(
            enroll(tmp_path / "drive"), [source], JournalCursors(journal), late=timedelta(minutes=1)
        )
        office.back_up()
        assert office.back_up().followed
        source.is_sick = True
        (docs / "deep" / "b.txt").write_text("while it could not be opened", encoding="utf-8")
        carried = office.back_up()
        assert (carried.followed, carried.taken.report.files_lost) == (False, 3)
        source.is_sick = False
        for _day in range(2):
            run = office.back_up()
            assert (run.missed, run.taken.report.problems) == ([], ())
            assert picture_of(office.drive, run.taken) == full_picture([source], tmp_path / f"full {_day}")
        assert run.followed
