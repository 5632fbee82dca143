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
    return _(
        "on a computer that backed up to it, run: kinebackup repair --drive LABEL; elsewhere, use your other drive"
    )


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
    others: tuple[msgspec.Raw, ...] = ()

    @property
    def keyring(self) -> Keyring:
        return Keyring(
            practice=self.practice,
            generation=self.generation,
            slots=self.slots,
            commitment=self.commitment,
            others=self.others,
        )


class WrittenHeader(msgspec.Struct, frozen=True):
    """A header as its second line says it, before its slots are looked at one by one."""

    commitment: str
    created: str
    generation: int
    practice: str
    repository: str
    slots: tuple[msgspec.Raw, ...]
    features_needed_to_read: tuple[str, ...] = ()
    features_needed_to_write: tuple[str, ...] = ()


class UnlockedHeader(msgspec.Struct, frozen=True):
    """A header, and what opened it.

    ``altered``: its MAC is wrong, and it may be used to read only. ``elsewhere``: it does not come from the drive.
    """

    header: Header
    master: MasterKey
    keys: RepositoryKeys
    slot: Slot | None
    altered: bool = False
    elsewhere: bool = False


def make(keyring: Keyring, *, repository: str, created: str) -> Header:
    """The header that gives the drive of that repository id this key ring."""
    return Header(
        commitment=keyring.commitment,
        created=created,
        generation=keyring.generation,
        practice=keyring.practice,
        repository=repository,
        slots=keyring.slots,
        others=keyring.others,
    )


def encode(header: Header, keys: RepositoryKeys) -> bytes:
    """The three lines. Raises ``Damaged`` for those that could not be read again, before they replace others."""
    signed = _FIRST_LINE + msgspec.json.encode(_without_nulls(header)) + b"\n"
    data = signed + _MAC_PREFIX + hmac_sha256(keys.header_mac, signed).hex().encode("ascii") + b"\n"
    decode(data)
    return data


def encode_header(keyring: Keyring, master: MasterKey, *, repository: str, created: str) -> bytes:
    """The header of the drive with that repository id, for whoever knows the ring and the master key."""
    keys = RepositoryKeys.derive(master, bytes.fromhex(repository))
    return encode(make(keyring, repository=repository, created=created), keys)


def _without_nulls(header: Header) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(msgspec.structs.replace(header, others=()))
    slots = [{k: v for k, v in msgspec.to_builtins(slot).items() if v is not None} for slot in header.slots]
    return plain | {"slots": [*slots, *header.others]}


def decode(data: bytes) -> Header:
    """The header, with every bound checked but not yet authenticated. Raises ``Damaged``."""
    if len(data) > MAX_HEADER_BYTES:
        raise Damaged(_("the drive's header is too long"))
    if not data.startswith(_FIRST_LINE) or data.count(b"\n") != 3 or not data.endswith(b"\n"):
        raise Damaged(_("the drive's header is not one of format version 1"))
    mac_line = data[-_MAC_LINE_BYTES:]
    if data[-_MAC_LINE_BYTES - 1 : -_MAC_LINE_BYTES] != b"\n" or not mac_line.startswith(_MAC_PREFIX):
        raise Damaged(_("the drive's header has no authentication line"))
    # A bit that flipped in a text must not hide the rest: what is no UTF-8 fails its MAC, and is read with care.
    text = data[len(_FIRST_LINE) : -_MAC_LINE_BYTES].decode("utf-8", "replace")
    try:
        written = msgspec.json.decode(text, type=WrittenHeader)
    except (msgspec.MsgspecError, RecursionError):
        raise Damaged(_("the drive's header cannot be read")) from None
    slots, others = rings.sorted_out(written.slots)
    header = Header(
        commitment=written.commitment,
        created=written.created,
        generation=written.generation,
        practice=written.practice,
        repository=written.repository,
        slots=slots,
        features_needed_to_read=written.features_needed_to_read,
        features_needed_to_write=written.features_needed_to_write,
        others=others,
    )
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
        raise changed_by_somebody()
    return keys


def candidates(copies: Iterable[bytes]) -> list[tuple[bytes, Header]]:
    """The copies that parse, without repeats. Raises ``Damaged`` where none does.

    The repository that most copies name comes first, of as many the one that was named first; then the newest
    generation.
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
    first = {repository: place for place, repository in enumerate(votes)}
    return sorted(parsed, key=lambda p: (-votes[p[1].repository], first[p[1].repository], -p[1].generation))


def openings(
    copies: Iterable[bytes], secret: Secret | MasterKey, elsewhere: Iterable[bytes] = ()
) -> list[UnlockedHeader]:
    """Every header that the secret opens, the most credible first: sound ones before altered ones, those of the drive
    before those from elsewhere. Which of several repositories is the drive's, only its files can prove.

    Raises ``WrongKey`` where no slot opens, ``Damaged`` where nothing is what its writer wrote.
    """
    found: list[UnlockedHeader] = []
    failure: KineError | None = None
    for several, foreign in ((copies, False), (elsewhere, True)):
        try:
            parsed = candidates(several)
        except Damaged as error:
            failure = error if failure is None or not foreign else failure
            continue
        for data, header in parsed:
            try:
                found.append(_opening(data, header, secret, found, elsewhere=foreign))
            except KineError as error:
                failure = error if failure is None or foreign else failure
    if not found:
        assert failure is not None
        raise failure
    return sorted(found, key=lambda each: (each.altered, each.elsewhere))


def _opening(
    data: bytes, header: Header, secret: Secret | MasterKey, found: list[UnlockedHeader], *, elsewhere: bool
) -> UnlockedHeader:
    slot = None
    if isinstance(secret, MasterKey):
        master = secret
        rings.check_commitment(header.keyring, master)
    else:
        known = next((each for each in found if each.header.commitment == header.commitment), None)
        if known is not None and known.header.practice == header.practice:  # a second derivation takes a second
            master, slot = known.master, known.slot
        else:
            master, slot = rings.unlock(header.keyring, secret)
    try:
        keys, altered = authenticate(data, header, master), False
    except Damaged:
        keys, altered = RepositoryKeys.derive(master, bytes.fromhex(header.repository)), True
    return UnlockedHeader(header, master, keys, slot, altered=altered, elsewhere=elsewhere)


def changed_by_somebody() -> Damaged:
    """What is said of a header whose MAC is wrong, where more than reading is asked for."""
    return Damaged(_("the drive's header was changed by somebody without the key"), damaged_hint())


def unlock(copies: Iterable[bytes], secret: Secret | MasterKey) -> UnlockedHeader:
    """The most credible copy that the secret opens and whose MAC is right, without asking the drive's files.

    Raises ``WrongKey`` where no slot opens, ``Damaged`` where no copy is what its writer wrote.
    """
    best = openings(copies, secret)[0]
    if best.altered:
        raise changed_by_somebody()
    return best
