"""Parity files as runs make, complete and remove them.

Owns: that every file has its own after each run, and what a full drive does. Does not know: their form, or healing.
"""

import contextlib
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, enroll, loaded, noise, pruned, restored, seen, writable
from support.engine.narrow_store import narrow
from support.engine.parity_files import is_copied, parity_of, protected_files, unprotected
from support.engine.recording_store import RecordingStore, Renamed, SyncedDirectory, Unlinked

from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.layout import marker_path, pack_path, parity_marker_path
from kinebackup.engine.repository.redundancy.completing import complete_parity
from kinebackup.engine.repository.store import FolderStore
from kinebackup.errors import DriveFull
from kinebackup.model import CancelToken, FileName

MIB = 2**20


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "film.bin").write_bytes(noise("film", 3 * MIB))
    (folder / "bilan.txt").write_text("Bilan\n" * 50, encoding="utf-8")
    return folder


@pytest.fixture
def drive(tmp_path: Path, docs: Path) -> Drive:
    made = enroll(tmp_path / "drive", keeps_parity=True)
    back_up(made, docs)
    return made


def data_pack(drive: Drive) -> Path:
    return max(drive.files("packs"), key=lambda path: path.stat().st_size)


def test_after_a_backup_every_file_has_parity(drive: Drive) -> None:
    assert {path.relative_to(drive.root).parts[0] for path in protected_files(drive)} == {"index", "snapshots", "packs"}
    assert unprotected(drive) == set()


def test_what_describes_a_backup_is_there_twice_and_contents_cost_a_sixteenth(drive: Drive) -> None:
    contents = data_pack(drive)
    with loaded(drive) as repository:
        lists = {
            table.packs[pack].name
            for table in repository.index.tables
            for pack, *_, kind in table.raw_segments()
            if kind != Kind.DATA
        }
    assert len(lists) == 1
    for path in protected_files(drive):
        assert is_copied(drive, path) or (path.parent.parent.name == "packs" and path.name not in lists)
    assert parity_of(drive, contents).stat().st_size < contents.stat().st_size / 15


def test_parity_is_written_after_another_file_than_its_own(drive: Drive, docs: Path) -> None:
    for number in range(3):
        (docs / f"film-{number}.bin").write_bytes(noise(f"film {number}", 17 * MIB))
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = RecordingStore(folder)
        back_up(drive, docs, store=store)
    placed = [operation.path for operation in store.operations if isinstance(operation, Renamed)]
    names = [path.rpartition("/")[2].removesuffix(".xor") for path in placed]
    assert len(names) > 10
    assert all(before != after for before, after in pairwise(names))
    at = [number for number, path in enumerate(placed) if path.endswith(".xor")]
    assert min(at) < placed.index(next(path for path in placed if path.startswith("index/")))  # not all at the end


def test_without_reading_back_packs_get_their_parity_all_the_same(drive: Drive, docs: Path) -> None:
    (docs / "neuf.bin").write_bytes(noise("neuf", MIB))
    back_up(drive, docs, read_back=False)
    assert unprotected(drive) == set()


def test_the_longest_of_packs_is_encoded_as_it_comes_by(drive: Drive, docs: Path) -> None:
    """Its rows are longer than the buffer through which packs are read back."""
    (docs / "grand.bin").write_bytes(noise("grand", 40 * MIB))
    back_up(drive, docs)
    assert unprotected(drive) == set()


# -- what is lacking -----------------------------------------------------------------------------------------------


def deleted(path: Path) -> None:
    path.unlink()


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def emptied(path: Path) -> None:
    path.write_bytes(b"")


def made_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [deleted, cut_short, emptied, made_a_folder])
def test_parity_that_lacks_or_has_another_length_is_made_anew_by_the_next_backup(
    drive: Drive, docs: Path, harm: Callable[[Path], None]
) -> None:
    for path in protected_files(drive):
        harm(parity_of(drive, path))
    assert back_up(drive, docs).problems == ()
    assert unprotected(drive) == set()


def test_all_of_parity_may_go_and_comes_again(drive: Drive, docs: Path) -> None:
    for path in drive.files("parity"):
        path.unlink()
    for path in (drive.root / "parity").iterdir():
        path.rmdir()
    (drive.root / "parity").rmdir()
    assert back_up(drive, docs).problems == ()
    assert unprotected(drive) == set()


def test_parity_that_a_verification_marked_is_made_anew_and_loses_its_marker(drive: Drive, docs: Path) -> None:
    contents = data_pack(drive)
    found = parity_of(drive, contents)
    found.write_bytes(found.read_bytes()[:-1] + b"?")
    marker = drive.root / parity_marker_path(contents.name)
    marker.write_bytes(b"")
    assert back_up(drive, docs).problems == ()
    assert unprotected(drive) == set()
    assert not marker.exists()


def test_no_parity_is_made_of_a_file_that_is_not_what_its_name_says(drive: Drive, docs: Path) -> None:
    """It would prove the damage right."""
    contents = data_pack(drive)
    parity_of(drive, contents).unlink()
    data = bytearray(contents.read_bytes())
    data[1_000_000] ^= 1
    contents.write_bytes(data)
    told = back_up(drive, docs).problems
    assert [(problem.kind, problem.path.rpartition("/")[2]) for problem in told] == [("damaged", contents.name)]
    assert not parity_of(drive, contents).exists()
    assert (drive.root / marker_path(contents.name)).exists()


def test_what_earlier_runs_owe_is_made_in_portions_and_the_rest_is_told(drive: Drive) -> None:
    for path in drive.files("parity"):
        path.unlink()
    with writable(drive) as repository:
        told = complete_parity(repository, CancelToken(), most_bytes=1)
        assert [problem.kind for problem in told] == ["redundancy"]
        left = len(protected_files(drive)) - 1
        assert told[0].message.startswith(f"{left} files of the drive")
    assert len(unprotected(drive)) == left
    with writable(drive) as repository:
        assert complete_parity(repository, CancelToken()) == ()
    assert unprotected(drive) == set()


def test_whoever_asks_to_stop_does_not_wait_for_parity(drive: Drive) -> None:
    for path in drive.files("parity"):
        path.unlink()
    cancel = CancelToken()
    cancel.cancel()
    with writable(drive) as repository:
        complete_parity(repository, cancel)
    assert [path for path in drive.files("parity") if path.suffix] == []


# -- what goes -----------------------------------------------------------------------------------------------------


def test_a_prune_takes_parity_along_and_leaves_every_other_file_with_its_own(drive: Drive, docs: Path) -> None:
    first = drive.files("snapshots")[0].name
    (docs / "film.bin").write_bytes(noise("film 2", 2 * MIB))
    back_up(drive, docs)
    before = set(drive.files("parity"))
    assert pruned(drive, first, accept_share=True).packs_removed
    assert before - set(drive.files("parity"))
    assert unprotected(drive) == set()


def test_a_folder_in_the_place_of_parity_goes_with_the_file_that_it_stood_for(drive: Drive, docs: Path) -> None:
    first = drive.files("snapshots")[0].name
    (docs / "film.bin").write_bytes(noise("film 2", 2 * MIB))
    back_up(drive, docs)
    place = parity_of(drive, drive.root / "snapshots" / first)
    made_a_folder(place)
    pruned(drive, first, accept_share=True)
    assert not place.exists()


def test_parity_goes_durably_before_its_file_so_that_parity_alone_tells_of_a_loss(drive: Drive, docs: Path) -> None:
    """By a copy whose file is gone, the file may come back: nothing that was removed on purpose must."""
    first = drive.files("snapshots")[0].name
    (docs / "film.bin").write_bytes(noise("film 2", 2 * MIB))
    for day in range(7):  # index files are merged, too
        (docs / f"jour-{day}.txt").write_text(f"séance {day}\n" * 30, encoding="utf-8")
        back_up(drive, docs)
    there = {str(path.relative_to(drive.root)) for path in drive.files("parity")}
    with contextlib.closing(FolderStore(str(drive.root))) as folder:
        store = RecordingStore(folder)
        pruned(drive, first, store=store, accept_share=True)
    gone: list[str] = []
    files = 0
    for operation in store.operations:
        match operation:
            case Renamed(_, path):
                there.add(path)
            case Unlinked(path) if path.startswith("parity/"):
                gone.append(path)
            case SyncedDirectory(path):
                there -= {each for each in gone if each.rpartition("/")[0] == path}
            case Unlinked(path) if path.split("/")[0] in ("packs", "index", "snapshots", "removals"):
                name = path.rpartition("/")[2]
                assert f"parity/{name[:2]}/{name}.xor" not in there
                files += 1
    assert files >= 3


def test_index_files_that_were_merged_leave_no_parity(drive: Drive, docs: Path) -> None:
    for day in range(8):
        (docs / f"jour-{day}.txt").write_text(f"séance {day}\n" * 30, encoding="utf-8")
        back_up(drive, docs)
    assert len(drive.files("index")) < 8
    assert unprotected(drive) == set()


def test_a_copy_whose_file_was_lost_stays_until_a_prune_and_columns_without_their_pack_go(
    drive: Drive, docs: Path
) -> None:
    contents = data_pack(drive)
    lists = next(path for path in drive.files("packs") if is_copied(drive, path))
    kept, swept = parity_of(drive, lists), parity_of(drive, contents)
    with writable(drive) as repository:
        lists.unlink()
        contents.unlink()
        repository.forget_packs([FileName(lists.name), FileName(contents.name)])
        complete_parity(repository, CancelToken())
        assert (kept.exists(), swept.exists()) == (True, False)
        complete_parity(repository, CancelToken(), sweep=True)
        assert not kept.exists()


# -- a full drive --------------------------------------------------------------------------------------------------


def test_where_there_is_no_room_for_parity_the_backup_is_whole_and_says_so_once(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    (docs / "neuf.bin").write_bytes(noise("neuf", 4 * MIB))
    with narrow(drive, 4 * MIB + 30_000) as store:
        report = back_up(drive, docs, store=store)
    assert report.snapshot is not None
    assert [problem.kind for problem in report.problems] == ["redundancy"]
    assert restored(drive, tmp_path / "out").problems == ()
    assert seen(below(tmp_path / "out", docs)) == seen(docs)
    assert back_up(drive, docs).problems == ()  # there is room again
    assert unprotected(drive) == set()


def test_where_data_meet_a_full_drive_parity_of_contents_gives_way_before_the_backup_fails(
    drive: Drive, docs: Path, tmp_path: Path
) -> None:
    copies = {parity_of(drive, path) for path in protected_files(drive) if is_copied(drive, path)}
    (docs / "neuf.bin").write_bytes(noise("neuf", 4 * MIB))
    with narrow(drive, 4 * MIB - 100_000) as store:
        report = back_up(drive, docs, store=store)
    assert report.snapshot is not None
    assert [problem.kind for problem in report.problems] == ["redundancy"]
    assert not parity_of(drive, data_pack(drive)).exists()
    assert all(copy.exists() for copy in copies)
    assert restored(drive, tmp_path / "out").problems == ()
    assert seen(below(tmp_path / "out", docs)) == seen(docs)
    assert back_up(drive, docs).problems == ()
    assert unprotected(drive) == set()


def test_a_backup_fails_where_nothing_is_left_that_could_give_way_and_copies_stay(drive: Drive, docs: Path) -> None:
    (docs / "neuf.bin").write_bytes(noise("neuf", 4 * MIB))
    columns = {parity_of(drive, path) for path in protected_files(drive) if not is_copied(drive, path)}
    before = {*drive.files("parity"), *drive.files("packs")}
    with narrow(drive, MIB) as store, pytest.raises(DriveFull):
        back_up(drive, docs, store=store)
    assert before - {*drive.files("parity"), *drive.files("packs")} == columns


def test_parity_of_a_nearly_full_drive_is_made_again_only_where_as_much_stays_free(drive: Drive, docs: Path) -> None:
    """Else each backup would take away what the one before has made."""
    found = parity_of(drive, data_pack(drive))
    size = found.stat().st_size
    found.unlink()
    with narrow(drive, size + 50_000) as store:
        told = back_up(drive, docs, store=store).problems
        assert [problem.kind for problem in told] == ["redundancy"]
    assert not found.exists()
    with narrow(drive, 3 * size) as store:
        assert back_up(drive, docs, store=store).problems == ()
    assert found.exists()


def test_parity_never_gives_way_to_the_file_that_it_heals(drive: Drive, docs: Path, tmp_path: Path) -> None:
    """Until that is there again, its parity is all that is left of it."""
    contents = data_pack(drive)
    data = bytearray(contents.read_bytes())
    data[1_000_000] ^= 1
    contents.write_bytes(data)
    (drive.root / marker_path(contents.name)).write_bytes(b"")
    before = drive.files("parity")
    with narrow(drive, 200_000) as store, writable(drive, store) as repository:
        assert [(each.path.rpartition("/")[2], each.rewritten) for each in repository.healed] == [
            (contents.name, False)
        ]
    assert drive.files("parity") == before
    assert back_up(drive, docs).problems == ()
    assert unprotected(drive) == set()


@pytest.mark.parametrize("is_known", [True, False])
def test_parity_of_a_damaged_pack_never_gives_way_to_new_data(
    drive: Drive, docs: Path, tmp_path: Path, *, is_known: bool
) -> None:
    """There is no room to write the pack anew, so its parity is what its content hangs on."""
    contents, before = data_pack(drive), seen(docs)
    saved = drive.files("snapshots")[0].name
    data = bytearray(contents.read_bytes())
    data[1_000_000] ^= 1
    contents.write_bytes(data)
    if is_known:
        (drive.root / marker_path(contents.name)).write_bytes(b"")
    for attempt in range(2):  # what one run has met, the next one knows
        (docs / "neuf.bin").write_bytes(noise(f"neuf {attempt}", MIB))
        with narrow(drive, 200_000) as store, writable(drive, store) as repository:
            if not is_known:
                assert repository.store.heal(pack_path(contents.name))
            with pytest.raises(DriveFull):
                repository.store.create().write(bytes(MIB))
        assert parity_of(drive, contents).exists()
        is_known = True
    assert restored(drive, tmp_path / "out", saved).problems == ()
    assert seen(below(tmp_path / "out", docs)) == before


def test_a_file_in_the_place_of_the_folder_costs_parity_and_no_backup(drive: Drive, docs: Path, tmp_path: Path) -> None:
    folder = parity_of(drive, data_pack(drive)).parent
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("pas un dossier", encoding="utf-8")
    (docs / "neuf.txt").write_text("neuf", encoding="utf-8")
    report = back_up(drive, docs)
    assert report.snapshot is not None
    told = {(problem.kind, problem.path) for problem in report.problems}  # other names may begin like that one
    assert ("damaged", str(parity_of(drive, data_pack(drive)).relative_to(drive.root))) in told
    assert {(kind, path.rpartition("/")[0]) for kind, path in told} == {
        ("damaged", str(folder.relative_to(drive.root)))
    }
    assert drive.files("damaged") == []
    assert restored(drive, tmp_path / "out").problems == ()
