"""Runs a tool's command under measurement, and lists what it left on the drive.

Owns: processes, sync, and the sizes of a target. Does not know: which tool it is, or what a good figure would be.
"""

import ctypes
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

_LAUNCHER = Path(__file__).with_name("launch.py")


@dataclass(frozen=True, slots=True)
class Command:
    """What to run; ``environment`` is added to the benchmark's own."""

    argv: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    directory: Path | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: ``wall_s`` includes the sync of the target that follows, ``sync_s`` is that part of it.

    ``redundancy_bytes`` is the part of ``size_bytes`` that only heals the rest.
    """

    wall_s: float
    sync_s: float = 0.0
    cpu_s: float = 0.0
    peak_bytes: int = 0
    written_bytes: int = 0
    size_bytes: int = 0
    redundancy_bytes: int = 0


class ToolFailed(Exception):
    """A command of a tool did not succeed; the message has the end of what it said."""


@dataclass(frozen=True, slots=True)
class TargetListing:
    """The files of a target: for each path, what tells whether it was written again, and its size."""

    files: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def size_bytes(self) -> int:
        return sum(size for _, _, size in self.files.values())

    def bytes_below(self, folder: Path) -> int:
        return sum(size for path, (_, _, size) in self.files.items() if path.startswith(f"{folder}/"))

    def written_since(self, earlier: "TargetListing") -> int:
        """Bytes of the files that are new, or were written again, since ``earlier``."""
        return sum(known[2] for path, known in self.files.items() if earlier.files.get(path) != known)


def list_target(target: Path, without: Path | None = None) -> TargetListing:
    """Every file below ``target``; ``without`` is left out (ballast, which holds no data)."""
    files: dict[str, tuple[int, int, int]] = {}
    pending = [os.fspath(target)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                elif without is None or entry.path != os.fspath(without):
                    seen = entry.stat(follow_symlinks=False)
                    files[entry.path] = (seen.st_ino, seen.st_mtime_ns, seen.st_size)
    return TargetListing(files)


def sync(directory: Path) -> float:
    """Write what is pending of the filesystem of ``directory``; return the seconds it took."""
    libc = ctypes.CDLL(None, use_errno=True)
    fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        started = time.perf_counter()
        if libc.syncfs(fd) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), os.fspath(directory))
        return time.perf_counter() - started
    finally:
        os.close(fd)


def run(command: Command, log: Path) -> None:
    """Run a command that is not measured; raises ``ToolFailed``."""
    with log.open("wb") as out:
        try:
            done = subprocess.run(
                command.argv,
                env=os.environ | dict(command.environment),
                cwd=command.directory,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                check=False,
            )
        except FileNotFoundError as error:
            raise ToolFailed(f"{command.argv[0]}: not found") from error
    if done.returncode != 0:
        raise ToolFailed(_failure(command, done.returncode, log))


def measure(command: Command, log: Path, synced: Path | None = None) -> Sample:
    """Run ``command``, then sync the filesystem of ``synced``; raises ``ToolFailed``."""
    read_fd, write_fd = os.pipe()
    with log.open("wb") as out, open(read_fd, "rb") as report:
        launcher = (sys.executable, "-I", "-S", os.fspath(_LAUNCHER), str(write_fd))
        done = subprocess.Popen(
            launcher + command.argv,
            env=os.environ | dict(command.environment),
            cwd=command.directory,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            pass_fds=(write_fd,),
        )
        try:
            os.close(write_fd)
            text = report.read()
            done.wait()
        finally:
            if done.poll() is None:
                done.terminate()
                done.wait()
    if not text:
        raise ToolFailed(_failure(command, done.returncode, log))
    measured = json.loads(text)
    if measured["exit_code"] != 0:
        raise ToolFailed(_failure(command, measured["exit_code"], log))
    sync_s = sync(synced) if synced is not None else 0.0
    return Sample(
        wall_s=measured["wall_s"] + sync_s,
        sync_s=sync_s,
        cpu_s=measured["cpu_s"],
        peak_bytes=measured["peak_bytes"],
    )


def _failure(command: Command, exit_code: int, log: Path) -> str:
    said = log.read_text(errors="replace").strip().splitlines()[-8:]
    return "\n  ".join([f"exit code {exit_code}: {' '.join(command.argv)}", *said])
