"""What of a snapshot is restored, and the folder that it is restored below.

Owns: the tree of names, and directories that stay open. Does not know: whole restores, which test_restore.py makes.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine.drives import Drive, loaded
from support.engine.forged_snapshot import an_entry, forge

from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import TreeReader, Visited, Way
from kinebackup.engine.restore.destination import Destination, Folder
from kinebackup.engine.restore.selection import Selection
from kinebackup.model import Problem


def a_way(path: str) -> Way:
    parts = path.split("/")
    return tuple(
        Visited("/".join(parts[: depth + 1]), Entry(name=name, type="dir", mode=0o700, mtime=1, ctime=1))
        for depth, name in enumerate(parts)
    )


class NoTrees(TreeReader):
    def __init__(self) -> None:
        pass

    def windows(self, ids: object, path: str) -> Iterator[list[Entry]]:
        pytest.fail(f"{path} was read again")


def entries(selection: Selection) -> list[Entry]:
    return [entry for window in selection.windows_of([], "", NoTrees()) for entry in window]


def names(selection: Selection) -> list[str]:
    return [entry.name for entry in entries(selection)]


def test_nothing_in_particular_means_everything() -> None:
    assert Selection.of([]).whole
    assert Selection.of([()]).whole, "the way to / is empty"


def test_of_the_directories_on_the_way_only_what_is_wanted_is_restored_and_no_tree_is_read() -> None:
    root = Selection.of([a_way("home/marie/b"), a_way("home/marie/a"), a_way("home/jean")])
    (home,) = root.entries
    assert names(root) == ["home"]
    below = root.of_directory(home)
    assert names(below) == ["jean", "marie"], "in the order of a tree"
    marie = below.of_directory(a_way("marie")[0].entry)
    assert names(marie) == ["a", "b"]
    assert [below.of_directory(entry).whole for entry in entries(below)] == [True, False]
    assert marie.of_directory(a_way("a")[0].entry).whole


def test_a_path_within_another_one_changes_nothing() -> None:
    for ways in ([a_way("a"), a_way("a/b")], [a_way("a/b"), a_way("a")]):
        assert Selection.of(ways).below["a"].whole


def test_a_way_names_each_directory_that_leads_to_a_path(drive: Drive) -> None:
    forge(drive, Path("/home/marie"), [an_entry("note.txt", [b"note"], drive)], [b"note"])
    problems: list[Problem] = []
    with loaded(drive) as repository:
        root = repository.find_snapshot("latest").snapshot.root
        way = TreeReader(BlobReader(repository), problems.append).find(root, "/home/marie/note.txt")
    assert [(visited.path, visited.entry.type) for visited in way] == [
        ("home", "dir"),
        ("home/marie", "dir"),
        ("home/marie/note.txt", "file"),
    ]
    assert problems == []


# -- the destination -----------------------------------------------------------------------------------------------


def test_more_directories_than_stay_open_are_each_opened_rightly(tmp_path: Path) -> None:
    destination = Destination(str(tmp_path / "back"))
    before = len(os.listdir("/proc/self/fd"))
    try:
        paths: list[str] = []
        parent = destination.top()
        for number in range(200):
            parent = destination.make(parent if number % 50 else destination.top(), f"d{number}", lambda _there: False)
            assert parent.made
            paths.append(parent.at)
        for path in (*paths, *reversed(paths)):
            fd = destination.open(path)
            try:
                assert os.fstat(fd).st_ino == (tmp_path / "back" / path).stat().st_ino
            finally:
                os.close(fd)
        assert len(os.listdir("/proc/self/fd")) <= before + 64 + 1, "one is for syncing"
    finally:
        destination.close()
    assert len(os.listdir("/proc/self/fd")) < before


def test_a_link_in_the_destination_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "back").mkdir()
    (tmp_path / "back" / "link").symlink_to(tmp_path / "outside")
    destination = Destination(str(tmp_path / "back"))
    try:
        with pytest.raises(NotADirectoryError):
            destination.open("link")
        with pytest.raises(NotADirectoryError):
            destination.make(Folder("link", device=0), "sub", lambda _there: False)
    finally:
        destination.close()
    assert list((tmp_path / "outside").iterdir()) == []
