"""Key slots: the ways to get at the master key (FORMAT.md §4).

Owns: wrapping, unwrapping, adding and removing slots. Does not know: where a key ring is kept.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Literal, assert_never, get_args

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from kinebackup.engine.format import recovery_code
from kinebackup.engine.format.kdf import Argon2Cost as Argon2Cost
from kinebackup.engine.format.key_schedule import KEY_BYTES, MasterKey, SecretBytes, commitment, hkdf
from kinebackup.engine.format.malformed import Malformed
from kinebackup.errors import ConfigError, NotFound, WrongKey
from kinebackup.i18n import _
from kinebackup.model import Entropy as Entropy

MAX_SLOTS = 16
MAX_MEMORY_KIB = 2**20
MAX_PASSES = 16
MAX_LANES = 16
MAX_GENERATION = 2**63 - 1
MAX_TIME_CHARACTERS = 64  # a text time has 27
_WRAP_NONCE = bytes(12)  # the key that wraps is used once: its salt is fresh for each slot

SlotKind = Literal["passphrase", "recovery", "machine"]


class Passphrase(SecretBytes):
    """What the person knows: NFC, UTF-8, never trimmed."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> "Passphrase":
        return cls(unicodedata.normalize("NFC", text).encode("utf-8", "surrogateescape"))


class RecoveryCode(SecretBytes):
    """What the recovery sheet holds: the 28 secret symbols."""

    __slots__ = ()

    @classmethod
    def of(cls, text: str) -> "RecoveryCode":
        """Raises ``WrongKey`` for a typing error, before any drive is read."""
        return cls(recovery_code.decode(text))


class MachineKey(SecretBytes):
    """What a file readable by this computer's program alone holds: 32 random bytes."""

    __slots__ = ()


Secret = Passphrase | RecoveryCode | MachineKey


class Slot(msgspec.Struct, frozen=True, forbid_unknown_fields=False):
    """One wrapped copy of the master key. Field names are those of the header."""

    id: str
    kind: SlotKind
    created: str
    salt: str
    kdf: Literal["argon2id", "hkdf"]
    wrapped: str
    memory_kib: int | None = None
    passes: int | None = None
    lanes: int | None = None


class Keyring(msgspec.Struct, frozen=True):
    """All slots of a practice; the same on each of its drives and on its computers."""

    practice: str
    generation: int
    slots: tuple[Slot, ...]
    commitment: str
    others: tuple[msgspec.Raw, ...] = ()
    """Slots that this program cannot use, of a later one or with impossible numbers: carried on as they are."""

    @property
    def size(self) -> int:
        return len(self.slots) + len(self.others)


class _SlotName(msgspec.Struct):
    id: str = ""
    kind: str = ""


def sorted_out(raw: Iterable[msgspec.Raw]) -> tuple[tuple[Slot, ...], tuple[msgspec.Raw, ...]]:
    """Slots as they were written: those that can be used, and the others. One that is impossible is refused alone."""
    slots: list[Slot] = []
    others: list[msgspec.Raw] = []
    for each in raw:
        try:
            slot = msgspec.json.decode(each, type=Slot)
            _check_slot(slot)
        except (msgspec.MsgspecError, UnicodeDecodeError, Malformed):
            others.append(each.copy())
        else:
            slots.append(slot)
    return tuple(slots), tuple(others)


def _name_of(other: msgspec.Raw) -> _SlotName:
    with suppress(msgspec.MsgspecError, UnicodeDecodeError):
        return msgspec.json.decode(other, type=_SlotName)
    return _SlotName()


def _hex(text: str, size_bytes: int, what: str) -> bytes:
    if not re.fullmatch(f"[0-9a-f]{{{2 * size_bytes}}}", text):
        raise Malformed(f"{what} is not {2 * size_bytes} hexadecimal digits")
    return bytes.fromhex(text)


def check(keyring: Keyring) -> None:
    """Raise ``Damaged`` unless every bound of FORMAT.md §4 holds: a hostile header must not cost memory or time.

    Every ring that this module makes has passed: what could not be opened again is not written.
    """
    _hex(keyring.practice, 16, "the practice id")
    _hex(keyring.commitment, 32, "the key commitment")
    if not 1 <= keyring.generation <= MAX_GENERATION:
        raise Malformed("the key ring's generation is out of bounds")
    if not 1 <= keyring.size <= MAX_SLOTS:
        raise Malformed(f"the key ring has {keyring.size} slots")
    ids = [slot.id for slot in keyring.slots] + [name for other in keyring.others if (name := _name_of(other).id)]
    if len(set(ids)) != len(ids):
        raise Malformed("two key slots have the same id")
    for slot in keyring.slots:
        _check_slot(slot)


def _check_slot(slot: Slot) -> None:
    _hex(slot.id, 4, "a slot's id")
    _hex(slot.salt, 32, "a slot's salt")
    _hex(slot.wrapped, KEY_BYTES + 16, "a slot's wrapped key")
    if len(slot.created) > MAX_TIME_CHARACTERS:
        raise Malformed("a slot's time is too long")
    if slot.kdf != ("argon2id" if slot.kind == "passphrase" else "hkdf"):
        raise Malformed("a key slot names a derivation that its kind does not have")
    if slot.kdf == "argon2id":
        memory, passes, lanes = slot.memory_kib, slot.passes, slot.lanes
        if memory is None or passes is None or lanes is None:
            raise Malformed("a passphrase slot lacks its Argon2id parameters")
        if not (1 <= lanes <= MAX_LANES and 1 <= passes <= MAX_PASSES and 8 * lanes <= memory <= MAX_MEMORY_KIB):
            raise Malformed("a passphrase slot asks for more memory or time than allowed")


def _wrapping_key(slot: Slot, secret: Secret) -> bytes:
    salt = bytes.fromhex(slot.salt)
    match secret:
        case Passphrase():
            assert slot.memory_kib is not None
            assert slot.passes is not None
            assert slot.lanes is not None
            kdf = Argon2id(
                salt=salt,
                length=KEY_BYTES,
                iterations=slot.passes,
                lanes=slot.lanes,
                memory_cost=slot.memory_kib,
            )
            return kdf.derive(secret.reveal())
        case RecoveryCode():
            return hkdf(secret.reveal(), b"kinebackup v1 recovery", salt)
        case MachineKey():
            return hkdf(secret.reveal(), b"kinebackup v1 machine", salt)
        case _:
            assert_never(secret)


def _kind_of(secret: Secret) -> SlotKind:
    match secret:
        case Passphrase():
            return "passphrase"
        case RecoveryCode():
            return "recovery"
        case MachineKey():
            return "machine"
        case _:
            assert_never(secret)


def _aad(practice: str, slot_id: str, kind: SlotKind) -> bytes:
    return b"kinebackup v1 slot" + bytes.fromhex(practice) + bytes.fromhex(slot_id) + kind.encode("ascii")


def _make_slot(
    practice: str, master: MasterKey, secret: Secret, *, entropy: Entropy, created: str, cost: Argon2Cost
) -> Slot:
    kind = _kind_of(secret)
    slow = kind == "passphrase"
    draft = Slot(
        id=entropy(4).hex(),
        kind=kind,
        created=created,
        salt=entropy(32).hex(),
        kdf="argon2id" if slow else "hkdf",
        wrapped="",
        memory_kib=cost.memory_kib if slow else None,
        passes=cost.passes if slow else None,
        lanes=cost.lanes if slow else None,
    )
    cipher = AESGCM(_wrapping_key(draft, secret))
    wrapped = cipher.encrypt(_WRAP_NONCE, master.reveal(), _aad(practice, draft.id, kind))
    return msgspec.structs.replace(draft, wrapped=wrapped.hex())


def create(
    secrets: Sequence[Secret], *, entropy: Entropy, created: str, cost: Argon2Cost = Argon2Cost()
) -> tuple[MasterKey, Keyring]:
    """A new practice: a fresh master key in one slot for each secret. ``created`` is a text time."""
    master = MasterKey(entropy(KEY_BYTES))
    practice = entropy(16).hex()
    slots = tuple(_make_slot(practice, master, s, entropy=entropy, created=created, cost=cost) for s in secrets)
    bound = commitment(master, bytes.fromhex(practice)).hex()
    return master, Keyring(practice=practice, generation=1, slots=slots, commitment=bound)


def unlock(keyring: Keyring, secret: Secret) -> tuple[MasterKey, Slot]:
    """The master key, and the slot that gave it.

    Raises ``WrongKey`` where no slot of that kind opens, ``Damaged`` where one opens to a key that the ring is not
    committed to, or where none opens and one of that kind cannot be used.
    """
    check(keyring)
    kind = _kind_of(secret)
    for slot in keyring.slots:
        if slot.kind != kind:
            continue
        try:
            cipher = AESGCM(_wrapping_key(slot, secret))
            plain = cipher.decrypt(_WRAP_NONCE, bytes.fromhex(slot.wrapped), _aad(keyring.practice, slot.id, kind))
        except InvalidTag:
            continue
        master = MasterKey(plain)
        check_commitment(keyring, master)
        return master, slot
    unusable = [name.id for name in map(_name_of, keyring.others) if name.kind == kind]
    if unusable:
        raise Malformed(f"no key slot opens; of this kind these cannot be used: {', '.join(unusable)}")
    raise WrongKey(*_wrong_key_text(keyring, kind))


def check_commitment(keyring: Keyring, master: MasterKey) -> None:
    """Raises ``Damaged`` for a key that is not that of the ring's practice."""
    if commitment(master, bytes.fromhex(keyring.practice)).hex() != keyring.commitment:
        raise Malformed("a key slot opens to a key that does not belong to this key ring")


def _wrong_key_text(keyring: Keyring, kind: SlotKind) -> tuple[str, str]:
    kinds = ", ".join(dict.fromkeys(kind_text(slot.kind) for slot in keyring.slots))
    what = {
        "passphrase": _("the passphrase does not open this drive"),
        "recovery": _("the recovery code does not open this drive"),
        "machine": _("this computer's key does not open this drive"),
    }[kind]
    return what, _("it has key slots of these kinds: {kinds}; try another one, or another drive").format(kinds=kinds)


def kind_text(kind: SlotKind) -> str:
    """What a person calls that kind of key."""
    return {"passphrase": _("passphrase"), "recovery": _("recovery code"), "machine": _("computer")}[kind]


def slot_name(slot: Slot) -> str:
    """How reports name a slot: ``passphrase 1f2e3d4c``."""
    return f"{slot.kind} {slot.id}"


def slot_of_name(name: str) -> tuple[SlotKind | None, str]:
    """Kind and id out of what ``slot_name`` made; kind and no id for this computer's own slot, ``machine``."""
    kind, _space, slot_id = name.partition(" ")
    return next((known for known in get_args(SlotKind) if known == kind), None), slot_id


def with_slot(
    keyring: Keyring,
    master: MasterKey,
    secret: Secret,
    *,
    entropy: Entropy,
    created: str,
    cost: Argon2Cost = Argon2Cost(),
) -> tuple[Keyring, Slot]:
    """The next generation of the ring, with one slot more."""
    if keyring.size >= MAX_SLOTS:
        raise ConfigError(
            _("there are already {count} key slots").format(count=MAX_SLOTS),
            _("remove one first: kinebackup key remove"),
        )
    slot = _make_slot(keyring.practice, master, secret, entropy=entropy, created=created, cost=cost)
    return _next_generation(keyring, (*keyring.slots, slot)), slot


def merged(ring: Keyring, other: Keyring) -> Keyring:
    """The next generation, with the slots of both: they were changed on two computers at once. Raises ``Damaged``."""
    slots = {slot.id: slot for slot in (*ring.slots, *other.slots)}
    others = {bytes(raw): raw for raw in (*ring.others, *other.others)}
    both = msgspec.structs.replace(ring, others=tuple(others.values()))
    return _next_generation(both, tuple(slots.values()))


def _next_generation(ring: Keyring, slots: tuple[Slot, ...]) -> Keyring:
    after = msgspec.structs.replace(ring, generation=ring.generation + 1, slots=slots)
    check(after)
    return after


def without_slot(keyring: Keyring, slot_id: str) -> Keyring:
    """The next generation of the ring, without the slot whose id begins so.

    The last way for a person (passphrase or recovery code) cannot be removed: a dead PC would then take the data
    with it.
    """
    found = [slot for slot in keyring.slots if slot.id.startswith(slot_id)] if slot_id else []
    if len(found) != 1:
        known = ", ".join(f"{slot.id} ({kind_text(slot.kind)})" for slot in keyring.slots)
        raise NotFound(
            _("no single key slot is called {name}").format(name=repr(slot_id)),
            _("the key slots are: {known}").format(known=known),
        )
    rest = tuple(slot for slot in keyring.slots if slot is not found[0])
    if not opens_without_computer(rest):
        raise ConfigError(
            _("this is the last key that works without this computer"),
            _("add another passphrase or recovery code first: kinebackup key add"),
        )
    return _next_generation(keyring, rest)


def opens_without_computer(slots: Iterable[Slot]) -> bool:
    """Whether a person has a way in, with nothing but what they know or keep on paper."""
    return any(slot.kind in ("passphrase", "recovery") for slot in slots)
