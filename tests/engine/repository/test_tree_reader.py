"""A folder of many tree blobs, read one at a time: each name comes once, whatever order a forger gave them.

Owns: folders that are in order, and those that are not. Does not know: how much memory it takes (test_huge_folders.py),
or blobs on a drive.
"""

import os
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinebackup.engine.format import tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.errors import Damaged, NotFound
from kinebackup.model import BlobId, Problem

FOLDER = "home/marie"


class Blobs(BlobReader):
    """Tree blobs that lie nowhere. ``reads``: how often each may be read before it is damaged."""

    def __init__(self, plain: Sequence[bytes]) -> None:
        self.ids = [number.to_bytes(16, "big").hex() for number in range(len(plain))]
        self.reads = dict.fromkeys(self.ids, 100)
        self.read_in_all = 0
        self._plain = dict(zip(self.ids, plain, strict=True))

    def read(self, kind: Kind, blob_id: BlobId) -> bytes:
        text = blob_id.hex()
        self.read_in_all += 1
        self.reads[text] -= 1
        if self.reads[text] < 0:
            raise Damaged("worn out")
        return self._plain[text]


def an_entry(name: str, inode: int = 0) -> Entry:
    text, raw = tree.encode_text(name)
    return Entry(name=text, rawname=raw, type="file", mode=0o600, mtime=0, ctime=0, inode=inode)


def blobs(*folder: Sequence[str]) -> Blobs:
    """One blob for each list of names."""
    return Blobs([tree.encode(map(an_entry, names))[0] for names in folder])


def read(blobs: Blobs) -> tuple[list[str], list[str]]:
    """The names, and what was said of the folder."""
    problems: list[Problem] = []
    names = [entry.path_name for entry in TreeReader(blobs, problems.append).entries(blobs.ids, FOLDER)]
    assert {problem.path for problem in problems} <= {f"/{FOLDER}"}
    return names, [problem.message for problem in problems]


def test_each_blob_of_a_folder_in_order_is_read_once() -> None:
    folder = blobs(["a", "b"], ["c"], ["d", "e"])
    assert read(folder) == (["a", "b", "c", "d", "e"], [])
    assert folder.read_in_all == 3


def test_names_that_are_no_utf_8_are_in_order_by_their_bytes() -> None:
    names = sorted(["l\udc92ami", "lame", "l’ami", "l\udce9", "lé", "l中", "l💉"], key=os.fsencode)
    assert names != sorted(names)
    folder = blobs(names[:3], names[3:])
    assert read(folder) == (names, [])
    assert folder.read_in_all == 2


@pytest.mark.parametrize(
    ("folder", "found", "twice"),
    [
        ([["a", "b"], ["b", "c"]], ["a", "b", "c"], 1),
        ([["b"], ["c"], ["a", "b"], ["d", "c"]], ["b", "c", "a", "d"], 2),
        ([["a", "a"]], ["a"], 1),
        ([["a"], ["b", "b"]], ["a", "b"], 1),
        ([["a"], ["a"], ["a"]], ["a"], 2),
    ],
)
def test_of_a_name_that_comes_twice_the_first_stays_and_it_is_told_once(
    folder: list[list[str]], found: list[str], twice: int
) -> None:
    text = "1 name in this folder came twice" if twice == 1 else f"{twice} names in this folder came twice"
    assert read(blobs(*folder)) == (found, [text])


@given(
    st.lists(st.lists(st.sampled_from(["a", "b", "c", "\udce9", "é", "’", "\udc92", "z"]), max_size=4), max_size=6),
    st.booleans(),
)
def test_whatever_the_order_nothing_comes_twice_and_nothing_is_left_out(
    folder: list[list[str]], is_sorted: bool
) -> None:
    if is_sorted:
        flat = sorted((name for names in folder for name in names), key=os.fsencode)
        folder = [[flat.pop(0) for _name in names] for names in folder]
    entries = [[an_entry(name, at) for at, name in enumerate(names)] for names in folder]
    read_of = Blobs([b'{"entries":[%b]}' % b"".join(tree.encode(each))[12:-2] for each in entries])
    problems: list[Problem] = []
    found = TreeReader(read_of, problems.append).entries(read_of.ids, FOLDER)
    expected = tree.first_of_each_name([entry for each in entries for entry in each])
    assert found == expected
    assert bool(problems) == (len(expected) < sum(map(len, entries)))


def test_what_is_out_of_order_is_left_out_where_the_names_before_it_cannot_be_read_again() -> None:
    """Else a file could be written over, or through, one of the same name."""
    folder = blobs(["a", "b"], ["a", "x"], ["y"])
    folder.reads[folder.ids[0]] = 1
    assert read(folder) == (["a", "b", "y"], ["the list of this folder's files: worn out"])


def test_a_damaged_blob_is_told_and_the_others_are_read() -> None:
    folder = blobs(["a"], ["b"], ["c"])
    folder.reads[folder.ids[1]] = 0
    assert read(folder) == (["a", "c"], ["the list of this folder's files: worn out"])


def test_a_refused_name_is_told() -> None:
    folder = Blobs([b"".join(tree.encode([an_entry("a")])), tree.encode([an_entry(".."), an_entry("b")])[0]])
    assert read(folder) == (["a", "b"], ["1 name in this folder was refused"])


def test_a_path_is_found_in_the_last_blob_of_a_folder_and_what_is_damaged_before_is_told() -> None:
    folder = blobs(["a"], ["b"], ["c"])
    folder.reads[folder.ids[0]] = 0
    problems: list[Problem] = []
    way = TreeReader(folder, problems.append).find(folder.ids, "/c")
    assert [visited.path for visited in way] == ["c"]
    assert [problem.path for problem in problems] == ["/"]


def test_of_a_folder_that_lacks_a_name_the_first_twelve_are_told() -> None:
    names = [f"{number:02}" for number in range(40)]
    folder = blobs(names[:5], names[5:30], names[30:])
    with pytest.raises(NotFound) as raised:
        TreeReader(folder, lambda problem: None).find(folder.ids, "/x")
    assert raised.value.hint == "/ holds: 00, 01, 02, 03, 04, 05, 06, 07, 08, 09, 10, 11"
