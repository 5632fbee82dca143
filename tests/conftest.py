"""What every test may ask for.

Owns: a folder that certainly is no memory. Does not know: why a test needs one.
"""

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_MEMORY = ("tmpfs", "ramfs")


@pytest.fixture
def disk_path(tmp_path: Path) -> Iterator[Path]:
    """A private folder on a disk: /tmp may be memory, which KineBackup refuses, and which keeps no time of a change
    through a memory map."""
    if not _in_memory(tmp_path):
        yield tmp_path
        return
    places = [place for place in (Path("/var/tmp"), Path(__file__).parent) if not _in_memory(place)]
    if not places:
        pytest.skip("this computer has no disk")
    folder = Path(tempfile.mkdtemp(prefix="kinebackup-tests-", dir=places[0]))
    yield folder
    shutil.rmtree(folder)


def _in_memory(path: Path) -> bool:
    asked = ["stat", "--file-system", "--format=%T", str(path)]
    return subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip() in _MEMORY
