"""A USB stick: an image file, and reading back on the computer of the tests what KineBackup wrote to it.

Owns: the image, and opening a copy of it as a stranger would: with the passphrase and recover.py. Does not know: how it
came to what it holds.
"""

import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.project import RECOVER
from support.vm.practice_files import PASSPHRASE

_SECTOR: Final = 512


@dataclass(frozen=True, slots=True)
class Stick:
    """``serial`` is what its chip says; a copy on another stick has another one."""

    serial: str
    image: Path

    @classmethod
    def blank(cls, place: Path, serial: str, *, mib: int = 512) -> "Stick":
        """As bought, but for its size: not even a partition table."""
        stick = cls(serial, place / f"{serial}.img")
        with open(stick.image, "wb") as file:
            file.truncate(mib * 1024 * 1024)
        return stick

    def copy(self, place: Path, *, serial: str | None = None) -> "Stick":
        """Sector by sector."""
        other = Stick(serial or self.serial, place / f"{serial or self.serial}.img")
        subprocess.run(["cp", "--sparse=always", "--", str(self.image), str(other.image)], check=True)
        return other

    def sha256(self) -> str:
        """Of every byte, to see that nobody wrote to it."""
        with open(self.image, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()

    @contextmanager
    def opened(self) -> Iterator[Path]:
        """A copy of its first partition, mounted: after a power cut its journal is replayed, which writes."""
        with tempfile.TemporaryDirectory(prefix="stick-") as place, self.copy(Path(place)).in_hand() as where:
            yield where

    @contextmanager
    def in_hand(self) -> Iterator[Path]:
        """Its first partition itself, mounted: what is changed there is changed on the stick."""
        begin, size = self.first_partition()
        with tempfile.TemporaryDirectory(prefix="mounted-") as where:
            options = f"loop,offset={begin},sizelimit={size},nosuid,nodev"
            subprocess.run(["mount", "-o", options, str(self.image), where], check=True)
            try:
                yield Path(where)
            finally:
                subprocess.run(["umount", where], check=True)

    def backups(self) -> list[dict[str, str]]:
        """What each backup brings back, oldest first: the SHA-256 of every file by its path.

        The database is left out: its contents are saved, not the bytes of its file.
        """
        restored = self.restored()
        return [
            {path: digest for path, digest in files.items() if not path.endswith(".sqlite")}
            for files in restored.values()
        ]

    def sectors_of(self, pattern: str) -> tuple[int, ...]:
        """For each file of that pattern below KINEBACKUP one sector in its middle, counted from the stick's first."""
        begin, _size = self.first_partition()
        with self.in_hand() as drive:
            files = sorted((drive / "KINEBACKUP").glob(pattern))
            return tuple(begin // _SECTOR + _sector_in_the_middle(file) for file in files)

    def first_partition(self) -> tuple[int, int]:
        """Where it begins and how long it is, in bytes; the whole stick where it has none."""
        done = subprocess.run(["sfdisk", "--json", str(self.image)], capture_output=True, text=True, check=False)
        if done.returncode:
            return 0, self.image.stat().st_size
        first = json.loads(done.stdout)["partitiontable"]["partitions"][0]
        return first["start"] * _SECTOR, first["size"] * _SECTOR

    def snapshots(self) -> list[str]:
        """The ids of its backups, oldest first."""
        with self.opened() as drive:
            return _listed(drive)

    def restored(self, *snapshots: str) -> dict[str, dict[str, str]]:
        """For each of these backups (all, if none is named) the SHA-256 of every file by its path, from recover.py."""
        with self.opened() as drive:
            wanted = list(snapshots) or _listed(drive)
            return {snapshot: _restore(drive, snapshot) for snapshot in wanted}

    def bytes_of(self, folder: str) -> int:
        """What all files of a folder below KINEBACKUP hold together."""
        with self.opened() as drive:
            return sum(file.stat().st_size for file in (drive / "KINEBACKUP" / folder).rglob("*") if file.is_file())

    def left_in_tmp(self) -> list[str]:
        """Files of a run that was broken off."""
        with self.opened() as drive:
            return os.listdir(drive / "KINEBACKUP/tmp")


def _listed(drive: Path) -> list[str]:
    return [line.split()[0] for line in _recover(drive, "--list").splitlines() if line.strip()]


def _restore(drive: Path, snapshot: str) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="restored-") as temporary:
        target = Path(temporary) / "all"
        _recover(drive, "--snapshot", snapshot, "--to", str(target))
        return sha256_of_files(target)


def sha256_of_files(folder: Path) -> dict[str, str]:
    """By absolute path as it was on the practice's computer."""
    found = {}
    for directory, _folders, names in os.walk(folder):
        for name in names:
            path = Path(directory) / name
            if path.is_file() and not path.is_symlink():
                found[f"/{path.relative_to(folder)}"] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _recover(drive: Path, *arguments: str) -> str:
    with tempfile.NamedTemporaryFile("w", prefix="passphrase-") as file:
        file.write(PASSPHRASE + "\n")
        file.flush()
        command = [sys.executable, str(RECOVER), str(drive), "--passphrase-file", file.name, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(f"recover.py ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def _sector_in_the_middle(file: Path) -> int:
    """Of a file of a filesystem that is mounted, counted from the beginning of the filesystem."""
    said = subprocess.run(["filefrag", "-v", "-b512", str(file)], check=True, capture_output=True, text=True).stdout
    pieces = re.findall(r"^ *\d+: +(\d+)\.\. +\d+: +(\d+)\.\. +\d+: +(\d+):", said, re.MULTILINE)
    middle = file.stat().st_size // _SECTOR // 2
    return next(
        int(physical) + middle - int(logical)
        for logical, physical, length in pieces
        if int(logical) <= middle < int(logical) + int(length)
    )
