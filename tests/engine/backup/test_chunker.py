"""Where files are cut: every byte in exactly one piece, and what an edit costs.

Owns: cut points of databases and other files. Does not know: packs.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from support.engine.drives import noise

from kinebackup.engine.backup.chunker import (
    MAX_BYTES,
    MIN_BYTES,
    WINDOW_BYTES,
    ContentDefined,
    Cutter,
    Cutting,
    Pages,
    cutting_for,
)
from kinebackup.engine.source import SQLITE_MAGIC

SEED = bytes(range(32))
MIB = 2**20


def pieces(data: bytes, cutting: Cutting, window: int = WINDOW_BYTES) -> list[bytes]:
    """All pieces, read through a window as the engine does."""
    cutter = Cutter(cutting)
    found: list[bytes] = []
    rest = b""
    at = 0
    while at < len(data) or rest:
        buffer = rest + data[at : at + window - len(rest)]
        at += len(buffer) - len(rest)
        end = 0
        for start, end in cutter.cut(memoryview(buffer), last=at >= len(data)):
            found.append(buffer[start:end])
        rest = buffer[end:]
    return found


@pytest.mark.parametrize(
    ("name", "head", "size", "page"),
    [
        ("base.sqlite", SQLITE_MAGIC, 10**6, True),
        ("sans-extension", SQLITE_MAGIC, 10**6, True),
        ("PATIENTS.FDB", b"", 10**6, True),
        ("disque.vdi", b"<<< Oracle VM VirtualBox", 10**6, True),
        ("cabinet.accdb", b"\x00\x01\x00\x00Standard ACE DB", 10**6, True),
        ("lettre.odt", b"PK\x03\x04", 10**6, False),
        ("fdb", b"", 10**6, False),
        ("vide", b"", 0, False),
        ("faux.sqlite", b"SQLite format 3", 10**6, False),
    ],
)
def test_databases_and_disk_images_are_cut_in_pages(name: str, head: bytes, size: int, *, page: bool) -> None:
    assert isinstance(cutting_for(name, head, size, SEED), Pages) == page


def test_larger_databases_get_larger_pages() -> None:
    sizes = [cutting_for("a.fdb", b"", size, SEED) for size in (0, 2**31, 2**31 + 1, 2**40, 2**62)]
    pages = [cutting.size_bytes for cutting in sizes if isinstance(cutting, Pages)]
    assert len(pages) == 5
    assert pages == sorted(pages)
    assert pages[0] < pages[-1]


def test_an_empty_buffer_has_no_piece() -> None:
    for cutting in (Pages(4096), ContentDefined(1)):
        assert list(Cutter(cutting).cut(memoryview(b""), last=True)) == []


def test_pages_are_cut_at_their_size_and_the_last_one_is_shorter() -> None:
    assert [len(piece) for piece in pieces(bytes(10_000), Pages(4096))] == [4096, 4096, 1808]
    assert [len(piece) for piece in pieces(bytes(8192), Pages(4096))] == [4096, 4096]


def test_content_of_one_value_is_cut_at_the_largest_size() -> None:
    assert {len(piece) for piece in pieces(bytes(3 * MAX_BYTES), ContentDefined(1))} == {MAX_BYTES}


def test_pieces_stay_within_their_bounds() -> None:
    data = noise("bounds", 12 * MIB)
    found = pieces(data, ContentDefined(7))
    assert b"".join(found) == data
    assert all(MIN_BYTES <= len(piece) <= MAX_BYTES for piece in found[:-1])


def test_the_window_does_not_move_the_cuts() -> None:
    data = noise("window", 20 * MIB)
    assert pieces(data, ContentDefined(7), WINDOW_BYTES) == pieces(data, ContentDefined(7), len(data))


def test_another_seed_cuts_elsewhere() -> None:
    data = noise("seed", 8 * MIB)
    one, other = ([len(piece) for piece in pieces(data, ContentDefined(seed))] for seed in (1, 2))
    assert one != other


def test_an_insertion_changes_few_pieces() -> None:
    data = noise("insertion", 16 * MIB)
    before = set(pieces(data, ContentDefined(7)))
    after = pieces(data[: 5 * MIB] + b"inserted" + data[5 * MIB :], ContentDefined(7))
    assert len([piece for piece in after if piece not in before]) <= 2


@settings(max_examples=40)
@given(some.binary(max_size=3000), some.integers(1, 600), some.integers(600, 2000))
def test_any_content_in_pages_comes_back_whole(data: bytes, page: int, window: int) -> None:
    assert b"".join(pieces(data, Pages(page), window)) == data
