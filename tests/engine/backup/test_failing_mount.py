"""A real mount whose calls fail with real errors: each costs its name, and nothing else.

Owns: every call of the kernel that a source can refuse, reading in the middle of a file and closing among them. Does
not know: the calls of folders in folders (test_one_error_one_entry.py).
"""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, opened, restored
from support.engine.failing_mount import FailingMount, content, failing_mount

from kinebackup.engine.environment import Environment
from kinebackup.model import BackupReport
from kinebackup.sources.folder import SystemNames

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root"),
]
BEFORE = {"a.txt": 20, "film.bin": 1_500_000, "m.txt": 20, "z.txt": 20}
LATER = {"a.txt": 30, "film.bin": 1_600_000, "m.txt": 30, "z.txt": 30}
LOSING = [
    ("lstat", "m.txt"),
    ("open", "m.txt"),
    ("open", "film.bin"),
    ("read", "m.txt"),
    ("read", "film.bin"),
    ("read on", "film.bin"),
    ("list", ""),
    ("list on", ""),
]
HARMLESS = [
    ("list attributes", "m.txt"),
    ("read attribute", "m.txt"),
    ("list attributes", "film.bin"),
    ("read attribute", "film.bin"),
    ("close", "m.txt"),
    ("close", "film.bin"),
    ("list attributes", ""),
    ("read attribute", ""),
]
ERRORS = [errno.EIO, errno.EACCES, errno.E2BIG, errno.ENOTCONN]


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[FailingMount]:
    with failing_mount(tmp_path, dict(BEFORE)) as made:
        if made is None:
            pytest.skip("no FUSE here")
        yield made


def told(report: BackupReport, mount: FailingMount) -> list[tuple[str, str]]:
    return [(problem.kind, os.path.relpath(problem.path, mount.root)) for problem in report.problems]


def what_came_back(drive: Drive, mount: FailingMount, into: Path) -> dict[str, bytes]:
    assert restored(drive, into).problems == ()
    return {path.name: path.read_bytes() for path in below(into, mount.root).iterdir()}


def lost_by(call: str, name: str) -> set[str]:
    """Where a listing fails, all that was not listed yet."""
    return {"list": set(BEFORE), "list on": {"m.txt", "z.txt"}}.get(call, {name})


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
def test_an_error_of_the_disk_costs_one_name_and_what_was_saved_of_it_goes_on(
    drive: Drive, mount: FailingMount, tmp_path: Path, number: int
) -> None:
    for case, (call, name) in enumerate(LOSING):
        own = drive.copied_to(tmp_path / f"case-{case}")
        mount.files.update(BEFORE)
        mount.fail()
        assert back_up(own, mount.root).problems == ()
        mount.files.update(LATER)
        mount.fail(call, name, number)
        report = back_up(own, mount.root)
        lost = lost_by(call, name)
        assert told(report, mount) == [("unreadable", name or ".")], call
        assert (report.files_lost, report.suspicious) == (len(lost), False), call
        assert what_came_back(own, mount, tmp_path / f"back-{case}") == {
            file: content(file, (BEFORE if file in lost else LATER)[file]) for file in BEFORE
        }, call
        mount.fail()
        assert (back_up(own, mount.root).problems, files_lost(own)) == ((), 0)


def files_lost(drive: Drive) -> int:
    with opened(drive) as repository:
        return repository.find_snapshot("latest").snapshot.files_lost


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
def test_an_error_that_takes_no_content_is_told_and_the_content_saved(
    drive: Drive, mount: FailingMount, tmp_path: Path, number: int
) -> None:
    for case, (call, name) in enumerate(HARMLESS):
        own = drive.copied_to(tmp_path / f"case-{case}")
        mount.fail(call, name, number)
        report = back_up(own, mount.root)
        assert told(report, mount) == [("metadata", name or ".")], call
        assert (report.files_lost, report.suspicious) == (0, False), call
        expected = {file: content(file, BEFORE[file]) for file in BEFORE}
        assert what_came_back(own, mount, tmp_path / f"back-{case}") == expected, call


class PatientDrive(Drive):
    """In whose world no time passes."""

    def world(self) -> Environment:
        return Environment(self.dice, lambda: 0.0, SystemNames())


def test_a_file_that_says_that_it_is_empty_and_has_no_end_is_given_up(drive: Drive, mount: FailingMount) -> None:
    mount.files["m.txt"] = -1
    mount.fail()
    report = back_up(PatientDrive(drive.root, drive.master, drive.ring, drive.dice), mount.root)
    assert [(p.kind, p.message) for p in report.problems] == [
        ("unreadable", "this file cannot be read (File too large)")
    ]
    assert (report.files_new, report.files_lost) == (3, 1)
