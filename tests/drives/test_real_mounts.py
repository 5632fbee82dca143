"""The same questions put to the kernel: real loop devices, bind mounts, overlays and FUSE.

Owns: mounts made and undone for each test; needs root. Does not know: USB, which no test machine has.
"""

import ctypes
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kinebackup.drives.facts import gather_facts
from kinebackup.drives.judge_path import judge_target_at
from kinebackup.policy.verdicts import Verdict

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount"),
]


class Mounter:
    """Mounts below one directory, and what undoes them."""

    def __init__(self, base: Path, stack: ExitStack) -> None:
        self.base = base
        self._stack = stack

    def folder(self, name: str) -> str:
        place = self.base / name
        place.mkdir(parents=True, exist_ok=True)
        return str(place)

    def mount(self, name: str, *arguments: str) -> str:
        place = self.folder(name)
        done = subprocess.run(["mount", *arguments, place], capture_output=True, text=True, check=False)
        if done.returncode != 0:
            pytest.skip(f"this machine cannot mount that: {done.stderr.strip()}")
        self._stack.callback(subprocess.run, ["umount", "-l", place], check=True)
        return place

    def image(self, name: str) -> str:
        path = str(self.base / name)
        with open(path, "wb") as file:
            file.truncate(8 * 1024 * 1024)
        options = ["-L", "CABINET", "-U", "6f1c0000-0000-4000-8000-00000000abcd"]
        subprocess.run(["mkfs.ext4", "-q", *options, path], check=True, capture_output=True)
        return path

    def silent_fuse(self, name: str, filesystem: str, source: str) -> str:
        """A FUSE mount whose server never answers: whoever touches it waits for ever."""
        place = self.folder(name)
        try:
            fd = os.open("/dev/fuse", os.O_RDWR)
        except OSError as error:
            pytest.skip(f"no FUSE here: {error}")
        libc = ctypes.CDLL(None, use_errno=True)
        options = f"fd={fd},rootmode=40000,user_id=0,group_id=0".encode()
        result = libc.mount(source.encode(), place.encode(), filesystem.encode(), 6, options)
        if result != 0:
            os.close(fd)
            pytest.skip(f"this machine cannot mount that: {os.strerror(ctypes.get_errno())}")
        self._stack.callback(libc.umount2, place.encode(), 2)  # MNT_DETACH
        self._stack.callback(os.close, fd)
        return place


@pytest.fixture
def mounter(tmp_path: Path) -> Iterator[Mounter]:
    with ExitStack() as stack:
        yield Mounter(tmp_path, stack)


def judged(path: str, *sources: str, simulated: bool) -> Verdict:
    return judge_target_at(path, sources=sources, enrolled=False, simulated=simulated, allow_existing_files=False)


def test_a_loop_ext4_is_described_but_is_no_usb_drive(mounter: Mounter) -> None:
    image = mounter.image("disk.img")
    place = mounter.mount("drive", "-o", "loop", image)
    facts = gather_facts(place)
    assert facts.device is not None
    assert (facts.device.filesystem_uuid, facts.device.label) == ("6f1c0000-0000-4000-8000-00000000abcd", "CABINET")
    assert (facts.device.size_bytes, facts.device.usb, facts.device.networked) == (8 * 1024 * 1024, False, False)
    assert (facts.mount_point, facts.filesystem, facts.top_level) == (place, "ext4", ("lost+found",))
    assert (facts.on_system_disk, image in facts.aliases) == (False, True)
    assert gather_facts(facts.device.node).path == place
    assert judged(place, simulated=False).reason == "not-usb"
    assert judged(place, simulated=True).accepted


def test_a_target_beside_the_source_on_one_loop_device_is_not_inside_it(mounter: Mounter) -> None:
    place = mounter.mount("drive", "-o", "loop", mounter.image("disk.img"))
    os.mkdir(f"{place}/source")
    os.mkdir(f"{place}/disque")
    assert judged(f"{place}/disque", f"{place}/source", simulated=True).accepted


def test_a_read_only_loop_is_read_only(mounter: Mounter) -> None:
    place = mounter.mount("drive", "-o", "loop,ro", mounter.image("disk.img"))
    assert gather_facts(place).read_only


def test_an_image_inside_a_source_is_inside_the_source(mounter: Mounter) -> None:
    place = mounter.mount("drive", "-o", "loop", mounter.image("disk.img"))
    assert judged(place, str(mounter.base), simulated=True).reason == "inside-source"
    assert judged(place, mounter.folder("other"), simulated=True).accepted


def test_a_tmpfs_is_memory(mounter: Mounter) -> None:
    place = mounter.mount("memory", "-t", "tmpfs", "tmpfs")
    assert judged(place, simulated=False).reason == "memory"
    assert judged(place, simulated=True).accepted


def test_a_bind_mount_of_a_marked_folder_is_refused(mounter: Mounter) -> None:
    original = mounter.folder("data/cloud")
    (mounter.base / "data" / ".stfolder").mkdir()
    place = mounter.mount("bound", "--bind", original)
    verdict = judged(place, simulated=True)
    assert (verdict.reason, verdict.service) == ("cloud", "Syncthing")


def test_a_bind_mount_of_a_source_is_inside_the_source(mounter: Mounter) -> None:
    original = mounter.folder("patients/essai")
    place = mounter.mount("bound", "--bind", original)
    assert judged(place, str(mounter.base / "patients"), simulated=True).reason == "inside-source"


def test_an_overlay_on_a_marked_folder_is_refused(mounter: Mounter) -> None:
    # Its upper layer may not be an overlay itself, as the root of a container is.
    memory = mounter.mount("memory", "-t", "tmpfs", "tmpfs")
    for name in ("lower", "cloud/upper", "work", "plain"):
        os.makedirs(f"{memory}/{name}")
    options = f"lowerdir={memory}/lower,upperdir={memory}/cloud/upper,workdir={memory}/work"
    place = mounter.mount("merged", "-t", "overlay", "-o", options, "overlay")
    assert judged(place, simulated=False).reason == "overlay"
    assert judged(place, simulated=True).accepted
    Path(f"{memory}/cloud/.megaignore").touch()
    assert judged(place, simulated=True).service == "MEGA"


def test_a_mount_hidden_under_another_is_not_taken(mounter: Mounter) -> None:
    place = mounter.mount("a/b", "-t", "tmpfs", "tmpfs")
    above = mounter.mount("a", "-t", "tmpfs", "tmpfs")
    os.makedirs(place)
    assert gather_facts(place).mount_point == above


@pytest.mark.parametrize(
    ("filesystem", "source", "reason", "service"),
    [
        ("fuse.rclone", "icloud:", "cloud", "rclone"),
        ("fuse.sshfs", "kine@host:/srv", "network", "sshfs"),
        ("fuse", "pCloud.fs", "cloud", "pCloud"),
        ("fuse.unheard-of", "x", "fuse", None),
    ],
)
def test_a_server_that_does_not_answer_is_refused_at_once(
    mounter: Mounter, filesystem: str, source: str, reason: str, service: str | None
) -> None:
    place = mounter.silent_fuse("cloud", filesystem, source)
    (mounter.base / "link").symlink_to(place)
    for path in (place, f"{place}/backup", str(mounter.base / "link"), str(mounter.base / "link" / "backup")):
        for simulated in (False, True):
            verdict = judged(path, simulated=simulated)
            assert (verdict.verdict, verdict.reason, verdict.service) == ("refused", reason, service)


def test_a_verdict_takes_milliseconds(mounter: Mounter) -> None:
    place = mounter.folder("essai")
    judged(place, simulated=True)  # imports
    start = time.perf_counter()
    for _ in range(10):
        judged(place, "/home", simulated=True)
    assert (time.perf_counter() - start) / 10 < 0.05
