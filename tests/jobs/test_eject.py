"""Letting a drive go by hand: a real filesystem on a loop device, mounted as a desktop would."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from kinebackup.drives.unmounting import StillMounted
from kinebackup.errors import ConfigError, NotFound
from kinebackup.jobs.eject import run_eject
from kinebackup.state.records import Drive
from kinebackup.wiring import make_world

UUID = "6f0a3f3e-7b1c-4e55-9d2e-000000000042"
ENROLLED = datetime(2030, 1, 1, tzinfo=UTC)
RECORD = Drive("CABINET", "cabinet", False, "cd" * 16, ENROLLED, 1, fs_uuid=UUID)


@dataclass
class Plugged:
    """A drive that is mounted at ``folder``."""

    node: str
    folder: Path
    stack: ExitStack

    @property
    def is_mounted(self) -> bool:
        return os.path.ismount(self.folder)


@pytest.fixture
def plugged(tmp_path: Path) -> Iterator[Plugged]:
    if os.geteuid() != 0:
        pytest.skip("needs root: only root may mount")
    image, folder = tmp_path / "drive.img", tmp_path / "media"
    with image.open("wb") as file:
        file.truncate(64 * 1024 * 1024)
    subprocess.run(["mkfs.ext4", "-q", "-U", UUID, str(image)], check=True)
    with ExitStack() as stack:
        found = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True)
        node = found.stdout.strip()
        stack.callback(subprocess.run, ["losetup", "-d", node], check=False)
        folder.mkdir()
        subprocess.run(["mount", node, str(folder)], check=True)
        stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=False, stderr=subprocess.DEVNULL)
        (folder / "KINEBACKUP").mkdir()
        yield Plugged(node, folder, stack)


@pytest.mark.root
def test_a_drive_is_unmounted_then_stopped_and_its_folder_stays(plugged: Plugged) -> None:
    stopped: list[tuple[str, bool]] = []

    def power_off(node: str) -> bool:
        stopped.append((node, plugged.is_mounted))
        return True

    assert run_eject(RECORD, make_world(), power_off=power_off)
    assert stopped == [(plugged.node, False)]
    assert plugged.folder.is_dir()


@pytest.mark.root
def test_a_drive_that_somebody_uses_stays_mounted_and_is_not_stopped(plugged: Plugged) -> None:
    user = subprocess.Popen(["sleep", "60"], cwd=plugged.folder)
    plugged.stack.callback(user.wait)
    plugged.stack.callback(user.kill)

    def power_off(node: str) -> bool:
        raise AssertionError

    with pytest.raises(StillMounted) as raised:
        run_eject(RECORD, make_world(), power_off=power_off)
    assert raised.value.program == "sleep"
    assert plugged.is_mounted


def test_a_drive_that_is_not_mounted_or_only_a_folder_is_not_ejected(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="is not mounted"):
        run_eject(RECORD, make_world(), power_off=bool)
    simulated = Drive("ESSAI", "cabinet", True, "cd" * 16, ENROLLED, 1, folder=str(tmp_path))
    with pytest.raises(ConfigError, match="nothing to unplug"):
        run_eject(simulated, make_world(), power_off=bool)
