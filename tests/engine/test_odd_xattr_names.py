"""Extended attributes whose names are not text: the file is saved, and what it lacks is told (FORMAT.md §9).

Owns: such names, on a file system that takes them. Does not know: other attributes.
"""

import os
from pathlib import Path

import pytest
from support.engine.drives import back_up, enroll, restored


def test_an_attribute_whose_name_is_not_utf_8_costs_itself_and_is_told(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.mkdir()
    file = source / "lettre.txt"
    file.write_text("Bonjour.")
    try:
        os.setxattr(os.fsencode(file), b"user.caf\xe9", b"1")
    except OSError:
        pytest.skip("the file system here has no extended attributes")
    os.setxattr(file, "user.note", b"2")
    drive = enroll(tmp_path)
    report = back_up(drive, source)
    assert [(found.kind, found.path) for found in report.problems] == [("metadata", str(file))]
    restored(drive, tmp_path / "back")
    back = next((tmp_path / "back").rglob("lettre.txt"))
    assert os.listxattr(back) == ["user.note"]
