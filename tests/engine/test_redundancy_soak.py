"""A drive's long life, in any order: what the model counts on comes back after whatever was done before.

Owns: how much of it each run of the tests tries. Does not know: the deeds and the model (support/engine/soak.py).
"""

from pathlib import Path

import pytest
from support.engine.drives import in_memory
from support.engine.soak import soak


@pytest.mark.parametrize("seed", range(3))
def test_whatever_befalls_a_drive_what_it_can_lose_is_not_lost(seed: int, tmp_path: Path) -> None:
    with in_memory(tmp_path) as folder:
        soak(folder, seed, deeds=20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1030))
def test_the_same_of_many_drives_that_live_longer(seed: int, tmp_path: Path) -> None:
    with in_memory(tmp_path) as folder:
        soak(folder, seed, deeds=50)
