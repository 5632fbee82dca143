"""The figures of how many bad sectors a drive survives: the counting agrees with the decoder, and with a real drive.

Owns: both comparisons. Does not know: the figures themselves (benchmarks/damage.py prints them).
"""

import hashlib
from itertools import combinations
from math import sqrt
from pathlib import Path

import pytest
from support.engine.drives import in_memory, noise

from benchmarks.damage import RealDrive
from benchmarks.damage_model import Drive, Protected, drive_of_100_gb
from kinebackup.engine.format.parity import BLOCK_BYTES, decode, encode
from kinebackup.errors import Damaged


def zeroed(data: bytes, sectors: list[int]) -> bytes:
    found = bytearray(data)
    for sector in sectors:
        end = min(len(data), (sector + 1) * BLOCK_BYTES)
        found[sector * BLOCK_BYTES : end] = bytes(end - sector * BLOCK_BYTES)
    return bytes(found)


def heals(data: bytes, parity: bytes, bad: tuple[int, ...], blocks: int) -> bool:
    damaged = zeroed(data, [sector for sector in bad if sector < blocks])
    if damaged == data:
        return True
    try:
        table = decode(zeroed(parity, [sector - blocks for sector in bad if sector >= blocks]))
    except Damaged:
        return False
    name = hashlib.sha256(data).hexdigest()
    return table.heal(name, lambda at, size: damaged[at : at + size]) is not None


@pytest.mark.parametrize("is_copy", [True, False])
def test_the_counting_agrees_with_the_decoder_for_every_pair_of_sectors(*, is_copy: bool) -> None:
    data = noise("file", 33 * BLOCK_BYTES + 4090)  # nearly whole: zeros where there are zeros are no damage
    parity = encode(data, is_copy=is_copy)
    file = Protected(len(data), decode(parity).columns)
    for bad in combinations(range(file.sectors), 2):
        assert file.is_lost(bad) != heals(data, parity, bad, file.blocks), bad


def test_a_hundred_bad_sectors_of_a_drive_of_100_gb_are_survived_nearly_always() -> None:
    shares = drive_of_100_gb().shares(100, runs=300, seed=1)
    assert (shares.without, shares.with_parity < 0.05) == (1.0, True)


def test_without_a_second_bad_sector_nothing_is_lost() -> None:
    shares = Drive([Protected(10 * 2**20, 257)] * 3).shares(1, runs=500, seed=1)
    assert (shares.with_parity, 0.8 < shares.without < 1) == (0.0, True)


@pytest.mark.parametrize(("count", "runs"), [(3, 5), (12, 10), pytest.param(12, 60, marks=pytest.mark.slow)])
def test_a_real_drive_loses_as_often_as_was_counted_and_never_what_counts_as_healed(
    count: int, runs: int, tmp_path: Path
) -> None:
    with in_memory(tmp_path) as folder:
        drive = RealDrive(folder, seed=4)
        tried = drive.try_out(count, runs=runs, seed=4)
        assert tried.worse == 0
        assert tried.without == runs
        assert tried.counted - tried.with_parity <= 1 + runs // 10  # not every byte of a drive is read by a restore
        share = drive.model.shares(count, runs=2000, seed=4).with_parity
        assert abs(tried.counted / runs - share) <= 6 * sqrt(share * (1 - share) / runs) + 1 / runs
