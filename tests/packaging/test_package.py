"""The Debian package: what is in it, and its whole life on a freshly installed Debian without a network."""

import json
import os
import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.packaging.debian_computer import FreshDebian, make_debian
from support.project import ROOT

from kinebackup import __version__
from tools import deb, wheels

COPYRIGHT = ROOT / "packaging" / "copyright"
SCRIPTS = ("postinst", "prerm", "postrm")
STATE = "/var/lib/kinebackup/machine.key"
SETTINGS = "/etc/kinebackup/config.toml"
DRIVE_RULE = "/etc/udev/rules.d/90-kinebackup.rules"
CACHED = "/var/cache/kinebackup/index"


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


# --- what the project says of it --------------------------------------------------------------------------------------


def test_every_library_that_the_program_needs_comes_along() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = {normal(re.split(r"[<>=;~! ]", each)[0]) for each in project["dependencies"]}
    assert needed - {normal(each.requirement.split("==")[0]) for each in wheels.locked()} == set()


def test_what_is_compiled_comes_for_every_python_of_the_package() -> None:
    compiled: dict[str, list[str]] = {}
    for each in wheels.locked():
        if each.python:
            compiled.setdefault(each.requirement.split("==")[0], []).append(each.python)
    assert compiled.pop("backports_zstd") == ["3.11", "3.12", "3.13"]  # Python 3.14 has it itself
    assert len(compiled) >= 5
    assert {name: pythons for name, pythons in compiled.items() if pythons != ["3.11", "3.12", "3.13", "3.14"]} == {}


def test_the_licence_of_every_library_is_told() -> None:
    told = COPYRIGHT.read_text("utf-8")
    names = {each.name.split("-")[0].removesuffix("_py").removesuffix("_zstd") for each in wheels.locked()}
    assert [name for name in sorted(names) if f"/{name}*" not in told] == []


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_maintainer_script_is_valid_and_stops_at_the_first_error(script: str) -> None:
    path = ROOT / "packaging" / script
    subprocess.run(["sh", "-n", path], check=True)
    assert "\nset -e\n" in path.read_text("utf-8")


def test_no_maintainer_script_deletes_keys() -> None:
    lines = [line for script in SCRIPTS for line in (ROOT / "packaging" / script).read_text("utf-8").splitlines()]
    assert [line for line in lines if "rm " in line and ("/var/lib" in line or "$state" in line)] == []


# --- what it is -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return deb.build(tmp_path_factory.mktemp("first"), __version__, 1_700_000_000)


@pytest.fixture(scope="module")
def listing(package: Path) -> list[str]:
    done = subprocess.run(["dpkg-deb", "--contents", package], stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout.splitlines()


@pytest.mark.root
@pytest.mark.slow
def test_two_builds_make_the_same_bytes(package: Path, tmp_path: Path) -> None:
    assert deb.build(tmp_path, __version__, 1_700_000_000).read_bytes() == package.read_bytes()


@pytest.mark.root
@pytest.mark.slow
def test_all_in_it_belongs_to_root_and_only_root_may_write_it(listing: list[str]) -> None:
    assert {line.split()[1] for line in listing} == {"root/root"}
    rights = {line.split()[0] for line in listing}
    assert rights == {"drwxr-xr-x", "-rw-r--r--", "-rwxr-xr-x", "lrwxrwxrwx"}
    executable = [line.split()[-1] for line in listing if line.startswith("-rwx")]
    assert executable == ["./usr/bin/kinebackup"]


@pytest.mark.root
@pytest.mark.slow
def test_each_file_lies_where_debian_looks_for_it(listing: list[str]) -> None:
    there = {line.split()[5] for line in listing}
    expected = {
        "./usr/bin/kinebackup",
        "./usr/lib/systemd/system/kinebackup.service",
        "./usr/lib/systemd/user/kinebackup-agent.service",
        "./etc/xdg/autostart/kinebackup-agent.desktop",
        "./usr/share/dbus-1/system.d/org.kinebackup.Daemon1.conf",
        "./usr/share/polkit-1/actions/org.kinebackup.policy",
        "./usr/share/man/man1/kinebackup.1.gz",
        "./usr/share/bash-completion/completions/kinebackup",
        "./usr/share/zsh/vendor-completions/_kinebackup",
        "./usr/share/fish/vendor_completions.d/kinebackup.fish",
        "./usr/share/doc/kinebackup/copyright",
        "./usr/share/doc/kinebackup/changelog.Debian.gz",
        "./usr/share/doc/kinebackup/config.example.toml",
        "./usr/share/doc/kinebackup/FORMAT.md.gz",
        "./opt/kinebackup/lib/shared/kinebackup/locale/fr/LC_MESSAGES/kinebackup.mo",
        "./opt/kinebackup/lib/shared/kinebackup/recover/recover.py",
    }
    assert expected - there == set()
    assert [name for name in sorted(there) if re.search(r"__pycache__|\.pyc$|\.po$|/tests?/test_", name)] == []


# --- its life ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FreshDebian]:
    computer = make_debian(tmp_path_factory.mktemp("debian-12") / "root", "bookworm")
    yield computer
    shutil.rmtree(computer.root)


@pytest.fixture
def next_debian(tmp_path: Path) -> Iterator[FreshDebian]:
    computer = make_debian(tmp_path / "root", "trixie")
    yield computer
    shutil.rmtree(computer.root)


def installed(computer: FreshDebian, package: Path) -> FreshDebian:
    computer.install(package)
    for name in (STATE, SETTINGS, DRIVE_RULE, CACHED):
        computer.write(name, "kept")
    return computer


def kept(computer: FreshDebian) -> list[str]:
    return [name for name in (STATE, SETTINGS, DRIVE_RULE, CACHED) if computer.path(name).exists()]


@pytest.mark.root
@pytest.mark.slow
def test_it_installs_without_a_network_and_does_the_whole_job(debian: FreshDebian, package: Path) -> None:
    debian.install(package)
    assert debian.must("kinebackup", "--version") == f"kinebackup, version {__version__}\n"
    played = json.loads(debian.must("kinebackup", "demo", "--json"))
    assert played["files_compared"] > 300
    assert debian.must("dpkg", "--verify", "kinebackup") == ""
    assert debian.must("stat", "--format=%A %U", "/etc/kinebackup") == "drwx------ root\n"
    assert debian.must("systemctl", "is-enabled", "kinebackup.service") == "enabled\n"
    assert debian.must("systemctl", "--global", "is-enabled", "kinebackup-agent.service") == "enabled\n"


@pytest.mark.root
@pytest.mark.slow
def test_an_upgrade_keeps_state_settings_and_what_was_switched_off(
    debian: FreshDebian, package: Path, tmp_path: Path
) -> None:
    installed(debian, package)
    debian.must("systemctl", "disable", "kinebackup.service")
    newer = deb.build(tmp_path, f"{__version__}+1", 1_700_000_001)
    debian.install(newer)
    assert debian.must("dpkg-query", "--show", "--showformat=${Version}", "kinebackup") == f"{__version__}+1"
    assert kept(debian) == [STATE, SETTINGS, DRIVE_RULE, CACHED]
    assert debian.run("systemctl", "is-enabled", "kinebackup.service").said == "disabled\n"
    assert debian.must("dpkg", "--verify", "kinebackup") == ""
    debian.must("apt-get", "purge", "--yes", "kinebackup")


@pytest.mark.root
@pytest.mark.slow
def test_removal_leaves_keys_and_settings_and_says_so(debian: FreshDebian, package: Path) -> None:
    installed(debian, package)
    said = debian.must("apt-get", "remove", "--yes", "kinebackup")
    assert "your keys, and what this computer knows of your drives, stay in /var/lib/kinebackup" in said
    assert kept(debian) == [STATE, SETTINGS, DRIVE_RULE, CACHED]
    assert not debian.path("/opt/kinebackup").exists()
    assert not debian.path("/usr/bin/kinebackup").exists()


@pytest.mark.root
@pytest.mark.slow
def test_a_purge_takes_settings_and_caches_and_never_the_keys(debian: FreshDebian, package: Path) -> None:
    installed(debian, package)
    said = debian.must("apt-get", "purge", "--yes", "kinebackup")
    assert "the keys in /var/lib/kinebackup are kept" in said
    assert kept(debian) == [STATE]
    left = debian.must("find", "/", "-xdev", "-name", "*kinebackup*", "-not", "-path", "/srv/*").split()
    assert left == ["/var/lib/kinebackup"]


@pytest.mark.root
@pytest.mark.slow
def test_a_python_that_is_not_in_the_package_is_named_with_what_to_do(debian: FreshDebian, package: Path) -> None:
    debian.install(package)
    python = debian.must("readlink", "/usr/bin/python3").strip()
    known, hidden = debian.path(f"/opt/kinebackup/lib/{python}"), debian.path("/opt/kinebackup/lib/hidden")
    os.rename(known, hidden)
    try:
        english = debian.run("kinebackup", "--version")
        french = debian.run("kinebackup", "--version", LC_ALL="fr_FR.UTF-8")
    finally:
        os.rename(hidden, known)
    assert english.code == french.code == 1
    assert english.said.splitlines() == [
        f"kinebackup: error: this version of KineBackup does not know Python {python.removeprefix('python')} yet",
        "hint: install the current version of KineBackup; your backups and keys are untouched",
    ]
    assert french.said.startswith("kinebackup: erreur : cette version de KineBackup ne connaît pas encore Python")


@pytest.mark.root
@pytest.mark.slow
def test_another_python_is_compiled_for_when_dpkg_tells_of_it(debian: FreshDebian, package: Path) -> None:
    debian.install(package)
    compiled = debian.path("/opt/kinebackup/lib/shared/kinebackup/__pycache__")
    assert len(list(compiled.glob("*.pyc"))) > 5
    debian.must("rm", "-r", "/opt/kinebackup/lib/shared/kinebackup/__pycache__")
    debian.must("sh", "-c", "dpkg-trigger --by-package=python3-minimal /usr/bin/python3 && dpkg --triggers-only -a")
    assert len(list(compiled.glob("*.pyc"))) > 5


@pytest.mark.root
@pytest.mark.slow
def test_it_runs_on_the_next_debian_with_another_python(package: Path, next_debian: FreshDebian) -> None:
    debian = next_debian
    assert debian.must("python3", "--version").startswith("Python 3.13.")
    debian.install(package)
    played = json.loads(debian.must("kinebackup", "demo", "--json"))
    assert played["files_compared"] > 300
