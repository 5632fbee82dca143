"""The rule that keeps the desktop's hands off enrolled drives.

Owns: its text and its file; what udev makes of it is seen in the virtual machine (tests/system).
"""

import os
from pathlib import Path

import pytest

from kinebackup.drives.udev_rule import RULE_FILE, UdevRule, rule_text
from kinebackup.errors import KineError

UUID = "6f1c0000-0000-4000-8000-00000000abcd"
HEAD = (
    "# Written by KineBackup: the desktop does not mount these drives by itself; the file manager still shows them.\n"
    "# One line for each enrolled drive. Changed by: kinebackup drive enroll, kinebackup drive forget\n"
)


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        '6f1c" , RUN+="/bin/sh',
        "6f1c\nKERNEL==sda",
        "*",
        "6f1c*",
        "6f?c-0000",
        "[a-z]{4}",
        "$env{x}",
        "-f1c-0000",
        "../../etc",
        "é" * 8,
        "a" * 65,
        "6f1c-0000\n",
    ],
)
def test_an_identifier_that_could_mean_more_is_left_out(hostile: str) -> None:
    assert rule_text([hostile]) == ""
    assert rule_text([hostile, UUID]) == rule_text([UUID])


def test_each_drive_has_one_line_whatever_its_filesystem_calls_itself() -> None:
    assert rule_text(["5D3A-11F0", UUID, "01D9A1B2C3D4E5F6", UUID]) == HEAD + (
        'SUBSYSTEM=="block", ENV{ID_FS_UUID}=="01D9A1B2C3D4E5F6", ENV{UDISKS_AUTO}="0"\n'
        'SUBSYSTEM=="block", ENV{ID_FS_UUID}=="5D3A-11F0", ENV{UDISKS_AUTO}="0"\n'
        'SUBSYSTEM=="block", ENV{ID_FS_UUID}=="6f1c0000-0000-4000-8000-00000000abcd", ENV{UDISKS_AUTO}="0"\n'
    )


def test_the_file_is_for_everyone_to_read_and_goes_with_the_last_drive(tmp_path: Path) -> None:
    rule = UdevRule(tmp_path / "rules.d", is_live=False)
    assert rule.write([]) is False
    assert not (tmp_path / "rules.d").exists()
    assert rule.write([UUID]) is True
    file = tmp_path / "rules.d" / RULE_FILE
    assert file.read_text() == rule_text([UUID])
    assert file.stat().st_mode & 0o777 == 0o644
    assert rule.write([UUID]) is False
    assert rule.write([]) is True
    assert os.listdir(tmp_path / "rules.d") == []


def test_what_an_interrupted_writing_left_is_no_obstacle(tmp_path: Path) -> None:
    (tmp_path / f".{RULE_FILE}.new").write_text("half")
    assert UdevRule(tmp_path, is_live=False).write([UUID]) is True
    assert os.listdir(tmp_path) == [RULE_FILE]


def test_a_file_that_somebody_else_wrote_there_is_replaced(tmp_path: Path) -> None:
    (tmp_path / RULE_FILE).write_bytes(b"\xff\xfe not ours")
    assert UdevRule(tmp_path, is_live=False).write([UUID]) is True
    assert (tmp_path / RULE_FILE).read_text() == rule_text([UUID])


def test_a_link_in_its_place_is_replaced_and_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / RULE_FILE).symlink_to(victim)
    UdevRule(tmp_path, is_live=False).write([UUID])
    assert victim.read_text() == "precious"
    assert not (tmp_path / RULE_FILE).is_symlink()


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(KineError) as told:
        UdevRule(tmp_path / "file" / "rules.d", is_live=False).write([UUID])
    assert "the rule for the desktop cannot be written" in told.value.message
