"""The system service: as closed as it can be, and understood by systemd."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.project import ROOT

UNIT = ROOT / "systemd" / "kinebackup.service"


class _Unit(configparser.RawConfigParser):
    """systemd's files, but for keys that stand there twice: of these, the last one."""

    def optionxform(self, optionstr: str) -> str:
        return optionstr


@pytest.fixture
def service() -> configparser.SectionProxy:
    unit = _Unit(strict=False, interpolation=None)
    unit.read(UNIT)
    return unit["Service"]


def test_the_drive_is_mounted_in_a_namespace_of_its_own(service: configparser.SectionProxy) -> None:
    assert service["PrivateMounts"] == "yes"
    assert service["MountFlags"] == "slave"


def test_the_daemon_cannot_reach_a_network(service: configparser.SectionProxy) -> None:
    assert service["RestrictAddressFamilies"] == "AF_UNIX AF_NETLINK"
    assert service["IPAddressDeny"] == "any"


def test_homes_are_read_and_never_written(service: configparser.SectionProxy) -> None:
    assert service["ProtectHome"] == "read-only"
    assert service["ProtectSystem"] == "strict"


def test_keys_and_copies_are_for_root_alone(service: configparser.SectionProxy) -> None:
    modes = [service[f"{kind}DirectoryMode"] for kind in ("State", "Cache", "Runtime")]
    assert modes == ["0700", "0700", "0700"]
    assert service["UMask"] == "0077"
    assert service["LimitCORE"] == "0"


def test_a_job_that_is_killed_for_want_of_memory_does_not_take_the_daemon_along(
    service: configparser.SectionProxy,
) -> None:
    assert service["OOMPolicy"] == "continue"


def test_every_power_that_is_left_has_a_reason_beside_it(service: configparser.SectionProxy) -> None:
    comments = " ".join(line for line in UNIT.read_text("utf-8").splitlines() if line.startswith("#"))
    powers = [power.removeprefix("CAP_") for power in service["CapabilityBoundingSet"].split()]
    assert powers == ["SYS_ADMIN", "DAC_READ_SEARCH", "CHOWN", "FOWNER", "FSETID", "SYS_PTRACE"]
    assert [power for power in powers if power not in comments] == []


@pytest.mark.root
def test_systemd_rates_the_exposure_at_three_of_ten_at_most() -> None:
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT],
        capture_output=True,
        text=True,
        check=True,
    )
    rating = re.search(r"Overall exposure level for kinebackup.service: ([0-9.]+)", done.stdout)
    assert rating is not None, done.stdout + done.stderr
    assert float(rating[1]) <= 3.0, done.stdout


@pytest.mark.root
@pytest.mark.parametrize("name", ["kinebackup.service", "kinebackup-agent.service"])
def test_systemd_finds_no_mistake_in_the_units(tmp_path: Path, name: str) -> None:
    copy = tmp_path / name
    # The program is not installed where the tests run; everything else is looked at as it is.
    copy.write_text(
        (ROOT / "systemd" / name).read_text("utf-8").replace("/usr/bin/kinebackup", shutil.which("true") or "")
    )
    whose = "--user" if "agent" in name else "--system"
    done = subprocess.run(
        ["systemd-analyze", "verify", whose, "--man=no", "--recursive-errors=no", copy],
        env={"PATH": "/usr/bin:/bin", "XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
