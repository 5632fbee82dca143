"""Who keeps a drive busy: real programs on a mounted loop device, as root.

Owns: those programs. Does not know: mounting for backups.
"""

import os
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from support.drives.own_namespace import own_namespace
from support.waiting import wait_until

from kinebackup.drives.busy import mounts_anywhere, who_uses

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]
__all__ = ["own_namespace"]  # a fixture of every test here


@dataclass
class Drive:
    """A mounted filesystem, and the programs that were started on it."""

    node: str
    place: Path
    stack: ExitStack

    @property
    def number(self) -> str:
        device = os.stat(self.node).st_rdev
        return f"{os.major(device)}:{os.minor(device)}"

    def start(self, script: str) -> "subprocess.Popen[bytes]":
        """Returns when the script has said that it is ready."""
        process = subprocess.Popen(["bash", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self.stack.callback(self.end, process)
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        # "exec" comes after that line.
        if "exec" in script:
            wait_until(lambda: Path(f"/proc/{process.pid}/comm").read_text("ascii") != "bash\n")
        return process

    def end(self, process: "subprocess.Popen[bytes]") -> None:
        process.kill()
        process.communicate()


@pytest.fixture
def drive(tmp_path: Path) -> Iterator[Drive]:
    image, place = tmp_path / "drive.img", tmp_path / "drive"
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    place.mkdir()
    subprocess.run(["mkfs.ext4", "-q", "-F", str(image)], check=True)
    with ExitStack() as stack:
        found = subprocess.run(["losetup", "-f", "--show", str(image)], check=True, capture_output=True, text=True)
        node = found.stdout.strip()
        stack.callback(subprocess.run, ["losetup", "-d", node], check=False)
        subprocess.run(["mount", node, str(place)], check=True)
        stack.callback(subprocess.run, ["umount", "-l", str(place)], check=False)
        yield Drive(node, place, stack)


def test_a_device_that_does_not_exist_is_used_by_nobody() -> None:
    assert who_uses("240:4242") == ""
    assert who_uses("") == ""
    assert mounts_anywhere("240:4242", "/dev/sdzz9") == ()


def test_a_drive_on_which_nothing_is_open_is_used_by_nobody(drive: Drive) -> None:
    assert who_uses(drive.number) == ""
    assert {holder.mount.mount_point for holder in mounts_anywhere(drive.number, drive.node)} == {str(drive.place)}


def test_this_process_is_not_meant(drive: Drive) -> None:
    with (drive.place / "open").open("wb"):
        assert who_uses(drive.number) == ""


@pytest.mark.parametrize(
    "script",
    [
        "exec 5<{place}; echo ready; exec sleep 60",
        "cd {place}; echo ready; exec sleep 60",
        "cp /bin/sleep {place}/; echo ready; exec {place}/sleep 60",
        "touch {place}/gone; exec 5<{place}/gone; rm {place}/gone; echo ready; exec sleep 60",
    ],
    ids=["an open file", "its folder", "its program", "a deleted file"],
)
def test_whoever_works_there_is_named(drive: Drive, script: str) -> None:
    process = drive.start(script.format(place=drive.place))
    assert who_uses(drive.number) == "sleep"
    drive.end(process)
    assert who_uses(drive.number) == ""


def test_a_file_that_is_only_in_memory_keeps_it_busy_too(drive: Drive) -> None:
    (drive.place / "mapped").write_bytes(bytes(4096))
    program = (
        "import mmap, os, time\n"
        f"fd = os.open('{drive.place}/mapped', os.O_RDWR)\n"
        "memory = mmap.mmap(fd, 4096)\n"
        "os.close(fd)\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    drive.start(f'python3 -c "{program}"')
    assert who_uses(drive.number).startswith("python")


def test_a_folder_of_the_same_name_elsewhere_is_not_the_drive(drive: Drive) -> None:
    beside = Path(f"{drive.place}-beside")
    beside.mkdir()
    drive.start(f"cd {beside}; echo ready; exec sleep 60")
    assert who_uses(drive.number) == ""


def test_the_same_path_in_another_namespace_is_not_the_drive(drive: Drive) -> None:
    script = f"umount {drive.place} && cd {drive.place} && echo ready && exec sleep 60"
    drive.start(f'exec unshare --mount bash -c "{script}"')
    assert who_uses(drive.number) == ""


def test_a_service_that_has_it_mounted_for_itself_is_named(drive: Drive) -> None:
    drive.start(f'exec unshare --mount bash -c "echo ready && exec sleep 60"; : {drive.place}')
    assert who_uses(drive.number) == "sleep"
    subprocess.run(["umount", str(drive.place)], check=True)
    assert [holder.mount.mount_point for holder in mounts_anywhere(drive.number, drive.node)] == [str(drive.place)]
    assert who_uses(drive.number) == "sleep"


def test_a_program_that_calls_itself_something_odd_is_shown_harmlessly(drive: Drive) -> None:
    program = (
        "import os, time\n"
        f"os.chdir('{drive.place}')\n"
        "open('/proc/self/comm', 'wb', 0).write(b'\\x1b[2J\\nx')\n"
        "print('ready', flush=True)\n"
        "time.sleep(60)\n"
    )
    drive.start(f'python3 -c "{program}"')
    assert who_uses(drive.number) == "?[2J?x"
