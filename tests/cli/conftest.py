"""Computers and practices for the tests of the program.

Owns: the fixtures. Does not know: what is expected.
"""

import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.cli.computer import Computer, make_computer


@pytest.fixture
def computer(tmp_path: Path) -> Computer:
    """A computer on which nothing was initialised."""
    return make_computer(tmp_path / "pc")


@pytest.fixture(scope="session")
def practice_made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state directory and a recovery code, made by the program itself, to be copied."""
    computer = make_computer(tmp_path_factory.mktemp("practice") / "pc")
    done = computer.run(
        "init", "--passphrase-file", computer.passphrase_file, "--recovery-code-file", computer.code_file
    )
    assert done.code == 0, done.err
    return computer.home


@pytest.fixture
def practice(computer: Computer, practice_made_once: Path) -> Computer:
    """A computer on which ``init`` has been run."""
    shutil.copytree(practice_made_once / "state", computer.state)
    shutil.copy(practice_made_once / "code.txt", computer.code_file)
    return computer


@pytest.fixture
def another_computer(tmp_path: Path) -> Computer:
    """A second computer, on which nothing was initialised."""
    return make_computer(tmp_path / "other-pc")


@pytest.fixture
def lock_holder() -> Iterator[Callable[[Path], None]]:
    """Holds the writer lock of a drive, as another process of this computer would, until the test ends."""
    holders: list[subprocess.Popen[str]] = []

    def hold(drive: Path) -> None:
        program = (
            "import fcntl, json, os, sys, time\n"
            "fd = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)\n"
            "fcntl.flock(fd, fcntl.LOCK_EX)\n"
            "text = json.dumps(dict(host='cabinet-pc', pid=4242, boot='b', since='2030-01-01', work='backup'))\n"
            "os.pwrite(fd, text.encode(), 0)\n"
            "print('held', flush=True)\n"
            "time.sleep(600)\n"
        )
        holder = subprocess.Popen(
            [sys.executable, "-c", program, str(drive / "KINEBACKUP" / "lock")], stdout=subprocess.PIPE, text=True
        )
        holders.append(holder)
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"

    yield hold
    for holder in holders:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
