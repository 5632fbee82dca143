"""The tools that are compared: which commands make each of them do the same work.

Owns: command lines and settings. Does not know: how they are measured. Each tool runs with its default settings,
encrypted where it can be; its caches, keys and state lie in a folder of this run. borg compresses with zstd,3, which is
the level of the others too.
"""

import compileall
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.measure import Command

_PASSPHRASE = "benchmark-passphrase-of-an-invented-practice"
_PROJECT = Path(__file__).resolve().parent.parent
_WALK = """
import os, sys
pending, files = [sys.argv[1]], 0
while pending:
    with os.scandir(pending.pop()) as entries:
        for entry in entries:
            entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                pending.append(entry.path)
            else:
                files += 1
print(files)
"""


@dataclass(frozen=True, slots=True)
class Bench:
    """The folders of one tool in one run: what is saved, the drive, and the tool's own state."""

    source: Path
    target: Path
    private: Path

    @property
    def passphrase_file(self) -> Path:
        return self.private / "passphrase"


class Tool(Protocol):
    """One tool. A command of None means that it has no such thing."""

    name: str

    def version(self) -> str | None:
        """The version, or None where it is not installed."""

    def prepare(self, bench: Bench, /) -> tuple[Command, ...]:
        """What comes before the first backup and is not measured; may write configuration into ``bench.private``."""

    def backup(self, bench: Bench, name: str, /) -> Command | None: ...

    def backup_again(self, bench: Bench, name: str, /) -> Command | None: ...

    def restore(self, bench: Bench, name: str, destination: Path, /) -> Command | None: ...

    def restored(self, bench: Bench, destination: Path, /) -> Path:
        """Where the copy of ``bench.source`` is after a restore."""

    def check(self, bench: Bench, /) -> Command | None: ...

    def ballast(self, bench: Bench, /) -> Path | None:
        """A file of the target that holds no data and does not count as size."""

    def redundancy(self, bench: Bench, /) -> Path | None:
        """A folder of the target that holds nothing but what heals the rest."""


class Kinebackup:
    """KineBackup through its command line, on a simulated drive."""

    name = "kinebackup"

    def __init__(self, checkout: Path = _PROJECT) -> None:
        """``checkout``: of the program; it runs with the libraries of this one."""
        self._executable = os.fspath(Path(sys.executable).with_name("kinebackup"))
        self._checkout = checkout

    def version(self) -> str | None:
        # The command exists before all of its verbs do.
        return _version(self._executable, "--version") if _version(self._executable, "backup", "--help") else None

    def prepare(self, bench: Bench) -> tuple[Command, ...]:
        # As the package does on installation. PYTHONDONTWRITEBYTECODE would have each run compile it anew.
        compileall.compile_dir(self._checkout / "kinebackup", quiet=2)
        bench.passphrase_file.write_text(_PASSPHRASE + "\n")
        paths = "".join(
            f"{name} = {json.dumps(os.fspath(bench.private / name))}\n" for name in ("state", "cache", "runtime")
        )
        source = json.dumps(os.fspath(bench.source))
        self._config(bench).write_text(
            f'[practice]\nname = "Benchmark"\nlanguage = "en"\n\n[paths]\n{paths}\n[[sources]]\npath = {source}\n'
        )
        code_file = os.fspath(bench.private / "code")
        return (
            self.call(
                bench, "init", "--passphrase-file", os.fspath(bench.passphrase_file), "--recovery-code-file", code_file
            ),
            self.call(
                bench, "drive", "enroll", "--folder", os.fspath(bench.target), "--label", "bench", "--place", "cabinet"
            ),
        )

    def backup(self, bench: Bench, _name: str) -> Command:
        return self.call(bench, "--json", "backup", "--drive", "bench")

    def backup_again(self, bench: Bench, name: str) -> Command:
        return self.backup(bench, name)

    def restore(self, bench: Bench, _name: str, destination: Path) -> Command:
        return self.call(bench, "--json", "restore", "latest", "--drive", "bench", "--to", os.fspath(destination))

    def restored(self, bench: Bench, destination: Path) -> Path:
        return _below(destination, bench.source)

    def check(self, bench: Bench) -> Command:
        return self.call(bench, "--json", "verify", "--drive", "bench", "--full")

    def ballast(self, bench: Bench) -> Path:
        return bench.target / "KINEBACKUP" / "reserve"

    def redundancy(self, bench: Bench) -> Path:
        return bench.target / "KINEBACKUP" / "parity"

    def call(self, bench: Bench, *arguments: str) -> Command:
        """Any command, with the configuration of this run."""
        where = (("PYTHONPATH", os.fspath(self._checkout)),)
        return Command((self._executable, "--config", os.fspath(self._config(bench)), *arguments), where)

    def _config(self, bench: Bench) -> Path:
        return bench.private / "config.toml"


class OtherKinebackup(Kinebackup):
    """Another checkout of KineBackup, such as that of an earlier commit: what a change costs."""

    name = "other checkout"


class KinebackupWithoutReadBack(Kinebackup):
    """KineBackup doing what the peers do: what was written is not read back from the drive. Not its default."""

    name = "no-read-back"

    def prepare(self, bench: Bench) -> tuple[Command, ...]:
        commands = super().prepare(bench)
        with self._config(bench).open("a") as config:
            config.write("\n[backup]\nread_back = false\n")
        return commands


class Restic:
    """restic with its defaults: repository version 2, zstd compression "auto"."""

    name = "restic"

    def __init__(self, executable: str | None) -> None:
        self._executable = executable or "restic"

    def version(self) -> str | None:
        return _version(self._executable, "version")

    def prepare(self, bench: Bench) -> tuple[Command, ...]:
        bench.passphrase_file.write_text(_PASSPHRASE + "\n")
        return (self._call(bench, "init"),)

    def backup(self, bench: Bench, _name: str) -> Command:
        return self._call(bench, "backup", os.fspath(bench.source))

    def backup_again(self, bench: Bench, name: str) -> Command:
        return self.backup(bench, name)

    def restore(self, bench: Bench, _name: str, destination: Path) -> Command:
        return self._call(bench, "restore", "latest", "--target", os.fspath(destination))

    def restored(self, bench: Bench, destination: Path) -> Path:
        return _below(destination, bench.source)

    def check(self, bench: Bench) -> Command:
        return self._call(bench, "check", "--read-data")

    def ballast(self, _bench: Bench) -> None:
        return None

    def redundancy(self, _bench: Bench) -> None:
        return None

    def _call(self, bench: Bench, *arguments: str) -> Command:
        environment = (
            ("RESTIC_REPOSITORY", os.fspath(bench.target)),
            ("RESTIC_PASSWORD_FILE", os.fspath(bench.passphrase_file)),
            ("RESTIC_CACHE_DIR", os.fspath(bench.private / "cache")),
        )
        return Command((self._executable, "--quiet", *arguments), environment)


class Borg:
    """borg 1.x: repokey-blake2, zstd,3."""

    name = "borg"

    def __init__(self, executable: str | None) -> None:
        self._executable = executable or "borg"

    def version(self) -> str | None:
        return _version(self._executable, "--version")

    def prepare(self, bench: Bench) -> tuple[Command, ...]:
        return (self._call(bench, "init", "--encryption", "repokey-blake2"),)

    def backup(self, bench: Bench, name: str) -> Command:
        return self._call(bench, "create", "--compression", "zstd,3", f"::{name}", os.fspath(bench.source))

    def backup_again(self, bench: Bench, name: str) -> Command:
        return self.backup(bench, name)

    def restore(self, bench: Bench, name: str, destination: Path) -> Command:
        return self._call(bench, "extract", f"::{name}", directory=destination)

    def restored(self, bench: Bench, destination: Path) -> Path:
        return _below(destination, bench.source)

    def check(self, bench: Bench) -> Command:
        return self._call(bench, "check", "--verify-data")

    def ballast(self, _bench: Bench) -> None:
        return None

    def redundancy(self, _bench: Bench) -> None:
        return None

    def _call(self, bench: Bench, *arguments: str, directory: Path | None = None) -> Command:
        environment = (
            ("BORG_REPO", os.fspath(bench.target)),
            ("BORG_PASSPHRASE", _PASSPHRASE),
            ("BORG_BASE_DIR", os.fspath(bench.private)),
        )
        return Command((self._executable, *arguments), environment, directory)


class Copy:
    """``cp -a``: neither encrypted, compressed, deduplicated nor checked; the floor of what copying costs."""

    name = "cp -a"

    def version(self) -> str | None:
        return _version("cp", "--version")

    def prepare(self, _bench: Bench) -> tuple[Command, ...]:
        return ()

    def backup(self, bench: Bench, _name: str) -> Command:
        return Command(("cp", "-a", os.fspath(bench.source), os.fspath(bench.target / "copy")))

    def backup_again(self, _bench: Bench, _name: str) -> None:
        return None

    def restore(self, bench: Bench, _name: str, destination: Path) -> Command:
        return Command(("cp", "-a", os.fspath(bench.target / "copy"), os.fspath(destination / "copy")))

    def restored(self, _bench: Bench, destination: Path) -> Path:
        return destination / "copy"

    def check(self, _bench: Bench) -> None:
        return None

    def ballast(self, _bench: Bench) -> None:
        return None

    def redundancy(self, _bench: Bench) -> None:
        return None


class Walk:
    """A bare Python walk with ``os.scandir`` and ``stat``: the floor of what looking for changes costs in Python."""

    name = "walk"

    def version(self) -> str | None:
        return f"Python {sys.version.split()[0]}"

    def prepare(self, _bench: Bench) -> tuple[Command, ...]:
        return ()

    def backup(self, _bench: Bench, _name: str) -> None:
        return None

    def backup_again(self, bench: Bench, _name: str) -> Command:
        return Command((sys.executable, "-I", "-S", "-c", _WALK, os.fspath(bench.source)))

    def restore(self, _bench: Bench, _name: str, _destination: Path) -> None:
        return None

    def restored(self, _bench: Bench, destination: Path) -> Path:
        return destination

    def check(self, _bench: Bench) -> None:
        return None

    def ballast(self, _bench: Bench) -> None:
        return None

    def redundancy(self, _bench: Bench) -> None:
        return None


def all_tools(peers: Path | None = None, other: Path | None = None) -> tuple[Tool, ...]:
    """Every tool, in the order in which they take turns.

    ``peers`` is a folder to look in before PATH, ``other`` another checkout of KineBackup.
    """
    path = os.pathsep.join([*([os.fspath(peers)] if peers else []), os.environ.get("PATH", os.defpath)])
    return (
        Kinebackup(),
        *([OtherKinebackup(other)] if other else []),
        KinebackupWithoutReadBack(),
        Restic(shutil.which("restic", path=path)),
        Borg(shutil.which("borg", path=path)),
        Copy(),
        Walk(),
    )


def _below(destination: Path, source: Path) -> Path:
    return destination / source.relative_to("/")


def _version(*argv: str) -> str | None:
    """First line of what a command says, or None if it cannot be run."""
    try:
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.partition("\n")[0].strip()
