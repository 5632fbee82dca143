"""Backups that follow a journal are the ones that a look at everything would have made.

Owns: real inotify on real folders, random work in them, and what ends the reliance on the journal. Does not know: how
the journal follows events one by one (``tests/change_journal/test_journal.py``).
"""

import errno
import mmap
import os
import shutil
import stat
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from support.engine.backups_with_journal import TrackedPractice, full_picture, listening, picture_of, snapshot_of
from support.engine.drives import Seen, below, edit_patients, enroll, in_memory, make_patients, restored, seen, verified
from support.engine.failing_source import Call, FailingDirectory
from support.engine.random_work import Work

from kinebackup.change_journal.cursors import JournalCursors
from kinebackup.change_journal.journal import ChangeJournal, Cursor
from kinebackup.engine.backup.parent.changes import Changes
from kinebackup.engine.source import SourceDirectory
from kinebackup.sources.folder import FolderSource


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Path]:
    """A place for drives where a sync costs nothing."""
    with in_memory(tmp_path) as folder:
        yield folder


@pytest.fixture
def patients(disk_path: Path) -> Path:
    folder = make_patients(disk_path / "home" / "Patients")
    (folder / "Durand" / "secret.txt").chmod(0o600)  # else only root saves all of it
    return folder


@pytest.fixture
def office(shelf: Path, patients: Path) -> Iterator[TrackedPractice]:
    source = FolderSource(str(patients))
    with listening(source) as journal:
        # What was made a moment before the backup is looked at again by the next one; here it is long ago.
        yield TrackedPractice(enroll(shelf / "drive"), [source], JournalCursors(journal), late=timedelta(minutes=1))


class DeafJournal(ChangeJournal):
    """It believes that nothing ever happens."""

    def changes_since(self, cursor: Cursor) -> Changes | None:
        changes = super().changes_since(cursor)
        return None if changes is None else Changes(source.path for source in self._sources)


def without_outside(names: dict[str, Seen]) -> dict[str, Seen]:
    """A file whose other names lie outside comes back with one name."""
    return {name: replace(one, links=one.links if len(one.links) > 1 else ()) for name, one in names.items()}


# -- the same snapshot -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
def test_random_work_is_saved_as_by_a_look_at_everything(seed: int, tmp_path: Path, shelf: Path) -> None:
    folder, outside = tmp_path / "Patients", tmp_path / "ailleurs"
    outside.mkdir()
    for branch in ("a/b", "c/d/e", "f"):
        (folder / branch).mkdir(parents=True)
    work = Work(folder, outside, seed)
    work.some(40)
    source = FolderSource(str(folder))
    with listening(source) as journal:
        office = TrackedPractice(enroll(shelf / "drive"), [source], JournalCursors(journal))
        office.back_up()
        for day in range(6):
            work.some(1 + 3 * day)
            taken = office.back_up().taken
            assert picture_of(office.drive, taken) == full_picture([source], shelf / f"full-{day}")
    work.close()
    assert verified(office.drive).problems == ()
    restored(office.drive, tmp_path / "back", taken.report.snapshot or "")
    assert without_outside(seen(below(tmp_path / "back", folder))) == without_outside(seen(folder))


@pytest.mark.parametrize("seed", range(20, 24))
def test_several_sources_with_exclusions_follow_their_journal(seed: int, tmp_path: Path, shelf: Path) -> None:
    outside = tmp_path / "ailleurs"
    outside.mkdir()
    works = []
    for name in ("Patients", "Comptes"):
        (tmp_path / name / "a" / "b").mkdir(parents=True)
        works.append(Work(tmp_path / name, outside, seed))
        works[-1].some(30)
    letter = tmp_path / "lettre.txt"
    letter.write_text("Bonjour")
    sources = [
        FolderSource(str(tmp_path / "Patients"), exclude=["*5é", "a/b"]),
        FolderSource(str(tmp_path / "Comptes"), exclude=["*.txt"]),
        FolderSource(str(letter)),
    ]
    with listening(*sources) as journal:
        office = TrackedPractice(enroll(shelf / "drive"), sources, JournalCursors(journal))
        office.back_up(accept_shrink=True)  # a source of which all is excluded is suspicious
        followed = 0
        for day in range(5):
            works[day % 2].some(4)
            letter.write_text("Bonjour" * day)
            run = office.back_up(accept_shrink=True)
            followed += run.followed
            assert run.missed == []
            assert picture_of(office.drive, run.taken) == full_picture(sources, shelf / f"full-{day}")
        assert followed >= 1
    for work in works:
        work.close()


def test_the_journal_is_followed_most_days_of_random_work(tmp_path: Path, shelf: Path) -> None:
    folder, outside = tmp_path / "Patients", tmp_path / "ailleurs"
    outside.mkdir()
    folder.mkdir()
    work = Work(folder, outside, 99)
    work.some(60)
    source = FolderSource(str(folder))
    with listening(source) as journal:
        office = TrackedPractice(enroll(shelf / "drive"), [source], JournalCursors(journal))
        followed = []
        for _ in range(10):
            work.some(3)
            followed.append(office.back_up().followed)
    work.close()
    assert followed[0] is False
    assert sum(followed) >= 6  # a new hard link is the only reason not to


def test_work_that_goes_on_during_the_walk_is_in_the_next_backup(tmp_path: Path, shelf: Path) -> None:
    folder, outside = tmp_path / "Patients", tmp_path / "ailleurs"
    outside.mkdir()
    folder.mkdir()
    work = Work(folder, outside, 7)
    work.some(60)
    source = FolderSource(str(folder))
    over = threading.Event()

    def go_on() -> None:
        while not over.is_set():
            work.some(1)

    with listening(source) as journal:
        office = TrackedPractice(enroll(shelf / "drive"), [source], JournalCursors(journal))
        office.back_up()
        thread = threading.Thread(target=go_on)
        thread.start()
        for _ in range(4):
            office.back_up()
        over.set()
        thread.join()
        taken = office.back_up().taken
        assert picture_of(office.drive, taken) == full_picture([source], shelf / "full")
    work.close()


def test_a_day_without_work_reads_no_directory_but_those_of_links(office: TrackedPractice) -> None:
    first = office.back_up()
    second = office.back_up()
    assert (first.followed, second.followed) == (False, True)
    assert snapshot_of(office.drive, first.taken).root == snapshot_of(office.drive, second.taken).root
    assert second.taken.report.files_unmodified == 9
    assert second.taken.report.bytes_read == 0


def test_counts_are_those_of_everything(office: TrackedPractice, patients: Path) -> None:
    office.back_up()
    edit_patients(patients)
    run = office.back_up()
    assert run.followed
    counts = snapshot_of(office.drive, run.taken).counts
    assert (counts.files, counts.dirs, counts.others) == (9, 5, 3)
    report = run.taken.report
    assert (report.files_new, report.files_changed, report.files_unmodified, report.files_removed) == (1, 2, 6, 1)


def test_problems_are_told_again_each_day(office: TrackedPractice, patients: Path) -> None:
    os.mknod(patients / "vide" / "s", stat.S_IFSOCK | 0o600)
    office.back_up()
    run = office.back_up()
    assert run.followed
    assert [(p.kind, p.path) for p in run.taken.report.problems] == [("skipped", f"{patients}/vide/s")]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_a_folder_that_cannot_be_read_is_tried_each_day(office: TrackedPractice, patients: Path, shelf: Path) -> None:
    closed = patients / "Dupont" / "radios"
    closed.chmod(0)
    for _ in range(2):
        run = office.back_up()
        assert [(p.kind, p.path) for p in run.taken.report.problems] == [("unreadable", str(closed))]
    assert run.followed
    closed.chmod(0o755)
    run = office.back_up()
    assert (run.followed, run.taken.report.problems) == (True, ())
    assert picture_of(office.drive, run.taken) == full_picture(office.sources, shelf / "full")


def test_a_change_through_a_memory_map_that_stays_open_is_saved(
    office: TrackedPractice, patients: Path, shelf: Path
) -> None:
    film = patients / "Dupont" / "radios" / "film.bin"
    with film.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
        office.back_up()
        for letter in (b"x", b"y"):
            memory[5:6] = letter
            memory.flush()
            run = office.back_up()
            assert run.followed
            assert run.taken.report.files_changed == 1
            assert picture_of(office.drive, run.taken) == full_picture(office.sources, shelf / letter.decode())


# -- hard links --------------------------------------------------------------------------------------------------


def test_a_change_under_another_name_of_a_file_is_saved(office: TrackedPractice, patients: Path, shelf: Path) -> None:
    office.back_up()
    (patients / "Dupont" / "bilan.txt").write_text("écrit sous un seul de ses deux noms")
    run = office.back_up()
    assert run.followed
    assert run.taken.report.files_changed == 2
    assert picture_of(office.drive, run.taken) == full_picture(office.sources, shelf / "full")


def test_a_new_link_to_a_file_in_a_quiet_folder_leads_to_a_look_at_everything(
    office: TrackedPractice, patients: Path, shelf: Path
) -> None:
    office.back_up()
    os.link(patients / "Dupont" / "radios" / "film.bin", patients / "vide" / "film.bin")
    run = office.back_up()
    assert not run.followed
    assert run.missed == []
    assert picture_of(office.drive, run.taken) == full_picture(office.sources, shelf / "full")
    assert office.back_up().followed


# -- what is not followed ----------------------------------------------------------------------------------------


def test_each_drive_follows_from_its_own_last_backup(office: TrackedPractice, patients: Path, shelf: Path) -> None:
    other = office.other_drive(shelf / "other")
    office.back_up()
    other.back_up()
    (patients / "Durand" / "lundi.txt").write_text("lundi")
    office.back_up()
    (patients / "vide" / "mardi.txt").write_text("mardi")
    run = other.back_up()
    assert run.followed
    assert run.taken.report.files_new == 2
    run = office.back_up()
    assert run.followed
    assert run.taken.report.files_new == 1


def test_a_backup_made_without_the_journal_in_between_ends_the_reliance(
    office: TrackedPractice, patients: Path
) -> None:
    office.back_up()
    (patients / "Durand" / "lundi.txt").write_text("lundi")
    stranger = replace(office, sources=[FolderSource(str(patients), exclude=["*.bak"])])
    assert not stranger.back_up().followed
    assert not office.back_up().followed
    assert office.back_up().followed


def test_a_source_with_other_exclusions_is_not_the_same(office: TrackedPractice, patients: Path) -> None:
    office.back_up()
    changed = replace(office, sources=[FolderSource(str(patients), exclude=["vide"])])
    run = changed.back_up()
    assert not run.followed
    assert snapshot_of(office.drive, run.taken).counts.dirs == 3


def test_a_missing_source_is_told_and_not_taken_over(office: TrackedPractice, patients: Path) -> None:
    office.back_up()
    patients.rename(patients.with_name("ailleurs"))
    run = office.back_up()
    assert [problem.kind for problem in run.taken.report.problems] == ["source-missing"]
    assert run.taken.report.snapshot is None


def test_another_folder_in_the_place_of_the_source_is_looked_at(office: TrackedPractice, patients: Path) -> None:
    office.back_up()
    patients.rename(patients.with_name("ailleurs"))
    patients.mkdir()
    run = office.back_up()
    assert not run.followed
    assert [problem.kind for problem in run.taken.report.problems] == ["source-empty"]


def test_a_source_that_shrinks_is_suspicious_and_stays_so(office: TrackedPractice, patients: Path) -> None:
    office.back_up()
    for folder in ("Durand", "Dupont"):
        shutil.rmtree(patients / folder)
    for _ in range(2):
        run = office.back_up()
        assert run.taken.report.suspicious
        assert [problem.kind for problem in run.taken.report.problems] == ["source-shrunk"]
    run = office.back_up(accept_shrink=True)
    assert (run.followed, run.taken.report.suspicious) == (True, False)


def test_a_damaged_tree_of_the_parent_costs_time_only(office: TrackedPractice, patients: Path, shelf: Path) -> None:
    office.back_up()
    for pack in office.drive.files("packs"):
        data = bytearray(pack.read_bytes())
        data[len(data) // 2] ^= 1
        pack.write_bytes(data)
    (patients / "Durand" / "lundi.txt").write_text("lundi")
    run = office.back_up()
    assert (run.followed, run.missed) == (False, [])
    assert run.taken.report.files_new >= 1


def test_after_a_week_everything_is_looked_at(office: TrackedPractice) -> None:
    office.back_up()
    office.late = timedelta(days=6)
    assert office.back_up().followed
    office.late = timedelta(days=7, hours=1)
    run = office.back_up()
    assert (run.followed, run.missed) == (False, [])
    office.late = timedelta(days=14)
    assert office.back_up().followed


def test_a_source_that_is_one_file_is_no_defect_of_the_journal(tmp_path: Path, shelf: Path) -> None:
    letter = tmp_path / "lettre.txt"
    letter.write_text("Bonjour")
    source = FolderSource(str(letter))
    with listening(source) as journal:
        office = TrackedPractice(enroll(shelf / "drive"), [source], JournalCursors(journal))
        office.back_up()
        letter.write_text("Bonsoir, Madame")
        office.late = timedelta(days=8)
        run = office.back_up()
    assert (run.followed, run.missed, run.taken.report.files_changed) == (False, [], 1)


def test_a_clock_that_was_put_back_leads_to_a_look_at_everything(office: TrackedPractice) -> None:
    office.late = timedelta(days=30)
    office.back_up()
    office.late = timedelta(days=29)
    assert not office.back_up().followed


def test_work_of_the_week_is_no_defect_of_the_journal(tmp_path: Path, shelf: Path) -> None:
    folder, outside = tmp_path / "Patients", tmp_path / "ailleurs"
    outside.mkdir()
    folder.mkdir()
    work = Work(folder, outside, 5)
    work.some(60)
    source = FolderSource(str(folder))
    with listening(source) as journal:
        office = TrackedPractice(enroll(shelf / "drive"), [source], JournalCursors(journal))
        for week in range(5):
            office.late = timedelta(days=8 * week)
            work.some(15)
            run = office.back_up(during=lambda: work.some(3))
            assert (run.followed, run.missed) == (False, [])
    work.close()


def test_a_link_that_came_and_went_elsewhere_is_no_defect_of_the_journal(
    office: TrackedPractice, patients: Path
) -> None:
    office.back_up()
    os.link(patients / "Dupont" / "radios" / "film.bin", patients.parent / "film.bin")
    (patients.parent / "film.bin").unlink()
    office.late = timedelta(days=8)
    run = office.back_up()
    assert (run.followed, run.missed) == (False, [])


def test_a_change_that_the_journal_missed_is_told_loudly_and_saved(
    patients: Path, shelf: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = FolderSource(str(patients))
    with listening(source, journal=DeafJournal) as journal:
        office = TrackedPractice(enroll(shelf / "drive"), [source], JournalCursors(journal), late=timedelta(minutes=1))
        office.back_up()
        (patients / "Dupont" / "radios" / "image.jpg").write_bytes(b"inaper\xc3\xa7u")
        assert office.back_up().taken.report.files_changed == 0
        office.late = timedelta(days=8)
        run = office.back_up()
        assert run.taken.report.files_changed == 1
        assert [(p.kind, p.path) for p in run.missed] == [("journal", f"{patients}/Dupont/radios")]
        assert "the journal missed changes in 1 directories" in caplog.text
        assert str(patients) not in caplog.text
        assert journal.status().state == "off"
        assert not office.back_up().followed


# -- what could not be read ----------------------------------------------------------------------------------------


class SickFolder(FolderSource):
    """A folder of which one name cannot be opened for a while."""

    sick = ""

    def open_root(self) -> SourceDirectory:  # type: ignore[override] # a test's directory around the real one
        return FailingDirectory(super().open_root(), "", self._met)

    def _met(self, call: Call) -> None:
        if self.sick and call == Call("open", self.sick):
            raise OSError(errno.EIO, "Input/output error")


def test_a_folder_that_was_carried_is_looked_at_whole_and_is_no_fault_of_the_journal(
    shelf: Path, patients: Path
) -> None:
    (patients / "Dupont" / "radios" / "notes").mkdir()
    source = SickFolder(str(patients))
    with listening(source) as journal:
        office = TrackedPractice(enroll(shelf / "drive"), [source], JournalCursors(journal), late=timedelta(minutes=1))
        office.back_up()
        source.sick = "Dupont/radios"
        (patients / "Dupont" / "radios" / "notes" / "new.txt").write_text("while it could not be read")
        (patients / "Dupont" / "radios" / "image.jpg").write_bytes(b"changed while it could not be read")
        carried = office.back_up()
        assert (carried.followed, carried.taken.report.files_lost) == (True, 2)
        source.sick = ""
        followed = office.back_up()
        assert (followed.followed, followed.missed, followed.taken.report.problems) == (True, [], ())
        assert followed.taken.report.files_new == 1
        assert picture_of(office.drive, followed.taken) == full_picture([source], shelf / "full")
        source.sick = "Dupont/radios"
        (patients / "Dupont" / "radios" / "notes" / "newer.txt").write_text("again")
        office.back_up()
        source.sick = ""
        looked = replace(office, late=timedelta(days=30)).back_up()  # a look at everything is due: the audit
        assert (looked.followed, looked.missed) == (False, [])
