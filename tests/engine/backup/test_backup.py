"""What a backup saves, what it counts, and how little it does when little has changed.

Owns: runs over whole folders, sources that lie, several computers. Does not know: entry types one by one, live files.
"""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from support.engine.drives import (
    Drive,
    back_up,
    below,
    edit_patients,
    enroll,
    loaded,
    noise,
    opened,
    restored,
    seen,
)
from support.engine.hooked_source import HookedSource

from kinebackup.engine.format.snapshot import Snapshot
from kinebackup.errors import Cancelled, ConfigError
from kinebackup.model import BackupReport, CancelToken
from kinebackup.sources.folder import FolderSource

MIB = 2**20
OTHER_MACHINE = "0d" * 16


def counts(report: BackupReport) -> tuple[int, int, int, int]:
    return report.files_new, report.files_changed, report.files_unmodified, report.files_removed


def kinds(report: BackupReport) -> list[str]:
    return [problem.kind for problem in report.problems]


def snapshot_of(drive: Drive, report: BackupReport) -> Snapshot:
    assert report.snapshot
    with opened(drive) as repository:
        return repository.find_snapshot(report.snapshot).snapshot


def on_drive(drive: Drive) -> int:
    return sum(path.stat().st_size for path in drive.files("."))


# -- the whole ---------------------------------------------------------------------------------------------------


def test_a_whole_practice_comes_back_with_everything(drive: Drive, patients: Path, tmp_path: Path) -> None:
    report = back_up(drive, patients)
    assert report.problems == ()
    assert restored(drive, tmp_path / "back").problems == ()
    assert seen(below(tmp_path / "back", patients)) == seen(patients)


def test_each_day_of_a_practice_comes_back(drive: Drive, patients: Path, tmp_path: Path) -> None:
    days = []
    for _ in range(3):
        report = back_up(drive, patients)
        days.append((report.snapshot or "", seen(patients)))
        if len(days) == 1:
            edit_patients(patients)
        else:
            (patients / "vide" / f"plus-{len(days)}").mkdir()
    for number, (snapshot, expected) in enumerate(days):
        restored(drive, tmp_path / f"day-{number}", snapshot)
        assert seen(below(tmp_path / f"day-{number}", patients)) == expected


def test_a_backup_counts_what_is_new_changed_as_before_and_removed(drive: Drive, patients: Path) -> None:
    first = back_up(drive, patients)
    assert counts(first) == (9, 0, 0, 0)
    edit_patients(patients)
    assert counts(back_up(drive, patients)) == (1, 2, 6, 1)


def test_a_snapshot_remembers_its_counts(drive: Drive, patients: Path) -> None:
    found = snapshot_of(drive, back_up(drive, patients))
    # Patients, Dupont, radios, Durand, vide; two links and a fifo.
    assert (found.counts.files, found.counts.others, found.files_by_source) == (9, 3, (9,))
    assert found.counts.bytes == sum(
        p.lstat().st_size for p in patients.rglob("*") if p.is_file() and not p.is_symlink()
    )


def test_an_unchanged_folder_opens_no_file_and_writes_almost_nothing(drive: Drive, patients: Path) -> None:
    back_up(drive, patients)
    packs = drive.files("packs")
    opened_names: list[str] = []
    report = back_up(drive, HookedSource(patients, opened_names.append))
    assert counts(report) == (0, 0, 9, 0)
    assert report.bytes_read == 0
    assert report.bytes_written < 3000
    assert set(opened_names) <= {"Dupont", "radios", "Durand", "vide", "dernier", "ailleurs"}
    # The way to the folder is written anew: one small pack and its index file.
    assert len(drive.files("packs")) <= len(packs) + 1


def test_a_thing_that_only_moved_is_not_stored_again(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "scan.tif").write_bytes(noise("scan", 5 * MIB))
    (folder / "petit.txt").write_bytes(noise("petit", 3000))
    back_up(drive, folder)
    (folder / "archives").mkdir()
    (folder / "scan.tif").rename(folder / "archives" / "2029.tif")
    (folder / "petit.txt").rename(folder / "archives" / "petit.txt")
    report = back_up(drive, folder)
    assert counts(report) == (2, 0, 0, 2)
    assert report.bytes_written < 4000


def test_a_copy_of_a_file_is_stored_once(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for name in ("a.bin", "b.bin", "c.bin"):
        (folder / name).write_bytes(noise("same", MIB))
    assert back_up(drive, folder).bytes_written < MIB + 50_000


def test_an_insertion_in_a_large_file_stores_little(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    data = noise("large", 24 * MIB)
    (folder / "film.avi").write_bytes(data)
    back_up(drive, folder)
    (folder / "film.avi").write_bytes(data[: 11 * MIB] + b"inserted" + data[11 * MIB :])
    report = back_up(drive, folder)
    assert report.bytes_read == 24 * MIB + 8
    assert report.bytes_written < 5 * MIB
    restored(drive, tmp_path / "back")
    assert (below(tmp_path / "back", folder) / "film.avi").read_bytes() == data[: 11 * MIB] + b"inserted" + data[
        11 * MIB :
    ]


def test_a_page_changed_in_a_database_stores_little(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    base = folder / "agenda.sqlite"
    with closing(sqlite3.connect(base)) as database:
        database.execute("CREATE TABLE rdv (id INTEGER PRIMARY KEY, note BLOB)")
        database.executemany("INSERT INTO rdv VALUES (?, ?)", [(n, noise(str(n), 900)) for n in range(8000)])
        database.commit()
    assert base.stat().st_size > 7 * MIB
    back_up(drive, folder)
    with closing(sqlite3.connect(base)) as database:
        database.execute("UPDATE rdv SET note = ? WHERE id = 4000", (noise("changed", 900),))
        database.commit()
    report = back_up(drive, folder)
    assert counts(report) == (0, 1, 0, 0)
    assert report.bytes_written < 100_000
    restored(drive, tmp_path / "back")
    assert (below(tmp_path / "back", folder) / "agenda.sqlite").read_bytes() == base.read_bytes()


def test_only_metadata_changed_reads_the_file_and_stores_no_content(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "scan.tif").write_bytes(noise("scan", 2 * MIB))
    back_up(drive, folder)
    os.chmod(folder / "scan.tif", 0o640)
    report = back_up(drive, folder)
    assert counts(report) == (0, 1, 0, 0)
    assert report.bytes_written < 4000
    restored(drive, tmp_path / "back")
    assert seen(below(tmp_path / "back", folder)) == seen(folder)


def test_a_dry_run_counts_and_writes_nothing(drive: Drive, patients: Path) -> None:
    back_up(drive, patients)
    edit_patients(patients)
    before = {path: path.read_bytes() for path in drive.files(".")}
    report = back_up(drive, patients, dry_run=True)
    assert report.snapshot is None
    assert counts(report) == (1, 2, 6, 1)
    assert report.bytes_written == 0
    assert report.bytes_read > 700_000
    assert {path: path.read_bytes() for path in drive.files(".")} == before


def test_nothing_is_left_in_the_temporary_directory(drive: Drive, patients: Path) -> None:
    back_up(drive, patients)
    assert drive.files("tmp") == []


def test_a_cancelled_backup_leaves_no_snapshot_and_the_next_one_goes_on(drive: Drive, patients: Path) -> None:
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        back_up(drive, HookedSource(patients, lambda name: cancel.cancel()), cancel=cancel)
    assert drive.files("snapshots") == []
    assert counts(back_up(drive, patients)) == (9, 0, 0, 0)


# -- sources that lie --------------------------------------------------------------------------------------------


def test_a_missing_source_is_reported_and_the_others_are_saved(drive: Drive, patients: Path, tmp_path: Path) -> None:
    report = back_up(drive, tmp_path / "gone", patients)
    assert kinds(report) == ["source-missing"]
    assert report.problems[0].path == str(tmp_path / "gone")
    assert report.suspicious
    assert report.files_new == 9
    assert snapshot_of(drive, report).suspicious


def test_no_source_at_all_makes_no_snapshot(drive: Drive, tmp_path: Path) -> None:
    report = back_up(drive, tmp_path / "gone")
    assert report.snapshot is None
    assert kinds(report) == ["source-missing"]
    assert drive.files("snapshots") == []


def test_a_source_may_be_one_file(drive: Drive, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "base.gpg").write_bytes(noise("base", 700_000))
    (tmp_path / "docs" / "beside").write_text("not asked for", encoding="utf-8")
    for expected in ((1, 0, 0, 0), (0, 0, 1, 0)):
        report = back_up(drive, tmp_path / "docs" / "base.gpg")
        assert (counts(report), report.problems, report.suspicious) == (expected, (), False)
    restored(drive, tmp_path / "back")
    assert [path.name for path in below(tmp_path / "back", tmp_path / "docs").iterdir()] == ["base.gpg"]
    (tmp_path / "docs" / "base.gpg").unlink()
    assert kinds(back_up(drive, tmp_path / "docs" / "base.gpg")) == ["source-missing"]


def test_a_source_with_one_large_file_is_not_empty(drive: Drive, tmp_path: Path) -> None:
    """Large files are still being read when the walk of their source ends; they are in it all the same."""
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "film.avi").write_bytes(noise("film", 3 * MIB))
    report = back_up(drive, tmp_path / "docs")
    assert (report.problems, report.suspicious) == ((), False)
    assert snapshot_of(drive, report).files_by_source == (1,)


def test_an_empty_source_is_suspicious(drive: Drive, tmp_path: Path) -> None:
    (tmp_path / "docs" / "nothing" / "below").mkdir(parents=True)
    report = back_up(drive, tmp_path / "docs")
    assert kinds(report) == ["source-empty"]
    assert report.suspicious


def shrunken(folder: Path, *, left: int, of: int = 10) -> None:
    folder.mkdir(exist_ok=True)
    for number in range(of):
        path = folder / f"{number}.txt"
        if number < left:
            path.write_text(str(number), encoding="utf-8")
        else:
            path.unlink(missing_ok=True)


def test_a_shrunken_source_is_suspicious_until_it_is_accepted(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    shrunken(folder, left=10)
    good = back_up(drive, folder)
    shrunken(folder, left=4)
    report = back_up(drive, folder)
    assert kinds(report) == ["source-shrunk"]
    assert report.problems[0].message == "4 files are left of 10; confirm with --accept-shrink if this is meant"
    assert snapshot_of(drive, report).suspicious
    again = back_up(drive, folder)
    assert again.suspicious  # still compared with the last one that was trusted
    assert snapshot_of(drive, again).parent == good.snapshot
    accepted = back_up(drive, folder, accept_shrink=True)
    assert not accepted.suspicious
    assert not back_up(drive, folder).suspicious


@pytest.mark.parametrize("name", [b"Ren\xe9e", b"\xff\xfe", b"Ren\\xe9e", "Renée".encode()])
def test_a_source_of_any_name_is_compared_with_what_it_had(drive: Drive, tmp_path: Path, name: bytes) -> None:
    folder = tmp_path / os.fsdecode(name)
    shrunken(folder, left=10)
    back_up(drive, folder)
    shrunken(folder, left=4)
    report = back_up(drive, folder)
    assert (kinds(report), report.suspicious) == (["source-shrunk"], True)


def test_half_of_the_files_is_still_enough(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    shrunken(folder, left=10)
    back_up(drive, folder)
    shrunken(folder, left=5)
    assert not back_up(drive, folder).suspicious


def test_an_emptied_source_can_be_accepted_and_a_missing_one_is_still_named(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    shrunken(folder, left=10)
    back_up(drive, folder)
    shrunken(folder, left=0)
    assert not back_up(drive, folder, accept_shrink=True).suspicious
    other = tmp_path / "other"
    shrunken(other, left=1)
    folder.rmdir()
    report = back_up(drive, folder, other, accept_shrink=True)
    assert (kinds(report), report.suspicious) == (["source-missing"], False)


def test_a_suspicious_snapshot_is_not_the_latest_one(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    shrunken(folder, left=10)
    good = back_up(drive, folder)
    shrunken(folder, left=1)
    back_up(drive, folder)
    with opened(drive) as repository:
        assert repository.find_snapshot("latest").id == good.snapshot


def test_a_dry_run_judges_sources_too(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    shrunken(folder, left=10)
    back_up(drive, folder)
    shrunken(folder, left=1)
    report = back_up(drive, folder, dry_run=True)
    assert (kinds(report), report.suspicious) == (["source-shrunk"], True)


# -- several sources and computers -------------------------------------------------------------------------------


def test_sources_that_share_a_way_come_back_together(drive: Drive, tmp_path: Path) -> None:
    for name in ("b/Patients", "a", "b/Compta/2029"):
        (tmp_path / "home" / name).mkdir(parents=True)
        (tmp_path / "home" / name / "f.txt").write_text(name, encoding="utf-8")
    sources = [tmp_path / "home" / name for name in ("b/Patients", "a", "b/Compta/2029")]
    for _ in range(2):
        report = back_up(drive, *sources)
    assert counts(report) == (0, 0, 3, 0)
    assert snapshot_of(drive, report).files_by_source == (1, 1, 1)
    assert restored(drive, tmp_path / "back").problems == ()
    assert seen(below(tmp_path / "back", tmp_path / "home")) == seen(tmp_path / "home")


def test_what_lies_beside_a_source_is_not_saved(drive: Drive, tmp_path: Path) -> None:
    for name in ("saved", "beside"):
        (tmp_path / "home" / name).mkdir(parents=True)
        (tmp_path / "home" / name / "f.txt").write_text(name, encoding="utf-8")
    back_up(drive, tmp_path / "home" / "saved")
    restored(drive, tmp_path / "back")
    assert sorted(path.name for path in below(tmp_path / "back", tmp_path / "home").iterdir()) == ["saved"]


def test_a_source_added_and_a_source_dropped(drive: Drive, tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "f.bin").write_bytes(noise(name, 200_000))
    back_up(drive, tmp_path / "a")
    both = back_up(drive, tmp_path / "a", tmp_path / "b")
    assert counts(both) == (1, 0, 1, 0)
    only = back_up(drive, tmp_path / "b")
    assert (only.files_unmodified, only.suspicious) == (1, False)
    assert only.bytes_written < 5000


def test_each_computer_has_its_own_parents(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    shrunken(folder, left=10)
    first = back_up(drive, folder)
    shrunken(folder, left=2)
    other = back_up(drive, folder, machine=OTHER_MACHINE)
    assert not other.suspicious  # on that computer there never were ten
    assert snapshot_of(drive, other).parent == ""
    shrunken(folder, left=10)
    again = back_up(drive, folder)
    assert snapshot_of(drive, again).parent == first.snapshot


def test_two_computers_share_what_they_have_in_common(drive: Drive, patients: Path) -> None:
    back_up(drive, patients)
    report = back_up(drive, patients, machine=OTHER_MACHINE)
    assert counts(report) == (9, 0, 0, 0)
    assert report.bytes_written < 3000


def test_a_second_drive_of_the_practice_is_whole_by_itself(drive: Drive, patients: Path, tmp_path: Path) -> None:
    back_up(drive, patients)
    second = enroll(tmp_path / "second", seed="second", practice=drive)
    assert counts(back_up(second, patients)) == (9, 0, 0, 0)
    restored(second, tmp_path / "back")
    assert seen(below(tmp_path / "back", patients)) == seen(patients)


def test_many_backups_leave_few_index_files(drive: Drive, tmp_path: Path) -> None:
    folder = tmp_path / "docs"
    folder.mkdir()
    for number in range(9):
        (folder / f"{number}.txt").write_text(str(number), encoding="utf-8")
        back_up(drive, folder)
    assert len(drive.files("index")) <= 7
    with loaded(drive) as repository:
        assert repository.inventory.unlisted == ()
    restored(drive, tmp_path / "back")
    assert seen(below(tmp_path / "back", folder)) == seen(folder)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("target", ["Patients", "Patients/Dupont"])
def test_a_source_that_a_link_leads_into_another_one_is_refused(
    drive: Drive, patients: Path, tmp_path: Path, target: str, *, turned: bool
) -> None:
    """Both would give the folder that they share a name of its own, and a restore takes the first of them only."""
    (tmp_path / "raccourci").symlink_to(patients.parent / target)
    sources = [patients, tmp_path / "raccourci"]
    with pytest.raises(ConfigError, match="which is saved already"):
        back_up(drive, *(reversed(sources) if turned else sources))
    assert drive.files("packs") == []


def test_sources_of_which_one_name_begins_like_the_other_are_two(drive: Drive, tmp_path: Path) -> None:
    for name in ("a", "ab"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "note.txt").write_text(name, encoding="utf-8")
    assert back_up(drive, tmp_path / "a", tmp_path / "ab").files_new == 2


def test_the_whole_computer_is_refused_as_a_source(drive: Drive) -> None:
    """Its folder has no name, and a directory has no entry without one."""
    with pytest.raises(ConfigError, match="the whole computer cannot be a source"):
        back_up(drive, Path("/"))


def test_a_source_reached_through_a_link_is_saved_under_its_real_path(
    drive: Drive, patients: Path, tmp_path: Path
) -> None:
    (tmp_path / "link").symlink_to(patients)
    report = back_up(drive, FolderSource(str(tmp_path / "link")))
    found = snapshot_of(drive, report)
    assert (found.sources, found.led_to) == ((str(tmp_path / "link"),), (str(patients),))
    restored(drive, tmp_path / "back")
    assert seen(below(tmp_path / "back", patients)) == seen(patients)
