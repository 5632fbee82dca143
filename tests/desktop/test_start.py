"""What starts the agent at login: systemd's unit, and the entry for desktops that start no units."""

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import click
import pytest
from support.project import SYSTEMD

from kinebackup.cli.commands.agent import agent

UNIT = SYSTEMD / "kinebackup-agent.service"
AUTOSTART = SYSTEMD / "kinebackup-agent.desktop"


def entries(file: Path, section: str) -> dict[str, list[str]]:
    """Every value of every key: systemd's may be given more than once."""
    found: dict[str, list[str]] = {}
    inside = ""
    for line in file.read_text("utf-8").splitlines():
        if line.startswith("["):
            inside = line.strip("[]")
        elif inside == section and line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize(
    ("file", "section", "key"), [(UNIT, "Service", "ExecStart"), (AUTOSTART, "Desktop Entry", "Exec")]
)
def test_what_is_started_is_a_command_that_there_is(file: Path, section: str, key: str) -> None:
    (command,) = entries(file, section)[key]
    assert command == "/usr/bin/kinebackup agent --unless-running"
    assert click.Context(agent).command.make_parser(click.Context(agent)).parse_args(["--unless-running"])[0] == {
        "unless_running": True
    }


def test_the_unit_follows_the_graphical_session_and_is_for_persons() -> None:
    unit = entries(UNIT, "Unit")
    assert unit["PartOf"] == unit["After"] == ["graphical-session.target"]
    assert unit["ConditionUser"] == ["!@system"]
    assert entries(UNIT, "Install")["WantedBy"] == ["graphical-session.target"]
    service = entries(UNIT, "Service")
    assert service["Restart"] == ["on-failure"]
    assert service["RestrictAddressFamilies"] == ["AF_UNIX"]


def test_the_autostart_entry_is_left_alone_where_systemd_starts_the_session() -> None:
    parsed = configparser.ConfigParser(interpolation=None)
    parsed.optionxform = str  # type: ignore[assignment, method-assign]  # configparser's own way to keep the case of keys
    parsed.read(AUTOSTART, "utf-8")
    entry = parsed["Desktop Entry"]
    assert entry["X-systemd-skip"] == entry["X-GNOME-HiddenUnderSystemd"] == "true"
    assert (entry["Type"], entry["Terminal"]) == ("Application", "false")


@pytest.mark.root
def test_systemd_finds_nothing_to_complain_of_in_the_unit(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("needs systemd-analyze")
    text = UNIT.read_text("utf-8").replace("/usr/bin/kinebackup", "/bin/true").replace("man:kinebackup(1)", "man:sh(1)")
    (tmp_path / UNIT.name).write_text(text, encoding="utf-8")
    checked = subprocess.run(
        ["systemd-analyze", "--user", "--man=no", "verify", str(tmp_path / UNIT.name)],
        env=os.environ | {"XDG_RUNTIME_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (checked.returncode, checked.stderr) == (0, "")
