"""Vectors of what opens a drive: slots that are impossible, copies that are foreign, key exports.

Owns: one cause each, for every rule of FORMAT.md §3 about choosing a header. Does not know: how bytes are made.
"""

import hashlib
from collections.abc import Iterator

from vectors.vector_plans import CODE, HEADER_NAMES, PASSPHRASE, Plan, build, code_symbols, header_members
from vectors.vector_writer import Json, digest, header, slot

Found = tuple[str, str, str, dict[str, bytes], int, dict[str, str], bytes]
"""Name, section, rule, files, exit code, secret, key export."""

CODE_ONLY = {"code": CODE}


def with_copies(*copies: bytes) -> dict[str, bytes]:
    files = build(Plan()).files
    return files | {f"KINEBACKUP/{name}": raw for name, raw in zip(HEADER_NAMES, copies, strict=True)}


def slot_cases() -> Iterator[Found]:
    """What is wrong with the passphrase's slot does not keep the recovery code from opening the drive."""

    def altered(without: str = "", **changes: object) -> bytes:
        made = header_members()
        made["slots"][0] |= changes
        made["slots"][0].pop(without, None)
        return header(made)

    def instead(slot: object) -> bytes:
        made = header_members()
        made["slots"][0] = slot
        return header(made)

    for name, raw in (
        ("memory", altered(memory_kib=1 << 31)),
        ("passes", altered(passes=17)),
        ("lanes", altered(lanes=0)),
        ("lanes-text", altered(lanes="2")),
        ("kdf", altered(kdf="hkdf")),
        ("kind", altered(kind="fido2", extra={"a": [1]})),
        ("salt", altered(salt="00")),
        ("wrapped", altered(wrapped=None)),
        ("id", altered(id="1f2e3d4")),
        ("id-missing", altered("id")),
        ("id-number", altered(id=1)),
        ("kind-missing", altered("kind")),
        ("kind-list", altered(kind=["passphrase"])),
        ("number", instead(7)),
        ("null", instead(None)),
    ):
        files = with_copies(raw, raw, raw, raw)
        yield f"slot-impossible-{name}", "§4", "an impossible slot is refused alone", files, 0, CODE_ONLY, b""


def copy_cases() -> Iterator[Found]:
    good = header(header_members())
    foreign = header(header_members() | {"repository": digest("another repository")[:16].hex(), "generation": 9})
    phrase = {"passphrase": PASSPHRASE}
    for name, copies, rule in (
        ("spread-only", (b"", b"", b"", good), "the copy in parity/ is enough"),
        ("two-foreign", (good, foreign, foreign, b""), "a sealed file decides, not the number of copies"),
        ("three-foreign", (foreign, foreign, foreign, good), "a sealed file decides, not the number of copies"),
        ("first-foreign", (foreign, good, b"", b""), "a sealed file decides, not the order of copies"),
    ):
        yield f"copies-{name}", "§3", rule, with_copies(*copies), 0, phrase, b""


def exported(members: Json, *, first: bytes = b"kinebackup key export 1", other: bytes = b"") -> bytes:
    text = first + b"\ndrive essai, 2026-01-05\n" + header(members)
    if other:
        text += b"drive domicile, 2026-01-05\n" + other
    text += b"recover.py " + b"0" * 64 + b"\nlater line of which nobody knows\n"
    return text + b"sum " + hashlib.sha256(text).hexdigest().encode() + b"\n"


def export_cases() -> Iterator[Found]:
    members = header_members() | {"slots": [slot("recovery", code_symbols(CODE), number=2)]}
    away = members | {"repository": digest("another repository")[:16].hex()}
    text, lost = exported(members), with_copies(b"", b"\n", b"", b"")
    for name, export, secret, code, rule in (
        ("good", text, CODE_ONLY, 0, "a key export stands in for lost headers"),
        ("several", exported(away, other=header(members)), CODE_ONLY, 0, "of several headers, a sealed file decides"),
        ("crlf", b"\xef\xbb\xbf" + text.replace(b"\n", b"\r\n"), CODE_ONLY, 0, "CR LF and a byte order mark"),
        ("sum-wrong", text.replace(b"essai", b"essay", 1), CODE_ONLY, 0, "a wrong sum is told, and the header used"),
        ("header-alone", header(header_members()), {"passphrase": PASSPHRASE}, 0, "a copy of a header"),
        ("passphrase", text, {"passphrase": PASSPHRASE}, 12, "it has no slot of a passphrase"),
    ):
        yield f"export-{name}", "§3", rule, lost, code, secret, export


def header_choices() -> Iterator[Found]:
    yield from slot_cases()
    yield from copy_cases()
    yield from export_cases()
