"""What a snapshot lacks of what is to be restored, and the newest snapshot that has it.

Owns: snapshots that say what they lack in every way that the format knows. Does not know: how it came so.
"""

from pathlib import Path

from support.engine.drives import Drive, loaded
from support.engine.forged_snapshot import an_entry, forge

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.snapshot import SavedProblem
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.engine.restore.incomplete import find_lacking

FOLDER = Path("/patients")
Said = tuple[str, int, bool, int | None]


def lacking(drive: Drive, snapshot: str, *paths: str) -> list[Said]:
    """Path, as of which sequence it comes back, whether that is a note, and the sequence of the newest that has it."""
    with loaded(drive) as repository:
        named = repository.find_snapshot(snapshot)
        trees = TreeReader(BlobReader(repository), lambda problem: None)
        ways = [trees.find(named.snapshot.root, path) for path in paths]
        found = find_lacking(repository, named, ways, repository.snapshots().readable)
        return [(x.path, x.carried, x.note, x.newest.snapshot.sequence if x.newest else None) for x in found]


def directory(drive: Drive, name: str, entries: list[Entry], carried: int) -> Entry:
    with loaded(drive) as repository:
        ids = [repository.keys.blob_id(Kind.TREE, plain).hex() for plain in tree.encode(entries)]
    return Entry(name=name, type="dir", mode=0o700, mtime=0, ctime=0, tree=ids, carried=carried)


def test_a_snapshot_that_lacks_nothing_says_nothing(drive: Drive) -> None:
    only = forge(drive, FOLDER, [an_entry("a", [b"1"], drive)], [b"1"])
    assert lacking(drive, only) == []


def test_what_is_carried_is_said_with_the_newest_that_could_read_it(drive: Drive) -> None:
    entry = an_entry("a", [b"1"], drive)
    forge(drive, FOLDER, [entry], [b"1"])
    entry.carried = 1
    problem = SavedProblem("unreadable", "/patients/a", "EIO")
    second = forge(drive, FOLDER, [entry], [], files_lost=1, problems=(problem,))
    assert lacking(drive, second) == [("/patients/a", 1, False, 1)]
    newer = an_entry("a", [b"22"], drive)
    forge(drive, FOLDER, [newer], [b"22"])
    assert lacking(drive, second) == [("/patients/a", 1, False, 3)]


def test_what_is_not_there_is_said_with_the_newest_that_has_it_or_with_none(drive: Drive) -> None:
    forge(drive, FOLDER, [an_entry("a", [b"1"], drive)], [b"1"])
    problems = tuple(SavedProblem("unreadable", f"/patients/{name}", "EIO") for name in "ab")
    second = forge(drive, FOLDER, [], [], files_lost=2, problems=problems)
    assert lacking(drive, second) == [("/patients/a", 0, False, 1), ("/patients/b", 0, False, None)]


def test_a_thing_that_no_backup_saves_is_a_note(drive: Drive) -> None:
    problem = SavedProblem("skipped", "/patients/prise", "a socket")
    only = forge(drive, FOLDER, [], [], problems=(problem,))
    assert lacking(drive, only) == [("/patients/prise", 0, True, None)]


def test_a_doubt_that_loses_nothing_is_not_a_lack(drive: Drive) -> None:
    problems = tuple(SavedProblem(kind, "/patients/a", "") for kind in ("metadata", "uncertain", "source-shrunk"))
    only = forge(drive, FOLDER, [an_entry("a", [b"1"], drive)], [b"1"], problems=problems)
    assert lacking(drive, only) == []


def test_of_a_carried_folder_the_topmost_is_said_and_what_is_older_in_it(drive: Drive) -> None:
    inner = [an_entry("a", [b"1"], drive), an_entry("b", [b"1"], drive, carried=1)]
    forge(drive, Path("/patients/sous"), inner, [b"1"])
    forge(drive, FOLDER, [], [])
    held = directory(drive, "sous", inner, carried=2)
    third = forge(drive, FOLDER, [held], [b"1"], files_lost=2)
    assert lacking(drive, third) == [("/patients/sous", 2, False, 1), ("/patients/sous/b", 1, False, None)]
    assert lacking(drive, third, "/patients/sous/a") == [("/patients/sous/a", 2, False, 1)]


def test_what_was_not_asked_for_may_lack(drive: Drive) -> None:
    problems = (SavedProblem("unreadable", "/patients/absent", "EIO"), SavedProblem("unreadable", "/srv", "EIO"))
    entries = [an_entry("a", [b"1"], drive), an_entry("b", [b"1"], drive, carried=1)]
    only = forge(drive, FOLDER, entries, [b"1"], files_lost=2, problems=problems)
    assert lacking(drive, only, "/patients/a") == []
    assert lacking(drive, only, "/patients") == [("/patients/absent", 0, False, None), ("/patients/b", 1, False, None)]


def test_another_computer_with_the_same_paths_does_not_have_it(drive: Drive) -> None:
    forge(drive, FOLDER, [an_entry("a", [b"1"], drive)], [b"1"], machine="ab" * 16)
    problem = SavedProblem("unreadable", "/patients/a", "EIO")
    second = forge(drive, FOLDER, [], [], files_lost=1, problems=(problem,))
    assert lacking(drive, second) == [("/patients/a", 0, False, None)]


def test_a_name_that_is_not_utf_8_is_found_all_the_same(drive: Drive) -> None:
    raw = an_entry("x", [b"1"], drive)
    raw.name, raw.rawname = tree.encode_text("caf\udce9")
    forge(drive, FOLDER, [raw], [b"1"])
    raw.carried = 1
    problem = SavedProblem("unreadable", "/patients/caf\\xe9", "EIO")
    second = forge(drive, FOLDER, [raw], [], files_lost=1, problems=(problem,))
    assert lacking(drive, second) == [("/patients/caf\\xe9", 1, False, 1)]
