"""The packages and their layers: the contract holds, and it would notice if it did not."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.project import ROOT

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


def test_no_package_imports_one_above_it() -> None:
    done = lint(ROOT)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("file", "line"),
    [
        ("engine/format/seal.py", "import kinebackup.sources.folder"),
        ("engine/format/pack.py", "from kinebackup.drives import mount_table"),
        ("engine/format/index.py", "import kinebackup.config"),
        ("policy/rotation.py", "import kinebackup.engine.format.seal"),
        ("errors.py", "import kinebackup.model"),
        ("state/records.py", "import kinebackup.drives.mount_table"),
        ("practice/world.py", "import kinebackup.wiring"),
        ("daemon/decide/transitions.py", "import kinebackup.practice.world"),
        ("daemon/decide/machine.py", "import kinebackup.config_file"),
        ("config.py", "import kinebackup.toml_document"),
        ("jobs/verify.py", "from kinebackup.engine.format import pack"),
        ("cli/main.py", "import kinebackup.engine.repository.store"),
        ("engine/format/seal.py", "import kinebackup.engine.repository.store"),
        ("engine/repository/store.py", "import kinebackup.engine.backup.backup"),
        ("engine/backup/backup.py", "import kinebackup.engine.check.verify"),
        ("desktop/agent.py", "import kinebackup.practice.world"),
        ("recover/recover.py", "import kinebackup.errors"),
    ],
)
def test_a_forbidden_import_is_noticed(tmp_path: Path, file: str, line: str) -> None:
    shutil.copytree(ROOT / "kinebackup", tmp_path / "kinebackup", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / "kinebackup" / file).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    done = lint(tmp_path)
    assert done.returncode == 1, done.stdout
    assert "BROKEN" in done.stdout
