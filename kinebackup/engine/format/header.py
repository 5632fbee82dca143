"""The drive's header: identity and key ring, as three lines of text (FORMAT.md §3).

Owns: its text, its MAC, choosing among copies. Does not know: where the copies lie.
"""

import hmac
from collections import Counter
from collections.abc import Iterable

import msgspec

from kinebackup.engine.format import keyring as rings
from kinebackup.engine.format.constants import MAX_HEADER_BYTES
from kinebackup.engine.format.key_schedule import REPOSITORY_ID_BYTES, MasterKey, RepositoryKeys, hmac_sha256
from kinebackup.engine.format.keyring import Keyring, Secret, Slot
from kinebackup.errors import Damaged, KineError
from kinebackup.i18n import _

_FIRST_LINE = b"kinebackup header 1\n"
_MAC_PREFIX = b"mac "
_MAC_LINE_BYTES = len(_MAC_PREFIX) + 64 + 1


def damaged_hint() -> str:
    """What to do with a drive that has no header any more."""
    return _("on a computer that backed up to it, run: kinebackup drive repair LABEL; elsewhere, use your other drive")


class Header(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a drive says of itself before anything is unlocked."""

    commitment: str
    created: str
    generation: int
    practice: str
    repository: str
    slots: tuple[Slot, ...]
    features_needed_to_read: tuple[str, ...] = ()
    features_needed_to_write: tuple[str, ...] = ()

    @property
    def keyring(self) -> Keyring:
        return Keyring(practice=self.practice, generation=self.generation, slots=self.slots, commitment=self.commitment)


class UnlockedHeader(msgspec.Struct, frozen=True):
    """A header whose MAC has been checked, and what opened it."""

    header: Header
    master: MasterKey
    keys: RepositoryKeys
    slot: Slot | None


def make(keyring: Keyring, *, repository: str, created: str) -> Header:
    """The header that gives the drive of that repository id this key ring."""
    return Header(
        commitment=keyring.commitment,
        created=created,
        generation=keyring.generation,
        practice=keyring.practice,
        repository=repository,
        slots=keyring.slots,
    )


def encode(header: Header, keys: RepositoryKeys) -> bytes:
    """The three lines. Raises ``Damaged`` for those that could not be read again, before they replace others."""
    signed = _FIRST_LINE + msgspec.json.encode(_without_nulls(header)) + b"\n"
    data = signed + _MAC_PREFIX + hmac_sha256(keys.header_mac, signed).hex().encode("ascii") + b"\n"
    decode(data)
    return data


def _without_nulls(header: Header) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(header)
    slots = [{k: v for k, v in msgspec.to_builtins(slot).items() if v is not None} for slot in header.slots]
    return plain | {"slots": slots}


def decode(data: bytes) -> Header:
    """The header, with every bound checked but not yet authenticated. Raises ``Damaged``."""
    if len(data) > MAX_HEADER_BYTES:
        raise Damaged(_("the drive's header is too long"))
    if not data.startswith(_FIRST_LINE) or data.count(b"\n") != 3 or not data.endswith(b"\n"):
        raise Damaged(_("the drive's header is not one of format version 1"))
    mac_line = data[-_MAC_LINE_BYTES:]
    if data[-_MAC_LINE_BYTES - 1 : -_MAC_LINE_BYTES] != b"\n" or not mac_line.startswith(_MAC_PREFIX):
        raise Damaged(_("the drive's header has no authentication line"))
    try:
        header = msgspec.json.decode(data[len(_FIRST_LINE) : -_MAC_LINE_BYTES], type=Header)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Damaged(_("the drive's header cannot be read")) from None
    if len(header.repository) != 2 * REPOSITORY_ID_BYTES or not _is_hex(header.repository):
        raise Damaged(_("the drive's header has no proper repository id"))
    if len(header.created) > rings.MAX_TIME_CHARACTERS:
        raise Damaged(_("the drive's header cannot be read"))
    rings.check(header.keyring)
    return header


def _is_hex(text: str) -> bool:
    return all(c in "0123456789abcdef" for c in text)


def authenticate(data: bytes, header: Header, master: MasterKey) -> RepositoryKeys:
    """The repository's keys, after checking the MAC. Raises ``Damaged`` where another key, or nobody, signed."""
    keys = RepositoryKeys.derive(master, bytes.fromhex(header.repository))
    signed = data[:-_MAC_LINE_BYTES]
    expected = _MAC_PREFIX + hmac_sha256(keys.header_mac, signed).hex().encode("ascii") + b"\n"
    if not hmac.compare_digest(expected, data[-_MAC_LINE_BYTES:]):
        raise Damaged(_("the drive's header was changed by somebody without the key"))
    return keys


def candidates(copies: Iterable[bytes]) -> list[tuple[bytes, Header]]:
    """The copies that parse, without repeats. Raises ``Damaged`` where none does.

    The repository that most copies name comes first, so that one copy of another drive's header cannot hide this
    drive's own; then the newest generation.
    """
    parsed: list[tuple[bytes, Header]] = []
    votes: Counter[str] = Counter()
    failure: Damaged | None = None
    for data in copies:
        try:
            header = decode(data)
        except Damaged as error:
            failure = failure or error
            continue
        votes[header.repository] += 1
        if all(data != known for known, _ in parsed):
            parsed.append((data, header))
    if not parsed:
        raise Damaged(failure.message if failure else _("the drive has no header"), damaged_hint())
    return sorted(parsed, key=lambda pair: (-votes[pair[1].repository], -pair[1].generation))


def unlock(copies: Iterable[bytes], secret: Secret | MasterKey) -> UnlockedHeader:
    """The first copy that the secret opens and whose MAC is right.

    Raises ``WrongKey`` where no slot opens, ``Damaged`` where no copy is what its writer wrote.
    """
    failure: KineError | None = None
    for data, header in candidates(copies):
        try:
            if isinstance(secret, MasterKey):
                master, slot = secret, None
            else:
                master, slot = rings.unlock(header.keyring, secret)
            return UnlockedHeader(header=header, master=master, keys=authenticate(data, header, master), slot=slot)
        except KineError as error:
            failure = failure or error
    assert failure is not None
    raise failure
