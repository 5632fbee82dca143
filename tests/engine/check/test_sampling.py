"""The choice of a restore test: never empty, within its budget, repeatable, and fair."""

from collections import Counter
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kinebackup.engine.check.sampling import FileFacts, choose

LETTER_BYTES = 100_000


def letters(count: int) -> list[FileFacts]:
    """Files of one size, older with a higher index."""
    return [FileFacts(index, LETTER_BYTES, mtime_ns=10**18 - index) for index in range(count)]


# --- nothing, too little, too much ----------------------------------------------------------------------------------


def test_nothing_is_chosen_from_nothing() -> None:
    assert choose([], count=5, seed=1, max_bytes=1000) == []


def test_asking_for_no_file_is_a_defect_of_the_caller() -> None:
    with pytest.raises(ValueError, match="proves nothing"):
        choose(letters(3), count=0, seed=1, max_bytes=1000)


def test_fewer_files_than_asked_for_are_all_chosen() -> None:
    assert choose(letters(3), count=10, seed=1, max_bytes=10**9) == [0, 1, 2]


def test_one_file_larger_than_the_budget_is_tested_all_the_same() -> None:
    candidates = [FileFacts(0, 9_000, 1), FileFacts(1, 7_000, 1), FileFacts(2, 8_000, 1)]
    assert choose(candidates, count=5, seed=1, max_bytes=100) == [1]


def test_empty_files_count_as_files() -> None:
    assert choose([FileFacts(7, 0, 1)], count=5, seed=1, max_bytes=0) == [7]


def test_files_of_the_same_size_and_time_do_not_confuse_it() -> None:
    twins = [FileFacts(index, 10, 5) for index in range(50)]
    assert len(choose(twins, count=20, seed=1, max_bytes=10**6)) == 20


def test_times_before_1970_are_only_old() -> None:
    candidates = [FileFacts(index, 10, mtime_ns=-(10**18) - index) for index in range(100)]
    assert 0 in choose(candidates, count=4, seed=1, max_bytes=10**6)


# --- the shares -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_the_newest_files_are_always_among_them(seed: int) -> None:
    assert {0, 1, 2, 3, 4} <= set(choose(letters(10_000), count=20, seed=seed, max_bytes=10**9))


@pytest.mark.parametrize("seed", range(5))
def test_the_largest_file_that_fits_is_always_among_them(seed: int) -> None:
    candidates = letters(10_000)
    candidates[6_000] = FileFacts(6_000, 500_000_000, 1)
    candidates[7_000] = FileFacts(7_000, 2_000_000_000, 1)
    assert 6_000 in choose(candidates, count=20, seed=seed, max_bytes=1_000_000_000)


@pytest.mark.parametrize("seed", range(5))
def test_some_small_files_are_among_them_even_where_they_are_rare(seed: int) -> None:
    candidates = letters(10_000)
    for index in (5_000, 6_000, 7_000):
        candidates[index] = FileFacts(index, 200, 1)
    chosen = choose(candidates, count=16, seed=seed, max_bytes=10**9)
    assert len({5_000, 6_000, 7_000} & set(chosen)) >= 2


def test_a_largest_file_that_takes_the_whole_budget_leaves_room_for_the_newest_and_a_small_one() -> None:
    candidates = [FileFacts(0, 1_000_000 - 300, 1), FileFacts(1, 100, 9), FileFacts(2, 200, 2), FileFacts(3, 50_000, 3)]
    assert choose(candidates, count=10, seed=1, max_bytes=1_000_000)[0:2] == [0, 1]


def test_a_sample_of_one_is_not_always_the_same_file() -> None:
    assert len({choose(letters(100), count=1, seed=seed, max_bytes=10**9)[0] for seed in range(20)}) > 10


def test_the_evenly_drawn_part_reaches_every_region_alike() -> None:
    hits = Counter(
        index // 100
        for seed in range(400)
        for index in choose(letters(1_000), count=20, seed=seed, max_bytes=10**9)
        if index >= 100  # beyond the newest, which are drawn always
    )
    # About 400 × 14 draws over nine regions, 620 each; 5 standard deviations are about 120.
    assert sorted(hits) == [1, 2, 3, 4, 5, 6, 7, 8, 9]
    assert max(hits.values()) - min(hits.values()) < 120


def test_the_first_candidates_are_not_favoured_nor_forgotten() -> None:
    oldest_first = [FileFacts(index, LETTER_BYTES, mtime_ns=index) for index in range(100)]
    hits = Counter(index for seed in range(400) for index in choose(oldest_first, count=12, seed=seed, max_bytes=10**9))
    # 8 of each 12 are drawn evenly from 96 files (not the newest three, nor file 0, the first of the largest): about 33
    # for each; 5 standard deviations are 28.
    assert all(5 < hits[index] < 61 for index in range(1, 20))


# --- repeatable and lean --------------------------------------------------------------------------------------------


def test_a_seed_repeats_its_choice() -> None:
    assert choose(letters(1_000), count=8, seed=42, max_bytes=10**9) == choose(
        letters(1_000), count=8, seed=42, max_bytes=10**9
    )


def test_another_seed_chooses_otherwise() -> None:
    first = choose(letters(1_000), count=8, seed=1, max_bytes=10**9)
    second = choose(letters(1_000), count=8, seed=2, max_bytes=10**9)
    assert first != second


def test_candidates_are_read_once_and_not_held() -> None:
    alive: list[int] = []

    def stream() -> Iterator[FileFacts]:
        for index in range(20_000):
            alive.append(index)
            yield FileFacts(index, 1_000, index)

    assert len(choose(stream(), count=10, seed=3, max_bytes=10**9)) == 10
    assert len(alive) == 20_000


FILES = st.lists(st.tuples(st.integers(0, 10_000), st.integers(-(10**18), 10**18)), max_size=80)


@given(FILES, st.integers(1, 30), st.integers(), st.integers(0, 50_000))
def test_any_choice_keeps_its_promises(files: list[tuple[int, int]], count: int, seed: int, max_bytes: int) -> None:
    candidates = [FileFacts(index, size, mtime) for index, (size, mtime) in enumerate(files)]
    chosen = choose(iter(candidates), count=count, seed=seed, max_bytes=max_bytes)
    assert chosen == sorted(set(chosen))
    assert len(chosen) <= count
    assert bool(chosen) == bool(candidates)
    total_bytes = sum(candidates[index].size_bytes for index in chosen)
    smallest_alone = [each.size_bytes for each in candidates if len(chosen) == 1]
    assert total_bytes <= max_bytes or total_bytes == min(smallest_alone)


@given(FILES, st.integers(1, 30), st.integers())
def test_a_budget_that_is_never_reached_fills_the_count(files: list[tuple[int, int]], count: int, seed: int) -> None:
    candidates = [FileFacts(index, size, mtime) for index, (size, mtime) in enumerate(files)]
    assert len(choose(candidates, count=count, seed=seed, max_bytes=10**9)) == min(count, len(candidates))
