"""Fixtures of the tests in a virtual machine: one machine for all of them, with KineBackup installed and two sticks.

Owns: building, keeping and resetting it; what is shown of it when a test fails. Does not know: any scenario.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest
from bench import CABINET, HOME, Bench
from guest_practice import GuestPractice
from machine import Machine
from machine_image import cache_directory, find_or_build, forget_old, with_package
from stick import Stick

_ROOT: Final = Path(__file__).parents[2]
_HARNESS: Final = ("guest_practice", "practice_files", "stick", "vm_fixtures")
_FILES, _BYTES_EACH, _ROWS = 250, 60_000, 2_000


@dataclass(frozen=True, slots=True)
class _Prepared:
    """What is the same at the beginning of each scenario."""

    machine: Machine
    practice: GuestPractice
    sticks: tuple[Stick, Stick]
    files: dict[str, str]


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Debian package, of the sources as they are."""
    place = tmp_path_factory.mktemp("package")
    command = [sys.executable, "-m", "tools.deb", "--output", str(place)]
    subprocess.run(command, cwd=_ROOT, check=True, capture_output=True)
    (built,) = place.glob("*.deb")
    return built


@pytest.fixture(scope="session")
def prepared(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Prepared]:
    """A machine that runs, KineBackup installed and two drives enrolled; from the cache if nothing has changed."""
    image = with_package(find_or_build(), package)
    place = tmp_path_factory.mktemp("machine")
    kept = cache_directory() / f"ready-{image.disk.stem}-{_fingerprint()}"
    from_cache = kept.is_dir()
    if from_cache:
        shutil.copyfile(kept / "disk.qcow2", place / "disk.qcow2")
    machine = Machine(image, place)
    practice = GuestPractice(machine)
    try:
        machine.switch_on()
        if from_cache:
            sticks = tuple(Stick(label, kept / f"{label}.img").copy(place) for label in (CABINET, HOME))
            files = json.loads((kept / "files.json").read_text("utf-8"))
        else:
            sticks, files = _prepare(practice, place)
            _keep(machine, sticks, files, kept)
        yield _Prepared(machine, practice, (sticks[0], sticks[1]), files)
    finally:
        machine.cut_power()


def _prepare(practice: GuestPractice, place: Path) -> tuple[tuple[Stick, ...], dict[str, str]]:
    practice.set_up(_FILES, _BYTES_EACH, _ROWS)
    sticks = Stick.blank(place, CABINET), Stick.blank(place, HOME)
    practice.machine.shell("systemctl stop kinebackup")
    for stick, where in zip(sticks, ("cabinet", "domicile"), strict=True):
        practice.machine.plug(stick)
        practice.enroll(stick, where)
        practice.machine.pull(stick)
    practice.keep()
    return sticks, practice.add_files("first", 0, 0)


def _keep(machine: Machine, sticks: tuple[Stick, ...], files: dict[str, str], kept: Path) -> None:
    """For the next run of the tests."""
    building = kept.with_name(f"building-{os.getpid()}")
    building.mkdir(parents=True)
    machine.copy_disk(building / "disk.qcow2")
    for stick in sticks:
        stick.copy(building)
    (building / "files.json").write_text(json.dumps(files), "utf-8")
    building.rename(kept)
    forget_old("ready-*")


def _fingerprint() -> str:
    """Of all that prepares a machine."""
    files = (Path(__file__).with_name(f"{name}.py") for name in _HARNESS)
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


@pytest.fixture
def bench(prepared: _Prepared, tmp_path: Path) -> Iterator[Bench]:
    """Everything as it was, whatever the scenario before did to it."""
    machine = prepared.machine
    if not machine.is_on:
        machine.cut_power()
        machine.switch_on()
    prepared.practice.go_back()
    sticks = [stick.copy(tmp_path) for stick in prepared.sticks]
    yield Bench(prepared.practice, machine, sticks[0], sticks[1], dict(prepared.files), tmp_path)
    for image in tmp_path.glob("*.img"):  # hundreds of megabytes each
        image.unlink()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What a failed scenario leaves behind: the daemon's journal and the machine's console."""
    report = yield
    bench = getattr(item, "funcargs", {}).get("bench")
    if report.failed and call.when == "call" and isinstance(bench, Bench):
        report.sections.append(("console", bench.machine.console.read_text("utf-8", "replace")[-4000:]))
        report.sections.append(("qemu", (bench.machine.console.parent / "qemu.log").read_text("utf-8")[-2000:]))
        if bench.machine.is_on:
            journal = bench.machine.run("journalctl", "-b", "-n", "150", "--no-pager", check=False).out
            report.sections.append(("journal", journal))
    return report
