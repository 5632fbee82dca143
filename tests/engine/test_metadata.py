"""The table of metadata attributes: each member of an entry has its row, and what compares by hand follows the table.

Owns: the table against ``Entry``, the scan's hot loop and ``recover.py``. Does not know: whole backups and restores,
which test_backup_entries.py makes of files with every attribute.
"""

import base64
import os
import re
from pathlib import Path

import msgspec
import pytest
from support.engine.drives import Drive, back_up
from support.engine.forged_snapshot import an_entry, forge
from support.project import ROOT

from kinebackup.engine.backup.content import same_file_state
from kinebackup.engine.format.tree import Copied, Entry, EntryType
from kinebackup.engine.metadata import (
    ALL,
    TABLE,
    Comparison,
    Difference,
    Restored,
    comparable,
    differences,
    entry_of,
    members_of,
    same,
)
from kinebackup.engine.place import Link, Node, Opened
from kinebackup.engine.restore.attributes import Refused, apply
from kinebackup.engine.source import Found
from kinebackup.engine.xattrs import encode_xattrs

MEMBERS = {member for attribute in TABLE for member in attribute.members}
FIELDS = set(Entry.__struct_fields__)


def lstat(path: Path) -> Entry:
    return entry_of(Found(path.name, path.lstat()))


def test_each_member_of_an_entry_has_one_row_and_each_row_a_member() -> None:
    assert sorted(member for attribute in TABLE for member in attribute.members) == sorted(FIELDS)


def test_a_member_that_somebody_adds_without_a_row_is_noticed() -> None:
    class EntryOfTomorrow(Entry):
        birth: int = 0

    assert set(EntryOfTomorrow.__struct_fields__) - MEMBERS == {"birth"}


@pytest.mark.parametrize(
    ("comparison", "members"),
    [
        (Comparison.UNCHANGED_FILE, "copied ctime inode mtime size type uncertain"),
        (Comparison.UNTOUCHED, "ctime inode mtime type"),
        (Comparison.WRITTEN, "ctime mtime size"),
        (Comparison.APPEARANCE, "gid inode link mode mtime size type uid"),
        (Comparison.CONTENT, "blobs extent_lists extents flags lists xattrs"),
        (Comparison.FOLDER, "ctime flags gid inode mode mtime uid xattrs"),
        (Comparison.DIFF_CONTENT, "blobs device extent_lists extents lists rawtarget size target type"),
        (Comparison.DIFF_FILE, "flags gid mode mtime uid xattrs"),
        (Comparison.DIFF_FOLDER, "flags gid mode uid xattrs"),
        (Comparison.ALREADY_RESTORED, "mtime size type"),
        (Comparison.RESTORED_FOLDER, "mode mtime type"),
        (Comparison.RESTORE_TEST, "mode mtime size"),
    ],
)
def test_what_each_comparison_is_about(comparison: Comparison, members: str) -> None:
    assert sorted(members_of(comparison)) == members.split()


# -- capturing -----------------------------------------------------------------------------------------------------


def test_an_entry_keeps_what_lstat_shows(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"twelve bytes")
    os.chmod(path, 0o640)
    os.utime(path, ns=(5, 1_700_000_000_123_456_789))
    stat = path.lstat()
    assert lstat(path) == Entry(
        name="note.txt",
        type="file",
        mode=0o640,
        uid=os.geteuid(),
        gid=stat.st_gid,
        mtime=1_700_000_000_123_456_789,
        ctime=stat.st_ctime_ns,
        inode=stat.st_ino,
        size=12,
    )


def test_what_is_captured_by_hand_is_what_the_table_says(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"content")
    os.link(tmp_path / "file", tmp_path / "twin")
    seen = set()
    for path in (*tmp_path.iterdir(), Path("/dev/null")):
        entry = lstat(path)
        seen.add(entry.type)
        for attribute in TABLE:
            for member, capture in attribute.members.items():
                if capture is not None and entry.type in attribute.types:
                    assert getattr(entry, member) == capture(path.lstat()), member
                elif member != "name":
                    assert getattr(entry, member) == getattr(Entry(type="file", mode=0, mtime=0, ctime=0), member)
    assert seen == {"file", "dir", "symlink", "fifo", "char"}


def test_an_entry_has_only_the_members_of_its_type(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").write_bytes(b"content")
    os.link(tmp_path / "file", tmp_path / "twin")
    entries = {name: lstat(tmp_path / name) for name in ("folder", "link", "fifo", "file")} | {
        "device": entry_of(Found("null", os.lstat("/dev/null")))
    }
    types: dict[str, EntryType] = {"folder": "dir", "link": "symlink", "fifo": "fifo", "file": "file", "device": "char"}
    assert {name: entry.type for name, entry in entries.items()} == types
    assert {name: entry.size for name, entry in entries.items() if entry.size} == {"file": 7}
    assert {name: entry.device for name, entry in entries.items() if entry.device} == {"device": (1, 3)}
    stat = (tmp_path / "file").stat()
    assert {name: entry.link for name, entry in entries.items() if entry.link} == {
        "file": f"{stat.st_dev:x}:{stat.st_ino:x}"
    }


# -- comparing -----------------------------------------------------------------------------------------------------

OTHER: dict[str, object] = {
    "type": "fifo",
    "size": 8,
    "extents": [(0, 7)],
    "extent_lists": ["00" * 16],
    "tree": ["00" * 16],
    "target": "elsewhere",
    "rawtarget": "6Q==",
    "device": (1, 3),
    "link": "1:2",
    "uid": 1234,
    "gid": 1234,
    "xattrs": {"user.a": "YQ=="},
    "flags": ["immutable"],
    "mode": 0o4711,
    "mtime": 5,
    "ctime": 5,
    "inode": 5,
    "uncertain": True,
    "copied": Copied(by="sqlite", size=7, wal_size=9),
    "carried": 1,
    "blobs": ["00" * 16],
    "lists": ["00" * 16],
}


def test_each_member_but_the_name_is_altered_in_these_tests() -> None:
    assert set(OTHER) == FIELDS - {"name", "rawname"}


@pytest.mark.parametrize("member", sorted(set(OTHER) - {"blobs", "lists", "extent_lists"}))
def test_the_scan_s_hot_loop_compares_what_the_table_says(drive: Drive, tmp_path: Path, member: str) -> None:
    """One member of the parent's entry is altered; a file that counts as unchanged is not read. (Blobs are looked up
    instead of compared.)
    """
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "note.txt").write_bytes(b"content")
    back_up(drive, docs)
    with_blobs = msgspec.structs.replace(lstat(docs / "note.txt"), blobs=[blob_of(drive, b"content")])
    forge(drive, docs, [with_blobs], [b"content"])
    assert back_up(drive, docs).bytes_read == 0, "the forged parent is as the folder"
    forge(drive, docs, [msgspec.structs.replace(with_blobs, **{member: OTHER[member]})], [b"content"])
    is_read = back_up(drive, docs).bytes_read > 0
    assert is_read == (member in members_of(Comparison.UNCHANGED_FILE))


def blob_of(drive: Drive, content: bytes) -> str:
    return an_entry("any", [content], drive).blobs[0]


@pytest.mark.parametrize("comparison", list(Comparison))
@pytest.mark.parametrize("member", sorted(OTHER))
def test_two_entries_differ_in_the_members_of_a_comparison_and_in_no_others(
    comparison: Comparison, member: str
) -> None:
    entry = Entry(type="file", mode=0o600, mtime=1, ctime=1, size=7)
    other = msgspec.structs.replace(entry, **{member: OTHER[member]})
    assert same(comparison, entry, other) == (member not in members_of(comparison))
    alike = comparable(comparison, entry) == comparable(comparison, other)
    assert alike == (member not in members_of(comparison))
    assert hash(comparable(comparison, other)) == hash(comparable(comparison, other))


@pytest.mark.parametrize("member", ["mode", "uid", "gid", "mtime", "ctime", "inode", "size"])
def test_a_file_that_is_written_while_it_is_read_shows_it_in_what_the_table_says(member: str) -> None:
    values = {"mode": 0o100600, "inode": 2, "uid": 3, "gid": 4, "size": 5, "mtime": 6, "ctime": 7}

    def stat(mode: int, inode: int, uid: int, gid: int, size: int, mtime: int, ctime: int) -> os.stat_result:
        nanoseconds = {"st_mtime_ns": mtime, "st_ctime_ns": ctime}
        return os.stat_result((mode, inode, 1, 1, uid, gid, size, 0, 0, 0), nanoseconds)

    before, after = stat(**values), stat(**(values | {member: values[member] + 1}))
    assert same_file_state(before, before)
    assert same_file_state(before, after) == (member not in members_of(Comparison.WRITTEN))


def test_absent_and_empty_attributes_are_one_for_the_diff() -> None:
    entry = Entry(type="file", mode=0o600, mtime=1, ctime=1)
    empty = msgspec.structs.replace(entry, xattrs={}, extents=[])
    for comparison in (Comparison.DIFF_FILE, Comparison.DIFF_CONTENT):
        assert comparable(comparison, entry) == comparable(comparison, empty)


def test_a_difference_names_its_attribute(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"content")
    os.chmod(path, 0o600)
    os.utime(path, ns=(5, 5))
    entry = msgspec.structs.replace(lstat(path), size=8, mode=0o644, mtime=6, uid=4321, ctime=1, inode=1)
    found = differences(Comparison.RESTORE_TEST, entry, path.lstat())
    assert found == [Difference("size", 7, 8), Difference("mode", 0o600, 0o644), Difference("time", 5, 6)]
    assert found[0].text == "the size of the restored file is 7 instead of 8"


# -- restoring -----------------------------------------------------------------------------------------------------


def altered(path: Path, **more: object) -> Entry:
    return msgspec.structs.replace(lstat(path), **more)


@pytest.mark.parametrize("unopened", [False, True])
def test_what_is_set_is_what_was_captured(tmp_path: Path, unopened: bool) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"content")
    entry = altered(path, mode=0o400, mtime=1_234_567_890_123_456_789, xattrs={"user.a": "YQ=="})
    refusals: list[Refused] = []
    fd = os.open(path, os.O_PATH if unopened else os.O_RDONLY)
    try:
        place = Node(fd) if unopened else Opened(fd)
        apply(entry, place, as_root=os.geteuid() == 0, refused=refusals.append)
    finally:
        os.close(fd)
    assert differences(Comparison.RESTORE_TEST, entry, path.lstat()) == []
    assert all(refused.attribute == "xattrs" for refused in refusals), "not every file system keeps them"
    if not refusals:
        assert os.getxattr(path, "user.a") == b"a"


def test_what_cannot_be_set_is_told_by_its_name_and_the_rest_is_set(tmp_path: Path) -> None:
    path = tmp_path / "note.txt"
    path.write_bytes(b"content")
    entry = altered(path, mode=0o400, xattrs={"user.\0": "YQ=="}, mtime=2**100)
    refusals: list[Refused] = []
    with open(path, "rb") as file:
        apply(entry, Opened(file.fileno()), as_root=False, refused=refusals.append)
    assert path.stat().st_mode & 0o777 == 0o400
    assert refusals[0] == Refused("xattrs", "impossible value", "user.\0")
    assert [refused.attribute for refused in refusals] == ["xattrs", "time"]
    assert refusals[1].text == "the time could not be set (impossible value)"


def test_rights_of_a_link_are_not_set(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"content")
    os.chmod(tmp_path / "target", 0o600)
    (tmp_path / "link").symlink_to("target")
    directory = os.open(tmp_path, os.O_RDONLY)
    try:
        apply(
            altered(tmp_path / "link", mode=0o777, mtime=5),
            Link(directory, "link"),
            as_root=False,
            refused=lambda refused: pytest.fail(refused.text),
        )
    finally:
        os.close(directory)
    assert (tmp_path / "target").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "link").lstat().st_mtime_ns == 5


def test_recover_py_mentions_each_member_that_a_restore_needs() -> None:
    """It shares no code with the product: that a restore by it is whole is for test_recover.py to show."""
    text = (ROOT / "kinebackup" / "recover" / "recover.py").read_text(encoding="utf-8")
    quoted = set(re.findall(r'"(\w+)"', text))
    by_name = {"rawname", "rawtarget"}  # text_bytes(entry, "name") looks for either
    assert '"raw" + ' in text
    needed = {m for attribute in TABLE if attribute.restored is not Restored.NEVER for m in attribute.members}
    assert needed - by_name <= quoted
    assert needed >= {"name", "type", "mode", "uid", "gid", "mtime", "size", "blobs", "tree", "target", "xattrs"}


def test_attributes_are_kept_as_base64_in_order() -> None:
    values = encode_xattrs({"user.b": b"\xff", "user.a": b""})
    assert list((values or {}).items()) == [("user.a", ""), ("user.b", base64.b64encode(b"\xff").decode())]
    assert encode_xattrs({}) is None


def test_every_type_of_entry_is_captured_compared_and_restored() -> None:
    assert set(ALL) == {"file", "dir", "symlink", "fifo", "char", "block"}


def test_each_attribute_that_a_restore_sets_has_words_for_being_refused() -> None:
    set_on_restore = [row.name for row in TABLE if not isinstance(row.restored, Restored)]
    assert sorted(set_on_restore) == ["mode", "owner", "time", "xattrs"]
    last = [row.name for row in TABLE if row.restored is Restored.LAST]
    assert last == ["flags"]
    for name in set_on_restore + last:
        assert "because of it" in Refused(name, "because of it", "user.note").text


def test_each_attribute_that_a_restore_test_compares_has_words_for_being_different() -> None:
    compared = [row.name for row in TABLE if Comparison.RESTORE_TEST in row.compared]
    assert sorted(compared) == ["mode", "size", "time"]
    for name in compared:
        assert "7" in Difference(name, 7, 9).text
