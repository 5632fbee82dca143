"""What the real computer gives: its time zone, in summer and in winter; open files."""

import resource
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kinebackup.practice.this_computer import local_zone

PARIS = Path("/usr/share/zoneinfo/Europe/Paris")
WINTER, SUMMER = datetime(2026, 1, 15, 12, 0, tzinfo=UTC), datetime(2026, 7, 15, 12, 0, tzinfo=UTC)

needs_zones = pytest.mark.skipif(not PARIS.exists(), reason="needs tzdata")


@needs_zones
@pytest.mark.parametrize(
    ("variable", "file"), [("Europe/Paris", "/nowhere"), (":Europe/Paris", "/nowhere"), ("", PARIS)]
)
def test_a_backup_of_the_winter_keeps_its_hour_in_summer(variable: str, file: str | Path) -> None:
    zone = local_zone(variable, str(file))
    assert [moment.astimezone(zone).hour for moment in (WINTER, SUMMER)] == [13, 14]


@pytest.mark.parametrize("variable", ["", "No/Such_Zone", "../../etc/passwd", "UTC0"])
def test_a_computer_without_zones_still_has_a_time(tmp_path: Path, variable: str) -> None:
    (tmp_path / "localtime").write_bytes(b"TZif, but cut")
    assert WINTER.astimezone(local_zone(variable, str(tmp_path / "localtime"))) == WINTER


def test_a_run_may_open_as_many_files_as_the_system_lets_it() -> None:
    """Each folder on the way down is an open file: a path of 2,000 folders is legal."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    text = "import resource; n = resource.RLIMIT_NOFILE; resource.setrlimit(n, (64, resource.getrlimit(n)[1])); "
    text += "import kinebackup.wiring as w; w.make_world(); print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    assert int(done.stdout) == limit
