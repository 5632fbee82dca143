"""Root's commands on an enrolled drive that is plugged in and mounted nowhere: a real filesystem on a loop device.

Owns: that drive. Does not know: how it is mounted. A loop device is no USB drive, so it is enrolled by hand here.
"""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from support.jobs.small_practice import Office, open_office

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]

UUID = "6f1c0000-0000-4000-8000-0000000abcde"


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    """A practice with one backup on a drive that is then unmounted."""
    image, mounted = tmp_path / "drive.img", tmp_path / "drives" / "A"
    with image.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    run("mkfs.ext4", "-q", "-U", UUID, str(image))
    node = run("losetup", "-f", "--show", str(image)).strip()
    try:
        with open_office(tmp_path) as office:
            mounted.mkdir(parents=True)
            run("mount", node, str(mounted))
            enrolled = office.enroll("A", folder=mounted / "simulated")
            office.back_up("A")
            (mounted / "simulated" / "KINEBACKUP").rename(mounted / "KINEBACKUP")
            office.computer.state.update_drive(replace(enrolled.drive, simulated=False, folder="", fs_uuid=UUID))
            office.computer.state.close()
            run("umount", str(mounted))
            (tmp_path / "config.toml").write_text(
                f'[practice]\nlanguage = "en"\n[paths]\nstate = "{tmp_path}/state"\ncache = "{tmp_path}/cache"\n'
                f'runtime = "{tmp_path}/run"\n[[sources]]\npath = "{office.patients}"\n',
                encoding="utf-8",
            )
            yield office
    finally:
        subprocess.run(["umount", "-l", str(mounted)], check=False, capture_output=True)
        subprocess.run(["losetup", "-d", node], check=False)


def kinebackup(office: Office, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "kinebackup", "--config", str(office.place / "config.toml"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_files_come_back_from_a_drive_that_nobody_has_mounted(office: Office) -> None:
    target = office.place / "back"
    done = kinebackup(office, "restore", "latest", "--to", str(target), "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["files_restored"] == 2
    restored = next(target.rglob("Dupont/bilan.txt")).read_bytes()
    assert restored == (office.patients / "Dupont" / "bilan.txt").read_bytes()
    assert list((office.place / "run").iterdir()) == []
    assert "command-" not in Path("/proc/self/mountinfo").read_text(encoding="utf-8")


def test_the_restore_test_and_the_verification_find_the_drive_as_well(office: Office) -> None:
    tested = kinebackup(office, "restore-test", "--no-daemon", "--json")
    assert (tested.returncode, json.loads(tested.stdout)["result"]) == (0, "ok")
    verified = kinebackup(office, "verify", "--full", "--drive", "A", "--json")
    assert (verified.returncode, json.loads(verified.stdout)["result"]) == (0, "ok")


def test_a_drive_that_another_world_has_mounted_is_not_taken_from_it(office: Office) -> None:
    """As the daemon has it: in a mount namespace that this process does not see."""
    place = office.place / "elsewhere"
    place.mkdir()
    script = f"mount UUID={UUID} {place} && echo ready && exec sleep 60"
    with subprocess.Popen(["unshare", "-m", "sh", "-c", script], stdout=subprocess.PIPE, text=True) as daemon:
        assert daemon.stdout is not None
        assert daemon.stdout.readline() == "ready\n"
        done = kinebackup(office, "ls", "latest")
        daemon.kill()
    assert done.returncode == 1
    assert "uses the drive" in done.stderr or "used by" in done.stderr


def test_without_the_drive_the_command_asks_for_it(office: Office, tmp_path: Path) -> None:
    node = run("losetup", "-j", str(tmp_path / "drive.img")).split(":")[0]
    run("losetup", "-d", node)
    done = kinebackup(office, "ls", "latest", "--drive", "A")
    assert done.returncode == 10
    assert "the drive A is not plugged in" in done.stderr


def test_a_backup_that_is_refused_lets_go_of_the_drive(office: Office) -> None:
    """A loop device is no USB drive: the backup is refused, which is told, and the drive is let go all the same."""
    done = kinebackup(office, "backup", "--no-daemon", "--drive", "A")
    assert done.returncode == 13
    assert list((office.place / "run").iterdir()) == []
