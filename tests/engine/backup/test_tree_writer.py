"""A directory decides when it is closed whether it is as in the parent snapshot.

Owns: that decision. Does not know: scans, which test_backup.py makes.
"""

from pathlib import Path

import pytest
from support.engine.drives import enroll, loaded

from kinebackup.engine.backup.parent.diff import ParentDiff
from kinebackup.engine.backup.parent.reuse import Reuse
from kinebackup.engine.backup.parent.trust import NO_TRUST
from kinebackup.engine.backup.stats import BackupStats
from kinebackup.engine.backup.tree_writer import Node
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader


def a_file(name: str) -> Entry:
    return Entry(name=name, type="file", mode=0o600, mtime=1, ctime=1)


def a_folder(name: str, *tree: str, mode: int = 0o700) -> Entry:
    return Entry(name=name, type="dir", mode=mode, mtime=1, ctime=1, tree=list(tree))


def a_node(*kept: Entry, children: tuple[Node, ...] = (), new: tuple[Entry, ...] = (), old_count: int) -> Node:
    node = Node(a_folder("here"), a_folder("here"), old_count=old_count)
    for entry in kept:
        node.keep(entry)
    node.entries += [*new, *(child.entry for child in children)]
    node.children += children
    return node


def test_a_directory_of_the_parent_s_own_entries_is_as_before() -> None:
    assert a_node(a_file("a"), a_file("b"), old_count=2).is_as_before()


def test_an_empty_directory_is_as_before_where_the_parent_s_is_empty_too() -> None:
    assert a_node(old_count=0).is_as_before()


@pytest.mark.parametrize("old_count", [-1, 1, 3])
def test_one_name_more_or_less_or_an_unknown_number_is_a_difference(old_count: int) -> None:
    assert not a_node(a_file("a"), a_file("b"), old_count=old_count).is_as_before()


def test_a_file_that_was_read_is_a_difference() -> None:
    assert not a_node(a_file("a"), new=(a_file("b"),), old_count=2).is_as_before()


def test_a_subdirectory_counts_with_its_attributes_and_its_tree() -> None:
    same = Node(a_folder("sub", "11"), a_folder("sub", "11"))
    other_tree = Node(a_folder("sub", "22"), a_folder("sub", "11"))
    other_mode = Node(a_folder("sub", "11", mode=0o755), a_folder("sub", "11"))
    new = Node(a_folder("sub", "11"))
    found = [a_node(a_file("a"), children=(child,), old_count=2).is_as_before() for child in (same, other_tree, new)]
    assert found == [True, False, False]
    assert not a_node(a_file("a"), children=(other_mode,), old_count=2).is_as_before()


def test_a_directory_of_the_parent_that_cannot_be_read_whole_says_so(tmp_path: Path) -> None:
    """Else the damaged tree would pass for that of a folder that has been emptied since."""
    with loaded(enroll(tmp_path / "drive")) as repository:
        diff = ParentDiff(BackupStats(), Reuse(), compare=True)
        diff.read_parent(BlobReader(repository), 1, lambda _sequence: NO_TRUST)
        assert diff.directory([], "/docs").whole
        assert not diff.directory(["00" * 16], "/docs").whole
