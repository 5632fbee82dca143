"""The real ``kinebackup`` program, run in a private corner: its own configuration, state, home and drives.

Owns: running it, and what it printed. Does not know: what is expected.

The passphrase takes Argon2 a second at its real cost, which no option lowers: tests that need no fresh practice copy
one that was made once.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from support.measuring import measuring

PASSPHRASE = "exemple de phrase pour les essais"
PROGRAM = Path(sys.executable).with_name("kinebackup")


@dataclass(frozen=True, slots=True)
class Ran:
    """What one command left: ``code`` is negative where a signal ended it."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one JSON document on standard output."""
        document = json.loads(self.out)
        assert self.out.count("\n") == 1, "exactly one document"
        return document


@dataclass(frozen=True, slots=True)
class Computer:
    """A computer with a practice on it, all below ``home``."""

    home: Path

    @property
    def config(self) -> Path:
        return self.home / "config.toml"

    @property
    def state(self) -> Path:
        return self.home / "state"

    @property
    def patients(self) -> Path:
        return self.home / "Patients"

    @property
    def passphrase_file(self) -> Path:
        return self.home / "phrase.txt"

    @property
    def code_file(self) -> Path:
        return self.home / "code.txt"

    def drive(self, label: str) -> Path:
        """Where the simulated drive of that label is."""
        return self.home / "drives" / label

    def environment(self, **changes: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "LANG": "en_GB.UTF-8",
            "KINEBACKUP_CONFIG": str(self.config),
            "PYTHONWARNINGS": "default::ResourceWarning",
            **measuring(),
        } | changes

    def run(self, *arguments: str | Path, stdin: str | None = None, env: dict[str, str] | None = None) -> Ran:
        """Run the program to its end. Without ``stdin`` there is nobody to answer."""
        done = subprocess.run(
            [PROGRAM, *map(str, arguments)],
            input=stdin,
            stdin=subprocess.DEVNULL if stdin is None else None,
            capture_output=True,
            text=True,
            errors="surrogateescape",
            env=env or self.environment(),
            cwd=self.home,
            timeout=120,
            check=False,
        )
        assert "ResourceWarning" not in done.stderr, done.stderr  # something was left open
        return Ran(done.returncode, done.stdout, done.stderr)

    def start(self, *arguments: str | Path) -> "subprocess.Popen[str]":
        """Begin a run; the caller ends it."""
        return subprocess.Popen(
            [PROGRAM, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment(),
            cwd=self.home,
        )

    def configure(self, *lines: str, language: str = "en", sources: tuple[Path, ...] | None = None) -> None:
        """Write the configuration: these lines first, then the usual tables."""
        folders = (self.patients,) if sources is None else sources
        text = [*lines, "[practice]", f'language = "{language}"']
        text += ["[paths]", *(f'{name} = "{self.home / name}"' for name in ("state", "cache", "runtime"))]
        for folder in folders:
            text += ["[[sources]]", f'path = "{folder}"']
        self.config.write_text("\n".join(text) + "\n", encoding="utf-8")

    def enroll(self, label: str, place: str = "cabinet") -> Path:
        """A simulated drive; returns its folder."""
        done = self.run("drive", "enroll", "--folder", self.drive(label), "--label", label, "--place", place)
        assert done.code == 0, done.err
        return self.drive(label)

    def back_up(self, label: str, *options: str, keeps_parity: bool = False) -> Any:
        """A backup that must succeed; returns its JSON document.

        Its parity is lost at once, unless it is to be kept, so that damage is damage: what is tried without it is what
        is beyond the reach of parity.
        """
        done = self.run("backup", "--drive", label, "--json", *options)
        assert done.code == 0, done.out + done.err
        if not keeps_parity:
            self.lose_parity(label)
        return done.json

    def lose_parity(self, label: str) -> None:
        """Nothing heals the files of that drive any more."""
        for path in Path(self.drive(label)).glob("KINEBACKUP/parity/*/*.xor"):
            path.unlink()


def make_computer(home: Path) -> Computer:
    """A computer with a configuration and a few patient folders; nothing is initialised."""
    home.mkdir(parents=True)
    computer = Computer(home)
    computer.configure()
    for name in ("Dupont", "Durand", "Martin"):
        folder = computer.patients / name
        folder.mkdir(parents=True)
        (folder / "bilan.txt").write_text(f"Bilan de {name}\n" * 50, encoding="utf-8")
        (folder / "radio.jpg").write_bytes(name.encode() * 30_000)
    computer.passphrase_file.write_text(PASSPHRASE + "\nthe second line is no part of it\n", encoding="utf-8")
    return computer
