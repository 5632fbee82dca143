"""What random bad sectors cost a drive, by counting: which of them a file and its parity can lose together.

Owns: how sectors lie in files (FORMAT.md §12), and the share of runs with a loss. Does not know: a real drive.
"""

import random
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from kinebackup.engine.format.parity import BLOCK_BYTES, HEAD_BYTES, blocks_of, columns_of, size_of

MIB: Final = 2**20


@dataclass(frozen=True, slots=True)
class Protected:
    """A file of so many bytes, and its parity file, each beginning at a sector of its own (4 KiB)."""

    size: int
    columns: int

    @property
    def blocks(self) -> int:
        return blocks_of(self.size)

    @property
    def sectors(self) -> int:
        """Of both; those of the file come first."""
        return self.blocks + blocks_of(size_of(self.size, self.columns))

    def is_hit(self, bad: Iterable[int]) -> bool:
        """Whether the file itself is damaged: without parity it is lost, in part at least."""
        return any(sector < self.blocks for sector in bad)

    def is_lost(self, bad: Iterable[int]) -> bool:
        """Whether parity cannot heal it."""
        sectors = set(bad)
        hit = Counter(sector % self.columns for sector in sectors if sector < self.blocks)
        if not hit:
            return False
        table = HEAD_BYTES + 4 * (self.blocks + self.columns + 1)
        gone: set[int] = set()
        for sector in sectors:
            at = (sector - self.blocks) * BLOCK_BYTES
            if 0 <= at < table:
                return True
            if at >= table:
                gone.update(((at - table) // BLOCK_BYTES, (at + BLOCK_BYTES - 1 - table) // BLOCK_BYTES))
        return max(hit.values()) > 1 or not gone.isdisjoint(hit)


@dataclass(frozen=True, slots=True)
class Shares:
    """Of all runs, those in which anything is lost; and how many files lose something, on average."""

    without: float
    with_parity: float
    files_without: float
    files_with_parity: float


class Drive:
    """Its files, one after the other."""

    def __init__(self, files: Sequence[Protected]) -> None:
        self.files = files
        self._begins = list(accumulate((each.sectors for each in files), initial=0))

    @property
    def sectors(self) -> int:
        return self._begins[-1]

    def draw(self, dice: random.Random, count: int) -> dict[int, set[int]]:
        """So many bad sectors, none twice: by the number of the file, where in it and its parity."""
        found: dict[int, set[int]] = defaultdict(set)
        for sector in dice.sample(range(self.sectors), count):
            number = bisect_right(self._begins, sector) - 1
            found[number].add(sector - self._begins[number])
        return found

    def shares(self, count: int, *, runs: int, seed: int) -> Shares:
        """Over so many runs with so many bad sectors each."""
        dice = random.Random(f"{seed} {count}")
        lost_without = lost_with = files_without = files_with = 0
        for _ in range(runs):
            drawn = self.draw(dice, count)
            without = sum(self.files[number].is_hit(bad) for number, bad in drawn.items())
            healed = sum(len(bad) > 1 and self.files[number].is_lost(bad) for number, bad in drawn.items())
            lost_without += without > 0
            lost_with += healed > 0
            files_without += without
            files_with += healed
        return Shares(lost_without / runs, lost_with / runs, files_without / runs, files_with / runs)


def drive_of_100_gb() -> Drive:
    """6,400 packs of 16 MiB, of which 64 hold trees and lists; index files, snapshots and removal records of a year."""
    size = 16 * MIB
    data = Protected(size, columns_of(size, is_copy=False))
    trees = Protected(size, columns_of(size, is_copy=True))
    small = [Protected(each, columns_of(each, is_copy=True)) for each in (*[64 * 2**10] * 50, *[1000] * 100)]
    return Drive([*[data] * 6336, *[trees] * 64, *small])
