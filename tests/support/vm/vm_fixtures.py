"""Fixtures of the tests in a virtual machine: one machine for all of them, with KineBackup installed and two sticks.

Owns: building, keeping and resetting it; what is shown of it when a test fails. Does not know: any scenario.
"""

import fcntl
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from support.project import ROOT
from support.vm.bench import CABINET, HOME, Bench
from support.vm.guest_practice import GuestPractice
from support.vm.machine import Machine
from support.vm.machine_image import cache_directory, find_or_build, forget_old, with_package
from support.vm.stick import Stick

_HARNESS: Final = ("guest_practice", "practice_files", "stick", "vm_fixtures")
_FILES, _BYTES_EACH, _ROWS = 250, 60_000, 2_000


_NEW, _USED = "new", "used"  # before the first backup, and after it


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is the same at the beginning of each scenario. ``place``: sticks, in a folder for each state."""

    machine: Machine
    practice: GuestPractice
    place: Path
    files: dict[str, str]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package, of the sources as they are."""
    place = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "tools.deb", "--output", str(place)]
    with _one_at_a_time():
        subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = place.glob("*.deb")
    return built


@pytest.fixture(scope="session")
def prepared(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Prepared]:
    """A machine that runs, KineBackup installed and two drives saved to once; from the cache if nothing has changed."""
    place = tmp_path_factory.mktemp("machine")
    with _one_at_a_time():
        machine = _machine_in_order(package, place)
    try:
        files = json.loads((place / "files.json").read_text("utf-8"))
        yield _Prepared(machine, GuestPractice(machine), place, files)
    finally:
        machine.cut_power()


def _machine_in_order(package: Path, place: Path) -> Machine:
    """Out of the cache it comes switched off, else switched on."""
    image = with_package(find_or_build(), package)
    kept = cache_directory() / f"ready-{image.disk.stem}-{_fingerprint()}"
    if kept.is_dir():
        subprocess.run(["cp", "-r", "--sparse=always", f"{kept}/.", str(place)], check=True)
        return Machine(image, place)
    machine = Machine(image, place)
    try:
        machine.switch_on()
        _prepare(GuestPractice(machine), place)
        _keep(machine, place, kept)
    except BaseException:
        machine.cut_power()
        raise
    return machine


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Several processes may run the tests: the first builds, the others take it from the cache."""
    cache_directory().mkdir(parents=True, exist_ok=True)
    with open(cache_directory() / "lock", "wb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _prepare(practice: GuestPractice, place: Path) -> None:
    practice.set_up(_FILES, _BYTES_EACH, _ROWS)
    (place / "files.json").write_text(json.dumps(practice.add_files("first", 0, 0)), "utf-8")
    (place / _NEW).mkdir()
    practice.machine.shell("systemctl stop kinebackup")
    for label, where in ((CABINET, "cabinet"), (HOME, "domicile")):
        stick = Stick.blank(place / _NEW, label)
        practice.machine.plug(stick)
        practice.enroll(stick, where)
        practice.machine.pull(stick)
    practice.keep(_NEW)
    (place / _USED).mkdir()
    practice.machine.shell("systemctl start kinebackup", timeout_s=120)
    for label, notice in ((CABINET, "safe"), (HOME, "safe-take-home")):
        stick = Stick(label, place / _NEW / f"{label}.img").copy(place / _USED)
        assert practice.plug_and_wait(stick, label) == notice
        practice.machine.pull(stick)
    practice.keep(_USED)


def _keep(machine: Machine, place: Path, kept: Path) -> None:
    """For the next run of the tests."""
    building = kept.with_name(f"building-{os.getpid()}")
    building.mkdir(parents=True)
    machine.copy_disk(building / "disk.qcow2")
    for name in (_NEW, _USED, "files.json"):
        subprocess.run(["cp", "-r", "--sparse=always", str(place / name), str(building)], check=True)
    building.rename(kept)
    forget_old("ready-*")


def _fingerprint() -> str:
    """Of all that prepares a machine."""
    files = (Path(__file__).with_name(f"{name}.py") for name in _HARNESS)
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


@pytest.fixture
def bench(prepared: _Prepared, tmp_path: Path) -> Iterator[Bench]:
    """Both drives were saved to once; everything is as it was then, whatever the scenario before did to it."""
    yield from _laid_out(prepared, _USED, tmp_path)


@pytest.fixture
def new_bench(prepared: _Prepared, tmp_path: Path) -> Iterator[Bench]:
    """The same before the first backup."""
    yield from _laid_out(prepared, _NEW, tmp_path)


def _laid_out(prepared: _Prepared, state: str, place: Path) -> Iterator[Bench]:
    machine = prepared.machine
    if not machine.is_on:
        machine.cut_power()
        machine.switch_on()
    prepared.practice.go_back(state)
    cabinet, home = (Stick(name, prepared.place / state / f"{name}.img").copy(place) for name in (CABINET, HOME))
    yield Bench(prepared.practice, machine, cabinet, home, dict(prepared.files), place)
    for image in place.glob("*.img"):  # hundreds of megabytes each
        image.unlink()


def _bench_of(item: pytest.Item) -> Bench | None:
    found = getattr(item, "funcargs", {})
    return next((value for value in found.values() if isinstance(value, Bench)), None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a failed scenario leaves behind: the daemon's journal and the machine's console."""
    report = yield
    bench = _bench_of(item)
    if report.failed and call.when == "call" and bench is not None:
        report.sections.append(("console", bench.machine.console.read_text("utf-8", "replace")[-4000:]))
        report.sections.append(("qemu", (bench.machine.console.parent / "qemu.log").read_text("utf-8")[-2000:]))
        if bench.machine.is_on:
            journal = bench.machine.run("journalctl", "-b", "-n", "150", "--no-pager", check=False).out
            report.sections.append(("journal", journal))
    return report
