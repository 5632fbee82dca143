"""Names that are no text, in the places that are for people."""

import contextlib
import os
import socket
from pathlib import Path

from support.engine.drives import back_up, below, enroll, loaded, restored, seen


def test_a_problem_with_a_name_that_is_not_utf8_does_not_stop_the_backup(tmp_path: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/cabinet-\xe9"))
    source.mkdir()
    (source / "lettre.txt").write_text("Bilan")
    # The name of a socket may have 107 bytes at most, so it is given from inside.
    with socket.socket(socket.AF_UNIX) as listener, contextlib.chdir(source):
        listener.bind(b"prise-\xff")
    drive = enroll(tmp_path / "drive")

    report = back_up(drive, source)

    assert [problem.kind for problem in report.problems] == ["skipped"]
    with loaded(drive) as repository:
        saved = repository.find_snapshot("latest").snapshot
        assert saved.sources[0].endswith("/cabinet-\\xe9")
        assert saved.problems[0].path.endswith("/cabinet-\\xe9/prise-\\xff")
    restored(drive, tmp_path / "back")
    (source / os.fsdecode(b"prise-\xff")).unlink()
    assert seen(below(tmp_path / "back", source))["lettre.txt"] == seen(source)["lettre.txt"]


def test_the_next_backup_of_such_a_source_finds_its_parent(tmp_path: Path) -> None:
    source = Path(os.fsdecode(os.fsencode(tmp_path) + b"/cabinet-\xe9"))
    source.mkdir()
    (source / "lettre.txt").write_text("Bilan")
    drive = enroll(tmp_path / "drive")
    back_up(drive, source)

    assert back_up(drive, source).files_unmodified == 1
