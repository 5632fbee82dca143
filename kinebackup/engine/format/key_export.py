"""The key export: what opens the drives of a practice whose headers are lost, as a text (FORMAT.md §3).

Owns: its lines, its sum, and which slots may be in it. Does not know: which drives there are, or where it is kept.
"""

import codecs
import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from kinebackup.engine.format.keyring import Keyring
from kinebackup.errors import Damaged
from kinebackup.i18n import _

MAX_EXPORT_BYTES: Final = 2**20
_FIRST_LINE: Final = b"kinebackup key export 1\n"
_HEADER: Final = re.compile(rb"^kinebackup header 1\n[^\n]*\nmac [0-9a-f]{64}\n", re.MULTILINE)
_SUM: Final = re.compile(rb"^sum ([0-9a-f]{64})\n", re.MULTILINE)


class KeyExport(msgspec.Struct, frozen=True):
    """What a file holds. ``whole``: its sum is right, or it is a header alone, which has none."""

    headers: tuple[bytes, ...]
    whole: bool


def recovery_only(keyring: Keyring) -> Keyring:
    """The ring with the recovery codes alone: a passphrase could be guessed, by whoever finds the sheet."""
    slots = tuple(slot for slot in keyring.slots if slot.kind == "recovery")
    return msgspec.structs.replace(keyring, slots=slots, others=())


def encode(drives: Iterable[tuple[str, str, bytes]], digests: Mapping[str, str], practice: str = "") -> bytes:
    """``drives``: of each its label, a date for people, and its header. ``digests``: SHA-256 of files on the drives.
    ``practice``: its name, for people.
    """
    text = _FIRST_LINE + (f"practice {' '.join(practice.split())}\n".encode() if practice.strip() else b"")
    for label, date, header in drives:
        text += f"drive {label}, {date}\n".encode() + header
    for name, digest in digests.items():
        text += f"{name} {digest}\n".encode("ascii")
    return text + f"sum {hashlib.sha256(text).hexdigest()}\n".encode("ascii")


def decode(data: bytes) -> KeyExport:
    """What can be read of it. Raises ``Damaged`` where it holds no header at all."""
    text = data.removeprefix(codecs.BOM_UTF8).replace(b"\r\n", b"\n")
    text = text if text.endswith(b"\n") else text + b"\n"
    headers = tuple(dict.fromkeys(_HEADER.findall(text)))
    if not headers or len(data) > MAX_EXPORT_BYTES:
        raise Damaged(
            _("this is no key export: there is no header in it"),
            _("it begins with “kinebackup key export 1”; each of its lines must be as it was printed"),
        )
    if text == headers[0]:
        return KeyExport(headers, whole=True)
    last = next(reversed(list(_SUM.finditer(text))), None)
    right = last is not None and hashlib.sha256(text[: last.start()]).hexdigest().encode() == last[1]
    return KeyExport(headers, whole=right and text.startswith(_FIRST_LINE))
