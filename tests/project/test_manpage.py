"""The manual page is in step with the command line, and man(1) can show it."""

import shutil
import subprocess
import sys

import pytest
from support.project import ROOT

from kinebackup.errors import ExitCode

PAGE = ROOT / "docs" / "man" / "kinebackup.1"


def test_the_manual_page_is_current() -> None:
    program = "import tools.manpage as m; print(m.manual_page(), end='')"
    fresh = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert fresh.stdout == PAGE.read_text("utf-8"), "run: make man"


def test_the_manual_page_tells_every_exit_code() -> None:
    lines = PAGE.read_text("utf-8").splitlines()
    assert [code for code in ExitCode if rf"\fB{int(code)}\fR" not in lines] == []


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man")
def test_man_shows_it_without_a_complaint() -> None:
    shown = subprocess.run(
        ["man", "--warnings", "-E", "UTF-8", "-l", PAGE],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "MANWIDTH": "100", "LC_ALL": "C.UTF-8"},
        check=True,
    )
    assert shown.stderr == ""
    assert "kinebackup restore" in shown.stdout
    assert "--overwrite" in shown.stdout
