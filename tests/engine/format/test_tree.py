"""Directories and snapshots as records: what comes back, and what a reader refuses.

Owns: one refusal for each rule of FORMAT.md §8 and §9. Does not know: how entries are gathered or restored.
"""

import base64
import contextlib
import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from kinebackup.engine.format import compression, snapshot, tree
from kinebackup.engine.format.constants import SNAPSHOT
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys
from kinebackup.engine.format.seal import seal_single
from kinebackup.engine.format.snapshot import Counts, SavedProblem, Snapshot
from kinebackup.engine.format.tree import Copied, Entry
from kinebackup.errors import Damaged

KEYS = RepositoryKeys.derive(MasterKey(bytes(32)), bytes(16))
SALT = bytes(32)
WITNESS = {"name": "témoin", "type": "file", "mode": 420, "mtime": 1, "ctime": 2}


def decoded(*entries: object) -> tuple[list[str], int]:
    """The names accepted of a directory of these entries, and how many were refused."""
    found, rejected = tree.decode(json.dumps({"entries": entries}).encode())
    return [entry.path_name for entry in found], rejected


def refuses(**changes: object) -> bool:
    """Whether that entry alone is refused and its neighbours are kept."""
    entry = {key: value for key, value in (WITNESS | {"name": "x"} | changes).items() if value is not ...}
    names, rejected = decoded(WITNESS, entry, WITNESS)
    assert names[0] == names[-1] == "témoin"
    return (len(names), rejected) == (2, 1)


# -- names ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", ".", "..", "/", "a/b", "/etc", "../up", "a\0b", "\0"])
def test_a_name_that_leads_elsewhere_is_refused(name: str) -> None:
    raw = base64.b64encode(name.encode()).decode()
    assert refuses(name=name)
    assert refuses(name=..., rawname=raw)


@pytest.mark.parametrize("raw", ["", "=", "a", "!!!!", "YQ", "YWJj\n", "é"])
def test_a_raw_name_that_is_not_base64_is_refused(raw: str) -> None:
    assert refuses(name=..., rawname=raw)


def test_an_entry_without_any_name_is_refused() -> None:
    assert refuses(name=...)


@pytest.mark.parametrize("name", ["...", " ", "\n", "-rf", "é" * 100, "a\\b", "💉", "\u202egpj.exe", "\ufeff"])
def test_odd_but_legal_names_are_kept(name: str) -> None:
    assert decoded(WITNESS | {"name": name}) == ([name], 0)


def test_a_name_in_latin_1_is_kept_as_bytes() -> None:
    name, rawname = tree.encode_text("lettre-\udce9.doc")
    assert (name, rawname) == ("", "bGV0dHJlLekuZG9j")
    entry = Entry(rawname=rawname, type="file", mode=0o644, mtime=0, ctime=0)
    assert entry.path_name == "lettre-\udce9.doc"


@pytest.mark.parametrize("member", ["name", "rawname", "target", "link", "later"])
def test_a_lone_surrogate_refuses_its_entry_alone(member: str) -> None:
    assert refuses(**{member: "\udce9"})


def test_an_entry_with_both_forms_of_a_name_is_refused() -> None:
    assert refuses(name="a", rawname="YQ==")


def test_of_two_entries_with_one_name_the_first_stays() -> None:
    first, second, third = (
        Entry(name=name, type="file", mode=mode, mtime=0, ctime=0) for name, mode in (("b", 1), ("b", 2), ("a", 3))
    )
    raw = Entry(rawname="YQ==", type="file", mode=4, mtime=0, ctime=0)
    assert tree.first_of_each_name([first, second, third, raw]) == [first, third]
    assert tree.first_of_each_name([first, third]) == [first, third]
    assert tree.first_of_each_name([]) == []


# -- fields --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["socket", "FILE", "", None, 1, "whiteout"])
def test_an_unknown_type_is_refused(kind: object) -> None:
    assert refuses(type=kind)


@pytest.mark.parametrize("member", ["type", "mode", "mtime"])
def test_a_missing_member_is_refused(member: str) -> None:
    assert refuses(**{member: ...})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("mode", -1),
        ("mode", 0o10000),
        ("mode", "644"),
        ("mode", 6.5),
        ("uid", -1),
        ("uid", 2**32 - 1),
        ("gid", 2**64),
        ("mtime", 2**63),
        ("mtime", -(2**63) - 1),
        ("mtime", 10**300),
        ("mtime", None),
        ("size", -1),
        ("size", 2**63),
        ("blobs", "00"),
        ("blobs", [1]),
        ("extents", [[0]]),
        ("extents", [[0, 1, 2]]),
        ("extents", [[-1, 5]]),
        ("xattrs", ["user.a"]),
        ("xattrs", {"user.a": 1}),
        ("flags", "immutable"),
        ("carried", -1),
    ],
)
def test_an_impossible_value_is_refused(member: str, value: object) -> None:
    assert refuses(**{member: value})


OF_OTHERS: list[tuple[str, str, object]] = [
    ("char", "device", [1]),
    ("block", "device", [1, 2**32]),
    ("char", "device", [-1, 2]),
    ("symlink", "target", ""),
    ("symlink", "target", "a\0b"),
    ("symlink", "rawtarget", "a"),
    ("symlink", "rawtarget", "####"),
    ("dir", "tree", {}),
]


@pytest.mark.parametrize(("kind", "member", "value"), OF_OTHERS)
def test_an_impossible_value_matters_where_the_type_of_the_entry_needs_it(
    kind: str, member: str, value: object
) -> None:
    assert refuses(type=kind, **{member: value})
    assert not refuses(**{member: value})


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("inode", -1),
        ("ctime", 1.5),
        ("ctime", 2**63),
        ("copied", {"by": 1, "size": 1}),
        ("copied", {"by": "sqlite"}),
        ("uncertain", 1),
        ("link", 5),
    ],
)
def test_an_impossible_value_that_only_a_writer_needs_loses_nothing_but_itself(member: str, value: object) -> None:
    assert not refuses(**{member: value})
    plain = json.dumps({"entries": [WITNESS | {member: value}]}).encode()
    (entry,), refused = tree.decode(plain)
    assert refused == 0
    assert getattr(entry, member) == getattr(Entry(name="x", type="file", mode=0, mtime=0), member)


def test_times_before_1970_and_after_2262_are_kept() -> None:
    for moment in (-(2**63), -1, 0, 2**63 - 1):
        assert decoded(WITNESS | {"mtime": moment}) == (["témoin"], 0)


def test_members_of_a_later_program_are_ignored() -> None:
    assert decoded(WITNESS | {"birth": 1, "traits": {"colour": [True]}}) == (["témoin"], 0)


@pytest.mark.parametrize(
    "plain",
    [b"", b"{}", b"[]", b"null", b'{"entries":{}}', b'{"entries":null}', b'{"entries":[]}x', b'{"entries":[', b"\xff"],
)
def test_what_is_no_tree_at_all_is_damaged(plain: bytes) -> None:
    with pytest.raises(Damaged):
        tree.decode(plain)


# Deeper than any stack: Python 3.14 counts no levels, it goes on for as long as its thread's stack has room.
_DEPTH = 1_000_000


@pytest.mark.parametrize("where", ['{"entries":[],"x":%s}', '{"entries":[{"name":%s}]}', "%s"])
def test_deep_nesting_is_damaged_and_not_a_crash(where: str) -> None:
    with pytest.raises(Damaged):
        tree.decode((where % ("[" * _DEPTH + "]" * _DEPTH)).encode())


def test_an_empty_directory_has_no_blob() -> None:
    assert tree.encode([]) == []
    assert tree.decode(b'{"entries":[]}') == ([], 0)


def test_a_directory_of_25000_files_is_many_blobs_in_order_of_at_most_256_kib() -> None:
    entries = [Entry(name=f"{n:05}", type="file", mode=0o600, mtime=0, ctime=0) for n in range(25_000)]
    blobs = tree.encode(entries)
    assert 5 <= len(blobs) <= 16
    assert all(len(blob) <= 262_144 for blob in blobs)
    assert [entry for blob in blobs for entry in tree.decode(blob)[0]] == entries


def test_one_name_more_in_a_large_directory_leaves_most_of_its_blobs_as_they_were() -> None:
    entries = [Entry(name=f"{n:05}", type="file", mode=0o600, mtime=0, ctime=0) for n in range(25_000)]
    before = set(tree.encode(entries))
    after = set(tree.encode([entries[0], Entry(name="00000b", type="dir", mode=0, mtime=0, ctime=0), *entries[1:]]))
    assert len(after - before) <= 2


@given(some.lists(some.sampled_from([0, 8, 1000, 90_000, 131_000, 262_000, 300_000]), max_size=6))
@settings(max_examples=40, deadline=None)
def test_a_tree_blob_is_longer_than_256_kib_only_where_it_has_a_single_entry(sizes: list[int]) -> None:
    entries = [
        Entry(name=f"{n}", type="file", mode=0, mtime=0, ctime=0, xattrs={"user.a": "A" * size})
        for n, size in enumerate(sizes)
    ]
    blobs = tree.encode(entries)
    found = [tree.decode(blob)[0] for blob in blobs]
    assert [entry for blob in found for entry in blob] == entries
    assert all(len(blob) <= 262_144 or len(held) == 1 for blob, held in zip(blobs, found, strict=True))


def test_an_entry_is_written_in_these_bytes() -> None:
    entry = Entry(name="a", type="file", mode=0o644, mtime=-1, ctime=2, size=3, blobs=["00" * 16])
    assert tree.encode([entry]) == [
        b'{"entries":[{"name":"a","type":"file","mode":420,"mtime":-1,"ctime":2,"size":3,'
        b'"blobs":["00000000000000000000000000000000"]}]}'
    ]


# -- ids and extents -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["", "00" * 15, "00" * 17, "zz" * 16, "0" * 31, "é" * 16])
def test_an_impossible_id_is_damaged(text: str) -> None:
    with pytest.raises(Damaged):
        tree.blob_id(text)


@pytest.mark.parametrize("size", [1, 15, 17, 47])
def test_a_list_of_broken_length_is_damaged(size: int) -> None:
    with pytest.raises(Damaged):
        tree.decode_ids(bytes(size))


@given(some.lists(some.binary(min_size=16, max_size=16)))
def test_lists_of_ids_come_back(ids: list[bytes]) -> None:
    texts = [item.hex() for item in ids]
    assert tree.decode_ids(bytes.fromhex("".join(texts))) == texts


@pytest.mark.parametrize("size", [1, 8, 15, 17])
def test_a_list_of_extents_of_broken_length_is_damaged(size: int) -> None:
    with pytest.raises(Damaged):
        tree.decode_extents(bytes(size))


@given(some.lists(some.tuples(some.integers(0, 2**64 - 1), some.integers(0, 2**64 - 1))))
def test_lists_of_extents_come_back(extents: list[tuple[int, int]]) -> None:
    assert tree.decode_extents(tree.encode_extents(extents)) == extents


def test_an_extent_in_a_list_is_two_numbers_of_64_bits() -> None:
    assert tree.encode_extents([(4096, 1), (2**40, 255)]).hex() == (
        "001000000000000001000000000000000000000000010000ff00000000000000"
    )


def sparse(size: int, extents: list[tuple[int, int]] | None) -> list[tuple[int, int]]:
    return list(tree.data_extents(size, extents))


def test_without_extents_the_whole_file_is_content() -> None:
    assert sparse(10, None) == [(0, 10)]
    assert sparse(0, None) == []
    assert sparse(10, []) == []
    assert sparse(10, [(2, 3), (5, 5)]) == [(2, 3), (5, 5)]
    assert sparse(10, [(0, 0), (2, 3), (5, 0), (5, 5), (10, 0)]) == [(2, 3), (5, 5)]


@pytest.mark.parametrize(
    "extents",
    [
        [(0, 11)],
        [(10, 1)],
        [(5, 2), (0, 2)],
        [(0, 3), (2, 3)],
        [(3, -1)],
        [(11, 0)],
        [(5, 2), (4, 0)],
        [(2**62, 2**62)],
    ],
)
def test_impossible_extents_are_damaged(extents: list[tuple[int, int]]) -> None:
    with pytest.raises(Damaged):
        sparse(10, extents)


# -- any entries ---------------------------------------------------------------------------------------------------

names = some.binary(min_size=1, max_size=12).filter(
    lambda raw: b"/" not in raw and b"\0" not in raw and raw not in (b".", b"..")
)
hexes = some.binary(min_size=16, max_size=16).map(bytes.hex)
times = some.integers(-(2**63), 2**63 - 1)


@some.composite
def entries(draw: some.DrawFn) -> Entry:
    name, rawname = tree.encode_text(draw(names).decode("utf-8", "surrogateescape"))
    return Entry(
        name=name,
        rawname=rawname,
        type=draw(some.sampled_from(["file", "dir", "symlink", "fifo", "char", "block"])),
        mode=draw(some.integers(0, 0o7777)),
        uid=draw(some.integers(0, 2**32 - 2)),
        gid=draw(some.integers(0, 2**32 - 2)),
        mtime=draw(times),
        ctime=draw(times),
        inode=draw(some.integers(0, 2**64 - 1)),
        size=draw(some.integers(0, 2**63 - 1)),
        blobs=draw(some.lists(hexes, max_size=3)),
        lists=draw(some.lists(hexes, max_size=2)),
        extent_lists=draw(some.lists(hexes, max_size=2)),
        extents=draw(some.none() | some.lists(some.tuples(some.integers(0, 2**50), some.integers(0, 9)), max_size=2)),
        tree=draw(some.lists(hexes, max_size=2)),
        target=draw(some.sampled_from(["", "/etc", "é"])),
        device=draw(some.none() | some.tuples(some.integers(0, 4095), some.integers(0, 2**20))),
        link=draw(some.text("0123456789abcdef:", max_size=6)),
        xattrs=draw(some.none() | some.dictionaries(some.just("user.é"), some.just("AA=="), max_size=1)),
        uncertain=draw(some.booleans()),
        copied=draw(some.none() | some.just(Copied(by="sqlite", size=1, wal_size=2, wal_mtime=3))),
    )


@given(some.lists(entries(), max_size=5))
def test_any_entries_come_back(given_entries: list[Entry]) -> None:
    blobs = tree.encode(given_entries)
    assert [entry for blob in blobs for entry in tree.decode(blob)[0]] == given_entries


json_values = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(max_size=9),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
members = some.sampled_from(list(Entry.__struct_fields__))


@given(some.binary(max_size=80) | json_values.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_tree_or_damaged(plain: bytes) -> None:
    with contextlib.suppress(Damaged):
        tree.decode(plain)


@given(some.dictionaries(members, json_values, max_size=4))
def test_any_members_leave_the_neighbours_alone(changes: dict[str, object]) -> None:
    found, rejected = tree.decode(json.dumps({"entries": [WITNESS, WITNESS | changes]}).encode())
    assert found[0].name == "témoin"
    assert len(found) + rejected == 2
    for entry in found:
        assert entry.path_name not in ("", ".", "..")
        assert entry.path_target is not None


# -- snapshots -----------------------------------------------------------------------------------------------------

PLAIN = {
    "sequence": 1,
    "time": "2030-01-01T17:30:00.000001Z",
    "host": "cabinet-pc",
    "machine": "00" * 16,
    "sources": ["/home/marie/Patients"],
    "root": ["00" * 16],
    "counts": {"files": 1, "dirs": 2, "others": 3, "bytes": 4},
}


def unsealed(value: object) -> Snapshot:
    return snapshot.unseal(seal_single(KEYS, SNAPSHOT, SALT, compression.compress(json.dumps(value).encode())), KEYS)


def test_a_snapshot_of_the_required_members_is_read() -> None:
    found = unsealed(PLAIN | {"later": {"x": 1}})
    assert (found.host, found.suspicious, found.parent) == ("cabinet-pc", False, "")
    assert found.counts == Counts(files=1, dirs=2, others=3, bytes=4)
    assert found.taken_at.isoformat() == "2030-01-01T17:30:00.000001+00:00"


@pytest.mark.parametrize("member", sorted(PLAIN))
def test_a_snapshot_without_a_member_is_damaged(member: str) -> None:
    with pytest.raises(Damaged):
        unsealed({key: value for key, value in PLAIN.items() if key != member})


@pytest.mark.parametrize(
    "time",
    ["", "2030-01-01", "2030-01-01T17:30:00Z", "2030-13-01T17:30:00.000001Z", "2030-01-01T17:30:00.000001+00:00"],
)
def test_a_snapshot_of_another_time_form_is_damaged(time: str) -> None:
    with pytest.raises(Damaged):
        unsealed(PLAIN | {"time": time})


@pytest.mark.parametrize("value", [None, [], "x", {}, PLAIN | {"root": "00"}, PLAIN | {"counts": []}])
def test_a_snapshot_of_another_form_is_damaged(value: object) -> None:
    with pytest.raises(Damaged):
        unsealed(value)


def test_a_deeply_nested_snapshot_is_damaged_and_not_a_crash() -> None:
    plain = json.dumps(PLAIN)[:-1] + ',"x":' + "[" * _DEPTH + "]" * _DEPTH + "}"
    with pytest.raises(Damaged):
        snapshot.unseal(seal_single(KEYS, SNAPSHOT, SALT, compression.compress(plain.encode())), KEYS)


def test_a_snapshot_that_is_not_compressed_is_damaged() -> None:
    with pytest.raises(Damaged):
        snapshot.unseal(seal_single(KEYS, SNAPSHOT, SALT, json.dumps(PLAIN).encode()), KEYS)


def test_a_snapshot_comes_back_and_its_name_is_its_digest() -> None:
    made = Snapshot(
        sequence=7,
        time="2030-01-01T17:30:00.000001Z",
        host="cabinet-pc",
        machine="00" * 16,
        sources=("/a", "/b"),
        root=("11" * 16,),
        users={"1000": "marie"},
        counts=Counts(files=1, dirs=2, others=3, bytes=2**62),
        files_by_source=(1, 0),
        problems=(SavedProblem("unreadable", "/a/x", "y"),),
        suspicious=True,
        parent="22" * 32,
    )
    name, data = snapshot.seal(made, KEYS, SALT)
    assert name == hashlib.sha256(data).hexdigest()
    assert snapshot.unseal(data, KEYS) == made


def test_a_problem_with_a_name_that_is_not_utf_8_does_not_keep_a_snapshot_from_being_written() -> None:
    made = Snapshot(
        sequence=7,
        time="2030-01-01T17:30:00.000001Z",
        host="cabinet-pc",
        machine="00" * 16,
        sources=("/a/\udce9",),
        root=(),
        counts=Counts(files=0, dirs=0, others=0, bytes=0),
        problems=(SavedProblem("skipped", "/a/lettre-\udce9", "a socket"),),
    )
    found = snapshot.unseal(snapshot.seal(made, KEYS, SALT)[1], KEYS)
    assert found.problems[0].path == "/a/lettre-\\xe9"
    assert found.sources == ("/a/\\xe9",)


@given(some.dictionaries(some.sampled_from(Snapshot.__struct_fields__), json_values, max_size=3))
def test_any_members_of_a_snapshot_are_read_or_damaged(changes: dict[str, object]) -> None:
    with contextlib.suppress(Damaged):
        unsealed(PLAIN | changes)
