"""Thousands of folders, hard links and names that were there: more than a restore holds as they are.

Owns: that each of them comes back as one of few would. Does not know: how much memory it takes
(tests/cli/commands/test_huge_folders.py).
"""

import os
import stat as st
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.engine.drives import Drive, enroll, restored
from support.engine.forged_snapshot import an_entry, forge

from kinebackup.engine.format import tree
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.restore.names import NameSet

NUMBERS = range(2500)
FOLDER = Path("/home/marie")


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    return enroll(tmp_path / "drive")


def test_of_thousands_of_folders_each_gets_its_own_mode_and_time(drive: Drive, tmp_path: Path) -> None:
    """Also by a name that is no UTF-8, and with a number that no file system has."""
    names = [*(f"{number:04}" for number in range(2500)), "lettre-\udce9"]
    modes = [0o500 if number % 3 else 0o755 for number in range(2501)]
    entries = []
    for number, (name, mode) in enumerate(zip(names, modes, strict=True)):
        text, raw = tree.encode_text(name)
        entries.append(Entry(name=text, rawname=raw, type="dir", mode=mode, mtime=number * 10**9, ctime=0, inode=2**70))
    forge(drive, Path("/home/marie"), entries, [])
    assert restored(drive, tmp_path / "back").problems == ()
    folder = tmp_path / "back" / "home" / "marie"
    assert sorted(os.listdir(folder)) == sorted(names)
    found = [(folder / name).stat() for name in names]
    assert [st.S_IMODE(each.st_mode) for each in found] == modes
    assert [each.st_mtime_ns for each in found] == [number * 10**9 for number in range(2501)]
    assert folder.stat().st_mtime_ns == 0


def test_of_thousands_of_hard_links_each_is_of_its_own_file(drive: Drive, tmp_path: Path) -> None:
    """Three names of each, the last of which are far from the first."""
    names = [f"{turn}-{number:04}\udce9" for turn in "abc" for number in NUMBERS]
    contents = [b"even", b"odd"]
    models = [an_entry("", [content], drive) for content in contents]
    entries = []
    for name in names:
        number = int(name[2:6])
        _text, raw = tree.encode_text(name)
        more = {"name": "", "rawname": raw, "link": f"1:{number:x}", "inode": 2**70 + number, "mtime": number}
        entries.append(replace(models[number % 2], **more))
    forge(drive, FOLDER, entries, contents)
    for restored_before in (False, True):
        report = restored(drive, tmp_path / "back")
        assert report.problems == ()
        assert (report.files_restored, report.files_skipped)[restored_before] == len(names)
        found = [(tmp_path / "back" / "home" / "marie" / name).stat() for name in names]
        inodes = {int(name[2:6]): each.st_ino for name, each in zip(names, found, strict=True)}
        assert len(set(inodes.values())) == len(NUMBERS)
        assert [each.st_ino for each in found] == [inodes[int(name[2:6])] for name in names]
        assert {each.st_nlink for each in found} == {3}
        assert [each.st_size for each in found] == [len(contents[int(name[2:6]) % 2]) for name in names]


def test_of_very_many_names_each_is_known() -> None:
    names = [f"lettre {number}\udce9.odt" for number in NUMBERS]
    known = NameSet(names)
    assert all(name in known for name in names)
    assert not any(f"{name} " in known for name in names)
    assert "lettre" not in NameSet()
