"""The libraries that the Debian package brings: which files, for which Python.

Owns: ``packaging/wheels.lock`` (the SHA-256 of every wheel, as ``sha256sum`` writes it) and the folder of downloads.
Does not know: where in the package they go.

``python -m tools.wheels`` writes the lock anew, with the versions that this virtual environment runs and tests.
"""

import hashlib
import json
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

ROOT = Path(__file__).parent.parent
LOCK = ROOT / "packaging" / "wheels.lock"
DOWNLOADS = ROOT / "build" / "wheels"
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
"""Debian 12 and Ubuntu 24.04 to what follows them."""

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""glibc 2.28 is older than every system with Python 3.11; the package depends on it."""

_NOT_FROM = {"backports.zstd": "3.14"}
"""Where the standard library has it. (pip would judge by the Python that it runs in itself.)"""


class WheelsError(Exception):
    """The libraries are not those of the lock, or cannot be had."""


@dataclass(frozen=True, slots=True)
class Wheel:
    """One file of the lock. Its name is its contract (PEP 427): distribution, version, Python, ABI, platform."""

    name: str
    sha256: str

    @property
    def requirement(self) -> str:
        """What to ask of the package index."""
        distribution, version = self.name.split("-")[:2]
        return f"{distribution}=={version}"

    @property
    def path(self) -> Path:
        """Where it is downloaded to."""
        return DOWNLOADS / self.name

    @property
    def python(self) -> str | None:
        """The one Python that it is compiled for, or None where it runs in each."""
        python, abi = self.name.removesuffix(".whl").split("-")[-3:-1]
        return f"3.{python.removeprefix('cp3')}" if abi == python and python.startswith("cp3") else None


def locked() -> tuple[Wheel, ...]:
    """Every wheel of the lock, sorted by name."""
    lines = LOCK.read_text("ascii").splitlines()
    return tuple(sorted((Wheel(name, digest) for digest, name in map(str.split, lines)), key=lambda each: each.name))


def fetch() -> tuple[Wheel, ...]:
    """Have all locked wheels in the folder of downloads, bit by bit those of the lock; needs the network once."""
    wheels = locked()
    for python in PYTHONS:
        missing = [each for each in wheels if each.python in (None, python) and not each.path.exists()]
        if missing:
            _download(python, [each.requirement for each in missing])
    for each in wheels:
        found = hashlib.sha256(each.path.read_bytes()).hexdigest() if each.path.exists() else "nothing"
        if found != each.sha256:
            raise WheelsError(f"{each.path} is {found}, not {each.sha256}: remove it, or write the lock anew")
    return wheels


def _download(python: str, requirements: Sequence[str]) -> None:
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    platforms = [option for platform in PLATFORMS for option in ("--platform", platform)]
    command: list[str | Path] = [sys.executable, "-m", "pip", "download", "-qq", "--no-deps", "--only-binary", ":all:"]
    rest: list[str | Path] = ["--python-version", python, *platforms, "--dest", DOWNLOADS, *requirements]
    done = subprocess.run([*command, *rest])  # noqa: S603 - pip, with what the lock or the project names
    if done.returncode:
        raise WheelsError(f"pip could not download what Python {python} needs")


def needed() -> dict[str, str]:
    """Name and version of all that KineBackup runs with, as this virtual environment has them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    here = "\n".join(
        f"{each.name}=={each.version}" for each in metadata.distributions() if each.name != project["name"]
    )
    constraints = DOWNLOADS / "constraints.txt"
    constraints.write_text(here, "utf-8")
    command = [sys.executable, "-m", "pip", "install", "-qq", "--dry-run", "--ignore-installed", "--report", "-"]
    done = subprocess.run(  # noqa: S603 - pip, with what the project names
        [*command, "--constraint", constraints, *project["dependencies"]], stdout=subprocess.PIPE, check=True
    )
    chosen = [item["metadata"] for item in json.loads(done.stdout)["install"]]
    return {each["name"]: each["version"] for each in chosen}


def lock() -> None:
    """Write the lock anew."""
    shutil.rmtree(DOWNLOADS, ignore_errors=True)
    DOWNLOADS.mkdir(parents=True)
    versions = needed()
    for python in PYTHONS:
        _download(python, [f"{name}=={version}" for name, version in versions.items() if _NOT_FROM.get(name) != python])
    found = sorted(DOWNLOADS.glob("*.whl"), key=lambda path: path.name)
    lines = [f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in found]
    LOCK.write_text("".join(lines), "ascii")


if __name__ == "__main__":
    lock()
