"""The benchmark of the journal at a tiny size: its figures belong to backups that saved what they should.

Owns: that it runs and cleans up. Does not know: speed.
"""

from pathlib import Path

import pytest

from benchmarks.journal import main


def test_it_measures_each_backup_and_leaves_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--files", "2000", "--dir", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:40].rstrip() for line in lines] == [
        "files, folders",
        "watching them: until it does",
        "watching them: memory",
        "first backup",
        "no change, full scan",
        "no change, with the journal",
        "no change, with the journal, again",
        "10 files changed, with the journal",
    ]
    assert lines[0].endswith("2,000, 20")
    assert list(tmp_path.iterdir()) == []
