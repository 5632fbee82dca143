"""Hearing of drives, by the kernel's own events about loop devices, as root.

Owns: loop devices that come, change and go. Does not know: USB and udev; the virtual machine's tests have both.
"""

import os
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kinebackup.drives.block_device import number_of_node, read_device
from kinebackup.drives.system import System
from kinebackup.drives.watcher import DriveChange, DriveWatcher, UsbFilesystem
from kinebackup.policy.target_facts import DeviceFacts

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root may make loop devices"),
]

UUID = "6f1c0000-0000-4000-8000-00000000abcd"
OTHER_UUID = "6f1c0000-0000-4000-8000-00000000dcba"
MIB = 1024 * 1024


@dataclass
class Bench:
    """Loop devices, and a watcher that takes these for USB drives and no others."""

    base: Path
    stack: ExitStack
    nodes: set[str] = field(default_factory=set)

    def watcher(self) -> DriveWatcher:
        # udev tells of a device after the kernel, where it runs.
        watcher = DriveWatcher(accept=self.is_ours, source="udev" if os.path.isdir("/run/udev/data") else "kernel")
        self.stack.callback(watcher.close)
        return watcher

    def is_ours(self, facts: DeviceFacts) -> bool:
        return f"/dev/{facts.disks[0]}" in self.nodes

    def image(self, *mkfs: str) -> str:
        path = self.base / f"{len(list(self.base.glob('*.img')))}.img"
        with path.open("wb") as file:
            file.truncate(32 * MIB)
        if mkfs:
            run(*mkfs, str(path))
        return str(path)

    def plug_in(self, image: str, *options: str) -> str:
        """The node is known to be ours before the kernel tells of it."""
        for _attempt in range(5):  # somebody else may take the free one meanwhile
            node = run("losetup", "--find").strip()
            self.nodes.add(node)
            if subprocess.run(["losetup", *options, node, image], capture_output=True, check=False).returncode == 0:
                break
            self.nodes.discard(node)
        self.stack.callback(subprocess.run, ["losetup", "-d", node], capture_output=True, check=False)
        return node

    def pull(self, node: str) -> None:
        run("losetup", "-d", node)


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def ext4(uuid: str = UUID, label: str = "CABINET") -> tuple[str, ...]:
    return ("mkfs.ext4", "-q", "-F", "-U", uuid, "-L", label)


def heard(watcher: DriveWatcher, count: int) -> list[DriveChange]:
    """What is read until so many things have happened, and for half a second after, in which nothing more may."""
    changes: list[DriveChange] = []
    end = time.monotonic() + 20
    while len(changes) < count:
        assert time.monotonic() < end, f"only {changes}"
        select.select([watcher.fileno()], [], [], 0.2)
        changes += watcher.read()
    if select.select([watcher.fileno()], [], [], 0.5)[0]:
        changes += watcher.read()
    return changes


def told(changes: list[DriveChange]) -> list[tuple[str, str]]:
    return [(each.kind, each.device.fs_uuid) for each in changes]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with ExitStack() as stack:
        yield Bench(tmp_path, stack)


def test_a_disk_that_hangs_on_no_usb_is_nobodys_business(bench: Bench) -> None:
    bench.plug_in(bench.image(*ext4()))
    watcher = DriveWatcher()
    bench.stack.callback(watcher.close)
    assert watcher.start() == []


def test_a_drive_that_is_here_already_is_found_at_the_start(bench: Bench) -> None:
    node = bench.plug_in(bench.image(*ext4()))
    facts = read_device(System(), number_of_node(System(), node) or "")
    assert facts is not None
    assert bench.watcher().start() == [
        UsbFilesystem(
            node=node,
            fs_uuid=UUID,
            part_uuid="",
            serial=facts.serial,
            disk_sequence=int(Path(f"/sys/block/{node[5:]}/diskseq").read_text("ascii")),
            filesystem="ext4",
            size_bytes=32 * MIB,
            model=facts.model,
        )
    ]


def test_a_drive_is_told_of_once_when_it_comes_and_once_when_it_goes(bench: Bench) -> None:
    watcher = bench.watcher()
    assert watcher.start() == []
    node = bench.plug_in(bench.image(*ext4()))
    (appeared,) = heard(watcher, 1)
    assert (appeared.kind, appeared.device.node, appeared.device.fs_uuid) == ("appeared", node, UUID)
    bench.pull(node)
    assert heard(watcher, 1) == [DriveChange("vanished", appeared.device)]
    assert watcher.read() == []
    assert watcher.rescan() == []


def test_a_drive_without_a_filesystem_appears_when_it_is_formatted(bench: Bench) -> None:
    watcher = bench.watcher()
    watcher.start()
    node = bench.plug_in(bench.image())
    run(*ext4(), node)
    announce(node)
    assert told(heard(watcher, 1)) == [("appeared", UUID)]
    run(*ext4(OTHER_UUID), node)
    announce(node)
    assert told(heard(watcher, 1)) == [("changed", OTHER_UUID)]
    run("wipefs", "--all", node)
    announce(node)
    assert told(heard(watcher, 1)) == [("vanished", OTHER_UUID)]


def test_a_container_that_is_locked_is_no_filesystem(bench: Bench) -> None:
    bench.plug_in(bench.image("cryptsetup", "luksFormat", "--batch-mode", "--key-file=/etc/hostname", *CHEAP_KEY))
    assert bench.watcher().start() == []


CHEAP_KEY = ("--type=luks2", "--pbkdf=pbkdf2", "--pbkdf-force-iterations=1000")


def test_partitions_are_told_of_rather_than_their_disk(bench: Bench) -> None:
    watcher = bench.watcher()
    watcher.start()
    image = bench.image()
    subprocess.run(["sfdisk", "--quiet", image], input=b"label: gpt\nsize=10MiB\nsize=10MiB\n", check=True)
    node = bench.plug_in(image, "--partscan")
    if not os.path.exists(f"{node}p1"):  # a kernel that cannot read partition tables is told what is in them
        run("partx", "--add", node)
    for number, uuid in ((1, UUID), (2, OTHER_UUID)):
        run(*ext4(uuid), f"{node}p{number}")
        announce(f"{node}p{number}")
    changes = heard(watcher, 2)
    assert told(changes) == [("appeared", UUID), ("appeared", OTHER_UUID)]
    assert [each.device.node for each in changes] == [f"{node}p1", f"{node}p2"]
    assert changes[0].device.disk_sequence == changes[1].device.disk_sequence
    bench.pull(node)
    assert sorted(told(heard(watcher, 2))) == [("vanished", UUID), ("vanished", OTHER_UUID)]


def test_a_drive_that_took_the_place_of_another_unheard_comes_after_its_removal(bench: Bench) -> None:
    image, other = bench.image(*ext4()), bench.image(*ext4(OTHER_UUID))
    node = bench.plug_in(image)
    watcher = bench.watcher()
    watcher.start()
    bench.pull(node)
    run("losetup", node, other)
    changes = watcher.rescan()
    assert told(changes) == [("vanished", UUID), ("appeared", OTHER_UUID)]
    assert {each.device.node for each in changes} == {node}
    assert changes[0].device.disk_sequence < changes[1].device.disk_sequence
    # The events of all that have been heard meanwhile tell nothing new.
    assert heard(watcher, 0) == []


def test_the_same_drive_unplugged_and_plugged_in_again_unheard_has_been_away(bench: Bench) -> None:
    image = bench.image(*ext4())
    node = bench.plug_in(image)
    watcher = bench.watcher()
    watcher.start()
    bench.pull(node)
    run("losetup", node, image)
    assert told(watcher.read()) == [("vanished", UUID), ("appeared", UUID)]


def test_after_a_flood_of_events_nothing_is_missing(bench: Bench) -> None:
    gone = bench.plug_in(bench.image(*ext4()))
    watcher = bench.watcher()
    watcher.start()
    with socket.socket(fileno=os.dup(watcher.fileno())) as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)  # the least that the kernel grants
    for _event in range(500):
        announce(gone)
    bench.pull(gone)
    bench.plug_in(bench.image(*ext4(OTHER_UUID)))
    assert told(heard(watcher, 2)) == [("vanished", UUID), ("appeared", OTHER_UUID)]
    assert watcher.read() == []


def test_labels_that_are_no_text_do_no_harm(bench: Bench) -> None:
    image = bench.image("mkfs.ext4", "-q", "-F", "-U", UUID, "-O", "^metadata_csum")
    with open(image, "r+b") as file:
        file.seek(1024 + 0x78)  # s_volume_name
        file.write(b"\xff\xfe\n=\x1b[2J\0")
    watcher = bench.watcher()
    watcher.start()
    bench.plug_in(image)
    assert told(heard(watcher, 1)) == [("appeared", UUID)]


def test_a_drive_is_told_of_only_once_though_it_is_mounted_and_unmounted(bench: Bench) -> None:
    watcher = bench.watcher()
    watcher.start()
    node = bench.plug_in(bench.image(*ext4()))
    assert len(heard(watcher, 1)) == 1
    place = bench.base / "mounted"
    place.mkdir()
    run("mount", node, str(place))
    run("umount", str(place))
    announce(node)
    assert heard(watcher, 0) == []


def announce(node: str) -> None:
    """What udev does when somebody has written to a device."""
    Path(f"/sys/class/block/{os.path.basename(node)}/uevent").write_text("change", "ascii")
