"""Key slots: hostile rings cost nothing, wrong secrets say so, and the last way in for a person stays.

Owns: rings, each with one thing wrong. Does not know: headers or drives.
"""

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from kinebackup.engine.format import keyring
from kinebackup.engine.format.key_schedule import MasterKey
from kinebackup.engine.format.keyring import Argon2Cost, Keyring, MachineKey, Passphrase, RecoveryCode, Secret, Slot
from kinebackup.errors import ConfigError, Damaged, ExitCode, NotFound, WrongKey

CREATED = "2030-01-01T00:00:00.000000Z"
CHEAP = Argon2Cost(memory_kib=8, passes=1, lanes=1)
CODE = "2345Q-789AC-BCDEP-FGHJZ-KMNPB-QRSTN-UVWXY"
MACHINE = MachineKey(bytes(range(32)))
PASSPHRASE = Passphrase.of("exemple pour les essais")
RECOVERY = RecoveryCode.of(CODE)


def counter() -> keyring.Entropy:
    drawn = 0

    def draw(size: int) -> bytes:
        nonlocal drawn
        drawn += 1
        return bytes([drawn]) * size

    return draw


MASTER, RING = keyring.create([PASSPHRASE, RECOVERY, MACHINE], entropy=counter(), created=CREATED, cost=CHEAP)


def with_first(**changes: object) -> Keyring:
    slot = msgspec.structs.replace(RING.slots[0], **changes)
    return msgspec.structs.replace(RING, slots=(slot, *RING.slots[1:]))


# -- opening -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("secret", "kind"), [(PASSPHRASE, "passphrase"), (RECOVERY, "recovery"), (MACHINE, "machine")])
def test_each_kind_of_secret_opens_its_slot(secret: Secret, kind: str) -> None:
    master, slot = keyring.unlock(RING, secret)
    assert master.reveal() == MASTER.reveal()
    assert slot.kind == kind


def test_a_decomposed_accent_is_the_same_passphrase() -> None:
    ring = keyring.create([Passphrase.of("\u00e9paule")], entropy=counter(), created=CREATED, cost=CHEAP)[1]
    assert keyring.unlock(ring, Passphrase.of("e\u0301paule"))[1].kind == "passphrase"


@pytest.mark.parametrize(
    "typed", ["", " exemple pour les essais", "exemple pour les essais ", "Exemple pour les essais"]
)
def test_a_passphrase_is_never_trimmed_or_folded(typed: str) -> None:
    with pytest.raises(WrongKey) as caught:
        keyring.unlock(RING, Passphrase.of(typed))
    assert caught.value.exit_code == ExitCode.WRONG_KEY
    assert caught.value.message == "the passphrase does not open this drive"
    assert "passphrase, recovery code, computer" in caught.value.hint


def test_the_bytes_of_a_machine_key_given_as_passphrase_open_nothing() -> None:
    with pytest.raises(WrongKey):
        keyring.unlock(RING, Passphrase(MACHINE.reveal()))


def test_a_secret_without_a_slot_of_its_kind_is_a_wrong_key() -> None:
    ring = keyring.create([PASSPHRASE], entropy=counter(), created=CREATED, cost=CHEAP)[1]
    with pytest.raises(WrongKey, match="this computer's key"):
        keyring.unlock(ring, MACHINE)


def test_the_second_of_two_passphrases_opens_too() -> None:
    ring, _ = keyring.with_slot(
        RING, MASTER, Passphrase.of("seconde"), entropy=lambda size: b"\xee" * size, created=CREATED, cost=CHEAP
    )
    assert keyring.unlock(ring, Passphrase.of("seconde"))[1].id == "eeeeeeee"


# -- hostile rings -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory_kib", "passes", "lanes"),
    [
        (2**20 + 1, 1, 1),
        (2**30, 1, 1),  # one terabyte
        (2**63, 1, 1),
        (7, 1, 1),
        (31, 1, 4),
        (0, 1, 1),
        (-8, 1, 1),
        (8, 0, 1),
        (8, 17, 1),
        (8, -1, 1),
        (8, 2**40, 1),
        (8, 1, 0),
        (8, 1, -1),
        (2**20, 1, 17),
        (8, 2**64, 2**64),
        (None, 1, 1),
        (8, None, 1),
        (8, 1, None),
    ],
)
def test_argon2_parameters_out_of_bounds_are_refused_before_any_work(
    memory_kib: int | None, passes: int | None, lanes: int | None
) -> None:
    ring = with_first(memory_kib=memory_kib, passes=passes, lanes=lanes)
    with pytest.raises(Damaged, match="passphrase slot"):
        keyring.unlock(ring, PASSPHRASE)
    with pytest.raises(Damaged, match="passphrase slot"):
        keyring.unlock(ring, MACHINE)  # also when another slot would have opened


@pytest.mark.parametrize(("memory_kib", "passes", "lanes"), [(2**20, 16, 16), (8, 1, 1), (128, 16, 16)])
def test_argon2_parameters_at_their_bounds_are_allowed(memory_kib: int, passes: int, lanes: int) -> None:
    keyring.check(with_first(memory_kib=memory_kib, passes=passes, lanes=lanes))


def test_two_slots_of_the_same_id_are_refused() -> None:
    with pytest.raises(Damaged, match="same id"):
        keyring.unlock(with_first(id=RING.slots[1].id), MACHINE)


@pytest.mark.parametrize("count", [0, 17, 1000])
def test_a_ring_without_slots_or_with_too_many_is_refused(count: int) -> None:
    slots = tuple(msgspec.structs.replace(RING.slots[2], id=f"{n:08x}") for n in range(count))
    with pytest.raises(Damaged, match=f"{count} slots"):
        keyring.unlock(msgspec.structs.replace(RING, slots=slots), MACHINE)


def test_a_ring_of_sixteen_slots_is_allowed() -> None:
    slots = tuple(msgspec.structs.replace(RING.slots[2], id=f"{n:08x}") for n in range(16))
    keyring.check(msgspec.structs.replace(RING, slots=slots))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": "0101010"},
        {"id": "0101010g"},
        {"id": "0101010A"},
        {"id": "01010101\n"},
        {"salt": "00"},
        {"salt": "0" * 63 + "\u0660"},
        {"salt": "AB" * 32},
        {"wrapped": "00" * 47},
        {"wrapped": "00" * 49},
        {"wrapped": ""},
        {"kdf": "hkdf"},
    ],
)
def test_a_slot_with_an_impossible_member_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(Damaged):
        keyring.unlock(with_first(**changes), PASSPHRASE)


def test_a_fast_derivation_for_a_passphrase_is_refused() -> None:
    slot = msgspec.structs.replace(RING.slots[1], kind="passphrase")
    with pytest.raises(Damaged, match="derivation"):
        keyring.check(msgspec.structs.replace(RING, slots=(slot,)))


@pytest.mark.parametrize("generation", [0, -1, 2**63, 2**70])
def test_a_generation_out_of_bounds_is_refused(generation: int) -> None:
    with pytest.raises(Damaged, match="generation"):
        keyring.check(msgspec.structs.replace(RING, generation=generation))


@pytest.mark.parametrize("member", ["practice", "commitment"])
def test_an_identity_that_is_not_hexadecimal_is_refused(member: str) -> None:
    with pytest.raises(Damaged, match="hexadecimal"):
        keyring.check(msgspec.structs.replace(RING, **{member: "zz" * 16}))


def test_a_slot_moved_to_another_practice_opens_nothing() -> None:
    with pytest.raises(WrongKey):
        keyring.unlock(msgspec.structs.replace(RING, practice="00" * 16), MACHINE)


def test_a_slot_renamed_opens_nothing() -> None:
    slot = msgspec.structs.replace(RING.slots[2], id="00000000")
    with pytest.raises(WrongKey):
        keyring.unlock(msgspec.structs.replace(RING, slots=(slot,)), MACHINE)


def test_a_slot_wrapped_for_another_master_key_is_found_by_the_commitment() -> None:
    """An attacker who knows the machine key could wrap a master key of his own: the commitment tells."""
    other = keyring.create([MACHINE], entropy=lambda size: b"\x99" * size, created=CREATED, cost=CHEAP)[1]
    forged = msgspec.structs.replace(other, commitment=RING.commitment)
    with pytest.raises(Damaged, match="does not belong"):
        keyring.unlock(forged, MACHINE)


# -- changing ------------------------------------------------------------------------------------------------------


def add(ring: Keyring, secret: Secret, number: int) -> tuple[Keyring, Slot]:
    return keyring.with_slot(
        ring, MASTER, secret, entropy=lambda size: bytes([number]) * size, created=CREATED, cost=CHEAP
    )


def test_adding_and_removing_count_generations() -> None:
    more, slot = add(RING, Passphrase.of("autre"), 200)
    assert (RING.generation, more.generation) == (1, 2)
    less = keyring.without_slot(more, slot.id)
    assert less.generation == 3
    assert less.slots == RING.slots


def test_a_seventeenth_slot_is_refused() -> None:
    ring = RING
    for number in range(13):
        ring = add(ring, MachineKey(bytes([number]) * 32), 100 + number)[0]
    assert len(ring.slots) == 16
    with pytest.raises(ConfigError, match="already 16"):
        add(ring, MACHINE, 250)


def test_a_slot_is_removed_by_the_beginning_of_its_id() -> None:
    slot = RING.slots[2]
    assert [s.kind for s in keyring.without_slot(RING, slot.id[:3]).slots] == ["passphrase", "recovery"]


@pytest.mark.parametrize("name", ["", "zz", "0"])
def test_no_slot_or_several_of_that_name_lists_those_known(name: str) -> None:
    with pytest.raises(NotFound) as caught:
        keyring.without_slot(RING, name)
    assert "(passphrase)" in caught.value.hint
    assert len(RING.slots) == 3


def test_the_last_slot_that_works_without_this_computer_stays() -> None:
    ring = keyring.create([PASSPHRASE, MACHINE], entropy=counter(), created=CREATED, cost=CHEAP)[1]
    with pytest.raises(ConfigError, match="without this computer"):
        keyring.without_slot(ring, ring.slots[0].id)
    assert [slot.kind for slot in keyring.without_slot(ring, ring.slots[1].id).slots] == ["passphrase"]


def test_no_secret_shows_itself() -> None:
    text = f"{PASSPHRASE!r} {RECOVERY!r} {MACHINE!r} {MASTER!r}"
    assert text == "Passphrase(…) RecoveryCode(…) MachineKey(…) MasterKey(…)"
    assert MASTER.reveal().hex() not in msgspec.json.encode(RING).decode()


# -- any ring ------------------------------------------------------------------------------------------------------

hexadecimal = some.text("0123456789abcdef", min_size=8, max_size=8) | some.text(max_size=9)
numbers = some.none() | some.integers(-1, 20) | some.integers()


@settings(max_examples=60)
@given(
    some.lists(
        some.builds(
            Slot,
            id=hexadecimal,
            kind=some.sampled_from(["passphrase", "recovery", "machine"]),
            created=some.text(max_size=5),
            salt=hexadecimal | some.just("00" * 32),
            kdf=some.sampled_from(["argon2id", "hkdf"]),
            wrapped=hexadecimal | some.just("00" * 48),
            memory_kib=numbers,
            passes=numbers.filter(lambda n: n is None or not 3 < n <= 16),
            lanes=numbers,
        ),
        max_size=4,
    )
)
def test_any_ring_is_refused_in_our_own_words(slots: list[Slot]) -> None:
    with pytest.raises((Damaged, WrongKey)):
        keyring.unlock(msgspec.structs.replace(RING, slots=tuple(slots)), PASSPHRASE)


@settings(max_examples=30)
@given(some.text(max_size=40), some.binary(min_size=32, max_size=32))
def test_any_passphrase_opens_what_it_closed(text: str, machine: bytes) -> None:
    secrets: list[Secret] = [Passphrase.of(text), MachineKey(machine)]
    master, ring = keyring.create(secrets, entropy=counter(), created=CREATED, cost=CHEAP)
    for secret in secrets:
        assert keyring.unlock(ring, secret)[0].reveal() == master.reveal()


def test_the_master_key_comes_from_the_given_entropy_alone() -> None:
    assert isinstance(MASTER, MasterKey)
    assert MASTER.reveal() == b"\x01" * 32
