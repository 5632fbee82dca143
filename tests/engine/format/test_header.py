"""The drive's header: three lines that nobody without the key can change, and that cost nothing to refuse.

Owns: one refusal for each rule of FORMAT.md §3 and §13, choosing among copies. Does not know: the drive.
"""

import json
from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as some
from support.engine.drives import CHEAP, CREATED, MACHINE_KEY, PASSPHRASE
from support.ports import Dice

from kinebackup.engine.format import header, keyring
from kinebackup.engine.format.header import Header
from kinebackup.engine.format.key_schedule import MasterKey, RepositoryKeys, hmac_sha256
from kinebackup.engine.format.keyring import MachineKey
from kinebackup.errors import Damaged, KineError, WrongKey

REPOSITORY = "000102030405060708090a0b0c0d0e0f"
MASTER, RING = keyring.create([PASSPHRASE, MACHINE_KEY], entropy=Dice("header"), created=CREATED, cost=CHEAP)
KEYS = RepositoryKeys.derive(MASTER, bytes.fromhex(REPOSITORY))
HEADER = header.make(RING, repository=REPOSITORY, created=CREATED)
GOOD = header.encode(HEADER, KEYS)
LINES = GOOD.split(b"\n")


def signed(first: bytes, members: bytes, keys: RepositoryKeys = KEYS) -> bytes:
    """A header of these two lines, rightly signed: what only a holder of the key could write."""
    text = first + b"\n" + members + b"\n"
    mac = hmac_sha256(keys.header_mac, text).hex().encode()
    return text + b"mac " + mac + b"\n"


def with_members(change: Callable[[dict[str, object]], object]) -> bytes:
    members = json.loads(LINES[1])
    change(members)
    return signed(LINES[0], json.dumps(members).encode())


def with_slot(**changes: object) -> bytes:
    def change(members: dict[str, object]) -> None:
        slots = members["slots"]
        assert isinstance(slots, list)
        slots[0].update(changes)

    return with_members(change)


def refused(data: bytes, message: str = ".") -> None:
    with pytest.raises(Damaged, match=message):
        header.unlock([data], MACHINE_KEY)


# -- form ----------------------------------------------------------------------------------------------------------


def test_a_header_is_three_lines_of_ascii() -> None:
    assert LINES[0] == b"kinebackup header 1"
    assert sorted(json.loads(LINES[1])) == ["commitment", "created", "generation", "practice", "repository", "slots"]
    assert sorted(json.loads(LINES[1])["slots"][1]) == ["created", "id", "kdf", "kind", "salt", "wrapped"]
    assert LINES[2].startswith(b"mac ")
    assert LINES[3] == b""
    assert GOOD.isascii()


def test_a_header_unlocks_with_each_of_its_secrets() -> None:
    assert header.unlock([GOOD], MACHINE_KEY).master.reveal() == MASTER.reveal()
    assert header.unlock([GOOD], PASSPHRASE).header == HEADER
    assert header.unlock([GOOD], MASTER).slot is None


def test_members_of_a_later_program_are_ignored() -> None:
    data = with_members(lambda m: m.update({"note": {"a": [1, None]}}))
    assert header.unlock([data], MACHINE_KEY).header == HEADER


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n\n",
        GOOD[:-1],
        GOOD + b"\n",
        GOOD + b"x",
        GOOD.replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + GOOD,
        b"\n".join(LINES[1:]),
        b"\n".join([LINES[0], LINES[1], LINES[1], LINES[2], b""]),
        b"\n".join([LINES[0], LINES[2], LINES[1], b""]),
        b"\n".join([LINES[0], LINES[1], b"mac " + b"0" * 63, b""]),
        b"\n".join([LINES[0], LINES[1], b"mac " + b"0" * 65, b""]),
        b"\n".join([LINES[0], LINES[1], b"MAC " + b"0" * 64, b""]),
        b"\n".join([LINES[0], LINES[1], LINES[2].upper(), b""]),
        b"\n".join([LINES[0], LINES[1], b"mac " + b"z" * 64, b""]),
        bytes(200),
        b"\xff" * 200,
    ],
)
def test_another_form_is_refused(data: bytes) -> None:
    refused(data)


@pytest.mark.parametrize(
    "first",
    [
        b"kinebackup header 2",
        b"kinebackup header 10",
        b"kinebackup header 1 ",
        b" kinebackup header 1",
        b"KineBackup header 1",
        b"kinebackup header",
        b"",
    ],
)
def test_another_first_line_is_refused_even_when_signed(first: bytes) -> None:
    refused(signed(first, LINES[1]), "format version 1")


@pytest.mark.parametrize(
    "members",
    [b"", b"{}", b"[]", b"null", b"{", LINES[1] + b"x", LINES[1] + LINES[1], b'"\xff"', b"\xff\xfe{}"],
)
def test_a_second_line_that_is_not_the_object_is_refused(members: bytes) -> None:
    refused(signed(LINES[0], members), "cannot be read")


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_refused_and_not_a_crash(opening: bytes) -> None:
    closing = {b"[": b"]", b'{"a":': b"}"}[opening]
    depth = 60_000 // len(opening + closing)
    refused(signed(LINES[0], b'{"x":' + opening * depth + b"1" + closing * depth + b"}"), "cannot be read")


@pytest.mark.parametrize("member", ["commitment", "created", "generation", "practice", "repository", "slots"])
def test_a_missing_member_is_refused(member: str) -> None:
    refused(with_members(lambda m: m.pop(member)))


@pytest.mark.parametrize("member", ["id", "kind", "created", "salt", "kdf", "wrapped", "memory_kib", "passes", "lanes"])
def test_a_missing_member_of_a_slot_refuses_that_slot_alone(member: str) -> None:
    def change(members: dict[str, object]) -> None:
        slots = members["slots"]
        assert isinstance(slots, list)
        del slots[0][member]

    lacking = with_members(change)
    assert header.unlock([lacking], MACHINE_KEY).master.reveal() == MASTER.reveal()
    with pytest.raises(KineError):
        header.unlock([lacking], PASSPHRASE)


@pytest.mark.parametrize(
    "changes",
    [
        {"memory_kib": 2**20 + 1},
        {"memory_kib": 2**40},
        {"memory_kib": 10**400},
        {"memory_kib": "64"},
        {"memory_kib": 64.5},
        {"memory_kib": True},
        {"passes": 17},
        {"lanes": 17},
        {"lanes": 0},
        {"kind": "password"},
        {"kdf": "scrypt"},
        {"kdf": None},
        {"id": 1},
        {"salt": "00"},
    ],
)
def test_a_hostile_slot_is_refused_alone_and_carried_on_as_it_is(changes: dict[str, object]) -> None:
    hostile = with_slot(**changes)
    found = header.unlock([hostile], MACHINE_KEY)
    assert found.master.reveal() == MASTER.reveal()
    assert (len(found.header.slots), len(found.header.others)) == (1, 1)
    assert json.loads(header.encode(found.header, found.keys).split(b"\n")[1])["slots"][1] == slots_of(hostile)[0]
    with pytest.raises(KineError):
        header.unlock([hostile], PASSPHRASE)


def slots_of(data: bytes) -> list[object]:
    slots = json.loads(data.split(b"\n")[1])["slots"]
    assert isinstance(slots, list)
    return slots


def test_where_the_slot_of_a_secret_is_impossible_that_is_said_and_not_that_the_secret_is_wrong() -> None:
    with pytest.raises(Damaged, match=RING.slots[0].id):
        header.unlock([with_slot(passes=17)], PASSPHRASE)


def test_duplicate_slot_ids_are_refused() -> None:
    refused(with_slot(id=RING.slots[1].id), "same id")


def test_seventeen_slots_are_refused() -> None:
    slot = json.loads(LINES[1])["slots"][1]
    refused(with_members(lambda m: m.update(slots=[slot | {"id": f"{n:08x}"} for n in range(17)])), "17 slots")


@pytest.mark.parametrize("generation", [0, -1, 2**63, 1.5, "1", None])
def test_an_impossible_generation_is_refused(generation: object) -> None:
    refused(with_members(lambda m: m.update(generation=generation)))


@pytest.mark.parametrize("member", ["practice", "repository"])
@pytest.mark.parametrize("value", ["", "00", "zz" * 16, "AB" * 16, "00" * 17, "00" * 15 + "0\n", 7, "é" * 32])
def test_an_impossible_identity_is_refused(member: str, value: object) -> None:
    refused(with_members(lambda m: m.update({member: value})))


def test_a_header_of_64_kib_and_one_byte_is_refused() -> None:
    def padded(size: int) -> bytes:
        start = len(with_members(lambda m: m.update(pad="")))
        return with_members(lambda m: m.update(pad="x" * (size - start)))

    assert header.unlock([padded(65_536)], MACHINE_KEY).header == HEADER
    refused(padded(65_537), "too long")


# -- authentication ------------------------------------------------------------------------------------------------


def test_every_flipped_bit_is_found() -> None:
    for bit in range(8 * len(GOOD)):
        data = bytearray(GOOD)
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises((Damaged, WrongKey)):
            header.unlock([bytes(data)], MACHINE_KEY)


def test_a_wrong_mac_is_refused() -> None:
    refused(b"\n".join([LINES[0], LINES[1], b"mac " + b"0" * 64, b""]), "without the key")


def test_another_repository_written_into_the_header_is_refused() -> None:
    refused(GOOD.replace(REPOSITORY.encode(), b"f" * 32), "without the key")


def test_a_header_signed_with_another_key_is_refused() -> None:
    other = RepositoryKeys.derive(MasterKey(bytes(32)), bytes.fromhex(REPOSITORY))
    refused(header.encode(HEADER, other), "without the key")


def test_a_wrong_commitment_is_refused_even_when_signed() -> None:
    refused(with_members(lambda m: m.update(commitment="00" * 32)), "does not belong")


def test_a_wrong_key_is_no_damage() -> None:
    with pytest.raises(WrongKey):
        header.unlock([GOOD], MachineKey(bytes(32)))


# -- copies --------------------------------------------------------------------------------------------------------


def next_generation() -> tuple[Header, bytes]:
    ring = msgspec.structs.replace(RING, generation=2)
    made = header.make(ring, repository=REPOSITORY, created=CREATED)
    return made, header.encode(made, KEYS)


def test_no_copy_at_all_is_damage() -> None:
    with pytest.raises(Damaged, match="no header"):
        header.unlock([], MACHINE_KEY)


def test_one_sound_copy_is_enough() -> None:
    assert header.unlock([b"", GOOD[:100], GOOD], MACHINE_KEY).header == HEADER


def test_the_newest_generation_wins_in_any_order() -> None:
    newer, data = next_generation()
    assert header.unlock([GOOD, GOOD, data], MACHINE_KEY).header == newer
    assert header.unlock([data, GOOD], MACHINE_KEY).header == newer


def test_a_forged_newer_copy_gives_way_to_the_genuine_one() -> None:
    _, data = next_generation()
    forged = data.replace(CREATED.encode(), b"2031" + CREATED[4:].encode())
    assert header.unlock([forged, GOOD], MACHINE_KEY).header == HEADER


def test_a_secret_removed_in_the_newest_copy_still_opens_the_older_one() -> None:
    """FORMAT.md §3: the first copy that a slot opens; only an interrupted change leaves two generations."""
    ring = keyring.without_slot(RING, RING.slots[1].id)
    newer = header.encode(header.make(ring, repository=REPOSITORY, created=CREATED), KEYS)
    assert header.unlock([newer, GOOD], MACHINE_KEY).header == HEADER


def test_where_as_many_copies_name_either_of_two_drives_the_first_one_read_comes_first() -> None:
    other = header.encode(header.make(RING, repository="f" * 32, created=CREATED), KEYS)
    assert header.unlock([other, GOOD], MACHINE_KEY).header.repository == "f" * 32
    assert header.unlock([GOOD, other], MACHINE_KEY).header == HEADER
    assert header.unlock([other, GOOD, GOOD], MACHINE_KEY).header == HEADER


def test_an_altered_header_is_found_to_be_one_and_comes_after_sound_ones() -> None:
    altered = GOOD.replace(b'"created":"2', b'"created":"\xb2', 1)
    assert altered != GOOD
    (found,) = header.openings([altered], MACHINE_KEY)
    assert (found.altered, found.header.repository) == (True, REPOSITORY)
    refused(altered, "without the key")
    assert [each.altered for each in header.openings([altered, GOOD], MACHINE_KEY)] == [False, True]


def test_headers_from_elsewhere_come_after_those_of_the_drive() -> None:
    other = header.encode(header.make(RING, repository="f" * 32, created=CREATED), KEYS)
    found = header.openings([GOOD], MACHINE_KEY, [other, GOOD])
    assert [(each.elsewhere, each.header.repository[:1]) for each in found] == [(False, "0"), (True, "f"), (True, "0")]
    assert [each.elsewhere for each in header.openings([b"torn"], PASSPHRASE, [GOOD])] == [True]


# -- any bytes -----------------------------------------------------------------------------------------------------

json_values = some.recursive(
    some.none()
    | some.booleans()
    | some.integers()
    | some.floats(allow_nan=False, allow_infinity=False)
    | some.text(max_size=70),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(some.binary(max_size=400) | some.binary(max_size=300).map(lambda b: signed(LINES[0], b)))
def test_any_bytes_are_damaged(data: bytes) -> None:
    refused(data)


@given(some.dictionaries(some.sampled_from(sorted(json.loads(LINES[1]))), json_values, min_size=1, max_size=3))
def test_any_members_are_refused_in_our_own_words(changes: dict[str, object]) -> None:
    data = signed(LINES[0], json.dumps(json.loads(LINES[1]) | changes).encode())
    try:
        found = header.unlock([data], MACHINE_KEY).header
    except (Damaged, WrongKey):
        return
    assert found.practice == RING.practice  # only the time and the generation may be others
