"""A restore that is killed at any of its operations: the next one goes on and leaves no trace of the first.

Owns: a real process that ends by SIGKILL. Does not know: power cuts (test_restore_power_cut.py).
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.engine.drives import Drive, back_up, below, make_patients, restored, seen
from support.project import ROOT, TESTS

from kinebackup.engine.restore.names import TEMPORARY_PREFIX


def run(drive: Drive, into: Path, steps: int) -> str:
    script = TESTS / "support/engine/killed_restore.py"
    done = subprocess.run(
        [sys.executable, str(script), str(drive.root), str(into), str(steps)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(TESTS), str(ROOT)])},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout if done.returncode == 0 else f"{done.returncode} {done.stderr}"


# Folders (the way to the source has some more), a sync, names, a hard link, the last sync.
@pytest.mark.parametrize("steps", [1, 4, 7, 10, 11, 12, 13, 16, 19, 22, 23, 24])
def test_what_a_killed_restore_left_is_completed_by_the_next_one(drive: Drive, tmp_path: Path, steps: int) -> None:
    patients = make_patients(tmp_path / "Patients")
    os.chmod(patients / "Durand" / "secret.txt", 0o400)  # whoever runs this may read it
    back_up(drive, patients)
    assert run(drive, tmp_path / "back", steps) == "-9 "
    report = restored(drive, tmp_path / "back")
    assert report.problems == ()
    assert report.files_restored + report.files_skipped == 9
    assert seen(below(tmp_path / "back", patients)) == seen(patients)
    assert [path for path in (tmp_path / "back").rglob("*") if path.name.startswith(TEMPORARY_PREFIX)] == []


def test_a_restore_that_is_not_killed_ends(drive: Drive, tmp_path: Path) -> None:
    patients = make_patients(tmp_path / "Patients")
    os.chmod(patients / "Durand" / "secret.txt", 0o400)  # whoever runs this may read it
    back_up(drive, patients)
    assert run(drive, tmp_path / "back", 1000) == "ended\n"
    assert seen(below(tmp_path / "back", patients)) == seen(patients)
