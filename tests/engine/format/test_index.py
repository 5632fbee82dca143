"""The index: every blob is found, the table refuses what no writer makes, merging loses nothing.

Owns: tables by hand, look-ups against a dictionary. Does not know: files on a drive.
"""

import contextlib
import hashlib
import struct
from collections.abc import Sequence
from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from kinebackup.engine.format import index
from kinebackup.engine.format.constants import Codec, Kind
from kinebackup.engine.format.index import IndexTable
from kinebackup.engine.format.pack import Pack, Segment
from kinebackup.engine.repository.blob_index import Index
from kinebackup.errors import Damaged
from kinebackup.model import BlobId, FileName

A, B = FileName("aa" * 32), FileName("bb" * 32)
SALT = bytes(range(32))


def blob_id(number: int) -> BlobId:
    return BlobId(hashlib.sha256(number.to_bytes(8, "big")).digest()[:16])


def a_pack(name: FileName, ids: Sequence[BlobId]) -> Pack:
    """One segment of ten bytes for each blob."""
    size = 10 * max(len(ids), 1)
    blobs = b"".join(item + struct.pack("<III", 0, 10 * n, 10) for n, item in enumerate(ids))
    segment = Segment(0, 48, size + 16, size, Codec.RAW, Kind.DATA)
    return Pack(name, 48 + size + 16 + 100, SALT, (segment,), blobs)


def plain(
    *,
    packs: Sequence[tuple[bytes, bytes, int]] = ((b"\xaa" * 32, SALT, 1000),),
    segments: Sequence[tuple[int, ...]] = ((0, 0, 48, 116, 100, 0, 0, 0),),
    ids: Sequence[bytes] = (bytes(16),),
    places: Sequence[tuple[int, int, int]] = ((0, 0, 100),),
    counts: tuple[int, int, int, int] | None = None,
) -> bytes:
    """An index file's plaintext from its numbers."""
    return b"".join(
        [
            struct.pack("<IIII", *(counts or (len(packs), len(segments), len(ids), 0))),
            *(struct.pack("<32s32sQ", *item) for item in packs),
            *(struct.pack("<IIIIIBBH", *item) for item in segments),
            *ids,
            *(struct.pack("<III", *item) for item in places),
        ]
    )


def refused(data: bytes) -> None:
    with pytest.raises(Damaged):
        IndexTable(data)


# -- the table -----------------------------------------------------------------------------------------------------


def test_a_table_has_these_bytes() -> None:
    assert index.encode([a_pack(A, [BlobId(b"\x02" * 16), BlobId(b"\x01" * 16)])]).hex() == (
        "01000000010000000200000000000000"
        + "aa" * 32
        + SALT.hex()
        + "b800000000000000"
        + "0000000000000000300000002400000014000000"
        + "00000000"
        + "01" * 16
        + "02" * 16
        + "000000000a0000000a000000"
        + "00000000000000000a000000"
    )


def test_a_table_written_by_hand_is_read() -> None:
    table = IndexTable(plain())
    location = table.location(0)
    assert (location.pack, location.salt, location.offset, location.size) == ("aa" * 32, SALT, 0, 100)
    assert table.has(BlobId(bytes(16)))
    assert not table.has(BlobId(b"\1" * 16))


def test_an_empty_table_is_legal_and_knows_nothing() -> None:
    table = IndexTable(bytes(16))
    assert not table.has(BlobId(bytes(16)))
    assert list(table.entries()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(15),
        bytes(17),
        plain()[:-1],
        plain() + b"\0",
        plain(counts=(1, 1, 1, 1)),
        plain(counts=(1, 1, 2, 0)),
        plain(counts=(2, 1, 1, 0)),
        plain(counts=(2**32 - 1, 2**32 - 1, 2**32 - 1, 0)),
        plain(counts=(0, 0, 1_048_577, 0)),
        plain(segments=((1, 0, 48, 116, 100, 0, 0, 0),)),
        plain(segments=((0, 0, 47, 116, 100, 0, 0, 0),)),
        plain(segments=((0, 0, 885, 116, 100, 0, 0, 0),)),
        plain(segments=((0, 0, 2**32 - 1, 116, 100, 0, 0, 0),)),
        plain(segments=((0, 0, 48, 116, 100, 0, 0, 1),)),
        plain(segments=((0, 0, 48, 116, 100, 2, 0, 0),)),
        plain(segments=((0, 0, 48, 116, 100, 0, 3, 0),)),
        plain(segments=((0, 0, 48, 117, 100, 0, 0, 0),)),
        plain(segments=((0, 0, 48, 16, 100, 1, 0, 0),)),
        plain(segments=((0, 0, 48, 100, 2**24 + 1, 1, 0, 0),)),
        plain(segments=((0, 65_536, 48, 116, 100, 0, 0, 0),)),
        plain(segments=((0, 0, 877, 116, 100, 0, 0, 0),)),
        plain(packs=((b"\xaa" * 32, SALT, 80 * 2**20 + 1),)),
        plain(packs=((b"\xaa" * 32, SALT, 1000), (b"\xbb" * 32, SALT, 71))),
        plain(packs=((b"\xaa" * 32, SALT, 1000), (b"\xbb" * 32, SALT, 2**64 - 1))),
        plain(places=((1, 0, 100),)),
        plain(places=((2**32 - 1, 0, 100),)),
        plain(places=((0, 1, 100),)),
        plain(places=((0, 0, 101),)),
        plain(places=((0, 0, 0),)),
        plain(places=((0, 2**32 - 1, 2),)),
    ],
)
def test_an_impossible_table_is_refused_at_once(data: bytes) -> None:
    refused(data)


def test_the_bounds_of_a_table_are_still_within() -> None:
    IndexTable(plain(segments=((0, 65_535, 876, 116, 100, 0, 0, 0),)))
    IndexTable(plain(packs=((b"\xaa" * 32, SALT, 80 * 2**20), (b"\xbb" * 32, SALT, 72))))


@pytest.mark.parametrize("differing_byte", [0, 1, 2, 7, 8, 15])
def test_ids_out_of_order_are_refused_wherever_they_differ(differing_byte: int) -> None:
    low, high = bytearray(16), bytearray(16)
    high[differing_byte] = 1
    places = ((0, 0, 50), (0, 50, 50))
    assert IndexTable(plain(ids=(bytes(low), bytes(high)), places=places)).count == 2
    refused(plain(ids=(bytes(high), bytes(low)), places=places))


def test_a_blob_listed_twice_has_two_places() -> None:
    table = IndexTable(plain(ids=(bytes(16), bytes(16)), places=((0, 0, 50), (0, 50, 50))))
    assert [table.location(n).offset for n in table.places_of(BlobId(bytes(16)))] == [0, 50]


def test_an_id_that_straddles_two_others_is_not_found() -> None:
    first, second = bytes(8) + b"\1" * 8, b"\1" * 8 + bytes(8)
    table = IndexTable(plain(ids=(first, second), places=((0, 0, 50), (0, 50, 50))))
    straddling = BlobId(first[8:] + second[:8])
    assert not table.has(straddling)
    assert list(table.places_of(straddling)) == []
    assert table.has(BlobId(second))


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 255, 1000, 40_000])
def test_every_blob_is_found_and_no_other(count: int) -> None:
    ids = [blob_id(number) for number in range(count)]
    table = IndexTable(index.encode([a_pack(A, ids)]))
    assert all(table.has(item) for item in ids)
    assert not any(table.has(blob_id(number)) for number in range(count, count + 500))
    assert not table.has(BlobId(bytes(16)))
    assert not table.has(BlobId(b"\xff" * 16))
    for number, item in enumerate(ids[:50]):
        assert table.location(table.find(item)).offset == 10 * number


id_pools = some.lists(
    some.binary(min_size=16, max_size=16) | some.sampled_from([bytes(16), b"\xff" * 16, b"\0\xff" * 8, b"\xff\0" * 8]),
    max_size=60,
)


@given(id_pools, id_pools)
def test_look_ups_agree_with_a_dictionary(first: list[bytes], second: list[bytes]) -> None:
    first, second = list(dict.fromkeys(first)), list(dict.fromkeys(second))
    tables = [
        IndexTable(index.encode([a_pack(name, [BlobId(item) for item in ids])]))
        for name, ids in ((A, first), (B, second))
    ]
    found = Index(tables)
    for item in {*first, *second, bytes(16), b"\xff" * 16, b"\1" * 16}:
        expected = [(name, 10 * ids.index(item)) for name, ids in ((A, first), (B, second)) if item in ids]
        assert [(place.pack, place.offset) for place in found.locations(BlobId(item))] == expected
        assert found.has(BlobId(item)) == bool(expected)


@given(some.binary(max_size=200) | some.binary(max_size=250).map(lambda tail: plain()[:40] + tail))
def test_any_bytes_are_a_table_or_damaged(data: bytes) -> None:
    with contextlib.suppress(Damaged):
        table = IndexTable(data)
        for number in range(table.count):
            table.location(number)


@given(some.integers(0, len(plain()) - 1), some.integers(0, 255))
def test_any_changed_byte_leaves_a_sound_table_or_none(at: int, value: int) -> None:
    data = bytearray(plain())
    data[at] = value
    with contextlib.suppress(Damaged):
        table = IndexTable(bytes(data))
        table.location(0)
        table.pack_number(0)


# -- trust ---------------------------------------------------------------------------------------------------------


def test_a_pack_that_is_gone_cut_or_damaged_is_not_relied_on() -> None:
    ids = [blob_id(1)]
    sizes = {A: a_pack(A, ids).size}
    for present, damaged in (({}, set()), ({A: sizes[A] - 1}, set()), (sizes, {str(A)})):
        table = IndexTable(index.encode([a_pack(A, ids)]))
        table.rely_on(present, damaged)
        assert not table.has(ids[0])
        assert len(Index([table]).locations(ids[0])) == 1  # readers still try it
    table.rely_on(sizes, set())
    assert table.has(ids[0])


def test_a_sound_place_comes_before_a_doubtful_one() -> None:
    ids = [blob_id(1)]
    doubtful, sound = (IndexTable(index.encode([a_pack(name, ids)])) for name in (A, B))
    doubtful.rely_on({}, set())
    both = Index([doubtful, sound])
    assert [place.pack for place in both.locations(ids[0])] == [B, A]
    assert both.has(ids[0])


def test_a_blob_is_claimed_once() -> None:
    found = Index([IndexTable(index.encode([a_pack(A, [blob_id(1)])]))])
    assert [found.claim(blob_id(n)) for n in (1, 2, 2, 3)] == [False, True, False, True]
    assert found.has(blob_id(2))
    assert found.locations(blob_id(2)) == []


def test_a_claim_becomes_a_place_when_its_pack_is_listed() -> None:
    found = Index([])
    assert found.claim(blob_id(1))
    found.add(IndexTable(index.encode([a_pack(B, [blob_id(1)])])))
    assert not found.claim(blob_id(1))
    assert [place.pack for place in found.locations(blob_id(1))] == [B]
    assert found.packs() == {B: 174}


# -- merging -------------------------------------------------------------------------------------------------------


def merged(tables: Sequence[IndexTable], keep: set[FileName]) -> Index:
    return Index([IndexTable(data) for data in index.merge(tables, keep)])


def test_merging_drops_what_is_not_kept() -> None:
    tables = [IndexTable(index.encode([a_pack(A, [blob_id(1), blob_id(2)]), a_pack(B, [blob_id(2), blob_id(3)])]))]
    left = merged(tables, {B})
    assert left.packs() == {B: 184}
    assert not left.has(blob_id(1))
    assert [place.pack for place in left.locations(blob_id(2))] == [B]


def test_merging_nothing_makes_no_file() -> None:
    assert index.merge([], set()) == []
    assert index.merge([IndexTable(index.encode([a_pack(A, [blob_id(1)])]))], set()) == []


def test_a_pack_listed_by_several_tables_is_listed_once() -> None:
    table = IndexTable(index.encode([a_pack(A, [blob_id(1)])]))
    (data,) = index.merge([table, table], {A})
    assert IndexTable(data).count == 1


names = some.integers(0, 255).map(lambda n: FileName(f"{n:02x}" * 32))


@settings(max_examples=50)
@given(some.lists(some.dictionaries(names, id_pools, max_size=3), max_size=4), some.sets(names))
def test_merging_keeps_every_place_of_the_packs_kept(
    files: list[dict[FileName, list[bytes]]], dropped: set[FileName]
) -> None:
    contents: dict[FileName, list[bytes]] = {}
    tables = []
    for file in files:
        own = {name: list(dict.fromkeys(contents.setdefault(name, ids))) for name, ids in file.items()}
        tables.append(IndexTable(index.encode([a_pack(name, [BlobId(i) for i in ids]) for name, ids in own.items()])))
    keep = contents.keys() - dropped
    left = merged(tables, keep)
    assert left.packs().keys() == keep
    for item in {i for ids in contents.values() for i in ids}:
        expected = sorted(name for name in keep if item in contents[name])
        assert sorted(place.pack for place in left.locations(BlobId(item))) == expected


# -- against the packs' own tables -------------------------------------------------------------------------------------


def test_a_table_that_says_of_its_packs_what_they_say_themselves_misplaces_nothing() -> None:
    first, second = a_pack(A, [blob_id(n) for n in range(40)]), a_pack(B, [blob_id(n) for n in range(30, 90)])
    table = IndexTable(index.encode([first, second]))
    assert table.misplaced(0, first) == frozenset()
    assert table.misplaced(1, second) == frozenset()


@pytest.mark.parametrize("change", [{"offset": 49}, {"sealed_size": 57}, {"plain_size": 41}, {"kind": Kind.TREE}])
def test_every_blob_of_a_segment_that_lies_elsewhere_by_the_table_is_misplaced(change: dict[str, int]) -> None:
    ids = [blob_id(n) for n in range(4)]
    pack = a_pack(A, ids)
    table = IndexTable(index.encode([a_pack(B, [blob_id(9)]), pack]))
    real = msgspec.structs.replace(pack.segments[0], **change)
    assert table.misplaced(1, replace(pack, segments=(real,))) == frozenset(ids)
    assert table.misplaced(1, replace(pack, segments=())) == frozenset(ids)


def test_a_blob_that_only_the_table_or_only_the_pack_has_is_misplaced() -> None:
    ids = [blob_id(n) for n in range(4)]
    table = IndexTable(index.encode([a_pack(A, ids)]))
    pack = a_pack(A, ids)
    assert table.misplaced(0, replace(pack, blobs=pack.blobs[28:])) == {ids[0]}
    more = pack.blobs + blob_id(9) + struct.pack("<III", 0, 0, 10)
    assert table.misplaced(0, replace(pack, blobs=more)) == {blob_id(9)}
    elsewhere = pack.blobs[:-12] + struct.pack("<III", 0, 29, 10)
    assert table.misplaced(0, replace(pack, blobs=elsewhere)) == {ids[3]}


def test_all_of_a_pack_is_misplaced_whose_salt_or_size_is_another() -> None:
    ids = [blob_id(n) for n in range(4)]
    table, pack = IndexTable(index.encode([a_pack(A, ids)])), a_pack(A, ids)
    assert table.misplaced(0, replace(pack, salt=bytes(32))) == frozenset(ids)
    assert table.misplaced(0, replace(pack, size=pack.size + 1)) == frozenset(ids)
