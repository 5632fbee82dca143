"""What a command loads before it begins: a start is most of a short command's time.

Owns: the parts that are costly and seldom needed. How long a start takes is for the benchmarks.
"""

import pytest
from support.cli.computer import Computer


def loaded_by(computer: Computer, *arguments: str) -> set[str]:
    """The modules that a command had imported when it ended."""
    done = computer.run(*arguments, env=computer.environment(PYTHONPROFILEIMPORTTIME="1"))
    assert done.code == 0, done.err
    lines = (line for line in done.err.splitlines() if line.startswith("import time:"))
    return {line.rpartition("|")[2].strip() for line in lines}


@pytest.mark.parametrize(
    "arguments",
    [
        ("backup",),
        ("verify", "--full"),
        ("restore-test", "--no-daemon"),
        ("restore", "latest", "--to"),
        ("prune",),
    ],
    ids=lambda arguments: arguments[0],
)
def test_work_on_folders_of_ones_own_loads_no_event_loop_and_nothing_that_mounts_drives(
    practice: Computer, arguments: tuple[str, ...]
) -> None:
    practice.enroll("A")
    assert practice.run("backup").code == 0
    destination = (str(practice.home / "restored"),) if arguments[-1] == "--to" else ()
    loaded = loaded_by(practice, *arguments, *destination)
    assert "kinebackup.cli.main" in loaded
    # A backup has what waits in memory written before it looks, a restore has what it wrote on the disk: syncfs.
    needed = {"ctypes"} if arguments[0] in ("backup", "restore") else set()
    assert loaded & {"asyncio", "ctypes", "kinebackup.drives.mounting"} == needed


def test_the_help_loads_no_key_and_no_engine(computer: Computer) -> None:
    loaded = loaded_by(computer, "--help")
    assert not {name for name in loaded if name.startswith(("kinebackup.engine", "cryptography"))}
