"""Which files a restore test brings back.

Owns: the choice, in one pass and in little memory. Does not know: trees, paths, contents, or where the seed comes from.

A sample drawn evenly from 30,000 letters would hardly ever meet today's work or the practice's one large database,
and those are what people come back for. So a part of the sample is reserved: the largest file that fits, some of the
newest, some small ones (many small files share a pack, so they fail in their own way). The rest is drawn evenly, so
that over the months every file has its turn.
"""

import heapq
import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Final

SMALL_BYTES: Final = 16_384


@dataclass(frozen=True, slots=True)
class FileFacts:
    """One regular file of the snapshot; ``index`` is the caller's name for it."""

    index: int
    size_bytes: int
    mtime_ns: int


def choose(candidates: Iterable[FileFacts], *, count: int, seed: int, max_bytes: int) -> list[int]:
    """The indexes of at most ``count`` files of together at most ``max_bytes``, ascending.

    Never empty where there is a candidate: if even the smallest is larger than ``max_bytes``, it is chosen alone. The
    same candidates in the same order, with the same seed, give the same choice. Reads ``candidates`` once and holds
    about ``2 × count`` of them. Raises ``ValueError`` for a count below one.
    """
    if count < 1:
        raise ValueError("a sample of no file proves nothing")
    shares = _Shares(count, random.Random(seed))  # noqa: S311  must be repeatable, need not be secret
    smallest: FileFacts | None = None
    for each in candidates:
        if smallest is None or each.size_bytes < smallest.size_bytes:
            smallest = each
        if each.size_bytes <= max_bytes:
            shares.offer(each)
    chosen: set[int] = set()
    left_bytes = max_bytes
    for each in shares.by_urgency():
        if len(chosen) == count:
            break
        if each.index not in chosen and each.size_bytes <= left_bytes:
            chosen.add(each.index)
            left_bytes -= each.size_bytes
    if not chosen and smallest is not None:
        chosen.add(smallest.index)
    return sorted(chosen)


class _Shares:
    """The parts of a sample while candidates stream past."""

    def __init__(self, count: int, rng: random.Random) -> None:
        self._largest: FileFacts | None = None
        self._newest_wanted = max(1, count // 4)
        self._newest: list[tuple[int, int, FileFacts]] = []
        self._small = _Reservoir(max(1, count // 8), rng)
        # Some of the evenly drawn ones are in another share too, and some will not fit: hence a whole count of them.
        self._even = _Reservoir(count, rng)

    def offer(self, each: FileFacts) -> None:
        if self._largest is None or each.size_bytes > self._largest.size_bytes:
            self._largest = each
        if each.size_bytes <= SMALL_BYTES:
            self._small.offer(each)
        self._even.offer(each)
        if len(self._newest) < self._newest_wanted:
            heapq.heappush(self._newest, (each.mtime_ns, each.index, each))
        elif each.mtime_ns > self._newest[0][0]:
            heapq.heapreplace(self._newest, (each.mtime_ns, each.index, each))

    def by_urgency(self) -> Iterator[FileFacts]:
        """First come the ones that a small budget must still pay for. May repeat a file.

        With a count of one there is no room for shares: an even draw, or the same large file would be tested for ever.
        """
        if self._even.wanted == 1:
            return iter(self._even.drawn())
        small = self._small.drawn()
        largest = [] if self._largest is None else [self._largest]
        newest = [each for _mtime, _index, each in sorted(self._newest, reverse=True)]
        # The first small and the first newest before the largest: it may take all that is left.
        return chain(newest[:1], small[:1], largest, newest[1:], small[1:], self._even.drawn())


class _Reservoir:
    """An even draw of ``wanted`` from a stream of unknown length (Vitter 1985, algorithm R)."""

    def __init__(self, wanted: int, rng: random.Random) -> None:
        self.wanted = wanted
        self._held: list[FileFacts] = []
        self._seen = 0
        self._rng = rng

    def offer(self, each: FileFacts) -> None:
        self._seen += 1
        if len(self._held) < self.wanted:
            self._held.append(each)
            return
        # random() × n is not perfectly even for n near 2**53; for files it is, and costs a quarter of randrange().
        place = int(self._rng.random() * self._seen)
        if place < self.wanted:
            self._held[place] = each

    def drawn(self) -> list[FileFacts]:
        """What was drawn, shuffled: an early file can only lie at its own place, so a prefix would favour some."""
        return self._rng.sample(self._held, len(self._held))
