"""The rooms of the house: the contract holds, and it would notice if it did not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
LINT = Path(sys.executable).with_name("lint-imports")


def lint(project: Path) -> "subprocess.CompletedProcess[str]":
    """import-linter on the package that lies there."""
    return subprocess.run(
        [LINT, "--no-logo", "--no-cache"],
        cwd=project,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(project), "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_room_imports_one_above_it() -> None:
    done = lint(PROJECT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("archive/seal.py", "import kinebackup.sources.folder"),
        ("archive/pack.py", "from kinebackup.drives import mounts"),
        ("archive/index.py", "import kinebackup.config"),
        ("policy/rotation.py", "import kinebackup.archive.seal"),
        ("errors.py", "import kinebackup.model"),
        ("store/records.py", "import kinebackup.drives.mounts"),
        ("jobs/world.py", "import kinebackup.wiring"),
        ("daemon/phases.py", "import kinebackup.jobs.world"),
        ("recover/recover.py", "import kinebackup.errors"),
    ],
)
def test_a_forbidden_import_is_noticed(tmp_path: Path, file: str, line: str) -> None:
    shutil.copytree(PROJECT / "kinebackup", tmp_path / "kinebackup", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(PROJECT / "pyproject.toml", tmp_path)
    with (tmp_path / "kinebackup" / file).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout
