"""What most tests of the engine begin with: an enrolled drive, and a folder to be saved.

Owns: these, where they are empty or usual. Does not know: what a module puts in their place for itself.
"""

from pathlib import Path

import pytest
from support.engine.drives import Drive, enroll, make_patients


@pytest.fixture
def drive(tmp_path: Path) -> Drive:
    """Nothing is on it yet."""
    return enroll(tmp_path / "drive")


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    """An empty folder."""
    folder = tmp_path / "docs"
    folder.mkdir()
    return folder


@pytest.fixture
def patients(tmp_path: Path) -> Path:
    """One of everything that a backup must bring back."""
    return make_patients(tmp_path / "home" / "Patients")
