"""Directories as blobs: entries, their names, their JSON (FORMAT.md §9).

Owns: the form of an entry and what a reader accepts. Does not know: how entries are gathered or restored.
"""

import base64
import json
import os
import struct
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Annotated, Final, Literal

import msgspec

from kinebackup.engine.format.constants import ID_BYTES
from kinebackup.engine.format.malformed import Malformed
from kinebackup.errors import Damaged
from kinebackup.i18n import _
from kinebackup.model import BlobId

MAX_TREE_BYTES = 256 * 2**10  # what a writer puts in one tree blob, unless one entry alone is longer
_CUT_FROM_BYTES = 96 * 2**10
_AT_ONCE = 16  # entries that are encoded by one call

EntryType = Literal["file", "dir", "symlink", "fifo", "char", "block"]
# What the system calls of a restore can take: an entry with other numbers is refused, not half restored.
Mode = Annotated[int, msgspec.Meta(ge=0, le=0o7777)]
Owner = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 2)]  # the last number stands for nobody
Number = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Time = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
Size = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
Text = Annotated[str, msgspec.Meta(pattern=r"^[^\0]+\Z")]
Base64 = Annotated[str, msgspec.Meta(pattern=r"^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?\Z")]


_EXTENT = struct.Struct("<QQ")


COPIED_BY = "sqlite"  # another way, of a later version, is no reason to refuse a file


class Copied(msgspec.Struct, frozen=True, kw_only=True):
    """How a live database was copied, and what the live files looked like then (FORMAT.md §10)."""

    by: str = COPIED_BY
    size: int
    wal_size: int = 0
    wal_mtime: int = 0


class Entry(msgspec.Struct, omit_defaults=True, gc=False, kw_only=True):
    """One name in a directory. Times in ns since 1970, sizes in bytes.

    ``str`` values may hold surrogate escapes only in ``path_name`` and ``path_target``.
    """

    name: str = ""
    rawname: Base64 = ""
    type: EntryType
    mode: Mode
    uid: Owner = 0
    gid: Owner = 0
    mtime: Time
    ctime: Time = 0
    inode: Annotated[int, msgspec.Meta(ge=0)] = 0
    size: Size = 0
    blobs: list[str] = []
    lists: list[str] = []
    extents: list[tuple[Size, Size]] | None = None
    extent_lists: list[str] = []
    tree: list[str] = []
    target: Text = ""
    rawtarget: Base64 = ""
    device: tuple[Number, Number] | None = None
    link: str = ""
    xattrs: dict[str, Base64] | None = None
    flags: list[str] = []
    uncertain: bool = False
    copied: Copied | None = None
    carried: Size = 0

    @property
    def path_name(self) -> str:
        """The name as Python's file functions take it (surrogate escapes for other bytes)."""
        return self.name or os.fsdecode(base64.b64decode(self.rawname))

    @property
    def path_target(self) -> str:
        """Where a symbolic link points, likewise."""
        return self.target or os.fsdecode(base64.b64decode(self.rawtarget))


_USED: Final = frozenset({"name", "rawname", "type", "mode", "uid", "gid", "mtime", "xattrs", "flags", "carried"})
_OF_DEVICE: Final = frozenset({"device"})
_USED_BY_TYPE: Final = {
    "file": frozenset({"size", "blobs", "lists", "extents", "extent_lists"}),
    "dir": frozenset({"tree"}),
    "symlink": frozenset({"target", "rawtarget"}),
    "char": _OF_DEVICE,
    "block": _OF_DEVICE,
}


class Tree(msgspec.Struct):
    """A tree blob."""

    entries: list[Entry]


# RecursionError: nesting without end, which is no tree of ours either.
_UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)

_encoder = msgspec.json.Encoder()
_FRAME = b'{"entries":[%b]}'
_decoder = msgspec.json.Decoder(Tree)


class _RawTree(msgspec.Struct):
    entries: list[msgspec.Raw]


_raw_decoder = msgspec.json.Decoder(_RawTree)
_entry_decoder = msgspec.json.Decoder(Entry)


def encode_text(text: str) -> tuple[str, str]:
    """``(name, rawname)``: the text itself, or base64 of its bytes where they are not UTF-8."""
    if is_text(text):
        return text, ""
    return "", base64.b64encode(os.fsencode(text)).decode("ascii")


def is_text(text: str) -> bool:
    """Whether Python's text of a name stands for bytes that are UTF-8."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def bounded_time(time_ns: int) -> int:
    """The nearest time that 64 bits hold: some file systems keep times after 2262, which a reader has to refuse."""
    return time_ns if -(2**63) <= time_ns < 2**63 else max(-(2**63), min(time_ns, 2**63 - 1))


def name_key(entry: Entry) -> bytes:
    """Entries are sorted by the bytes of their names."""
    return os.fsencode(entry.name or entry.path_name)


class TreeCutter:
    """Makes the tree blobs of one directory, whose entries come in the order of their names.

    A blob ends, when it is long enough, after a name that says so by its checksum: one name more or less moves few of
    the cuts of a directory of a million names, so the other blobs of it are not stored again.
    """

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def add(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        """The blobs that these entries complete."""
        coming = iter(entries)
        while some := list(islice(coming, _AT_ONCE)):
            parts = _encoder.encode(some)[1:-1] if self._size < _CUT_FROM_BYTES else b""
            if parts and self._size + len(parts) + 1 < _CUT_FROM_BYTES:  # no blob ends before it is so long
                self._parts.append(parts)
                self._size += len(parts) + 1
            else:
                yield from self._add_each(some)

    def _add_each(self, entries: Iterable[Entry]) -> Iterator[bytes]:
        encode_entry, frame = _encoder.encode, len(_FRAME % b"")
        for entry in entries:
            part = encode_entry(entry)
            if self._parts and frame + self._size + len(part) > MAX_TREE_BYTES:
                yield self._take()
            self._parts.append(part)
            self._size += len(part) + 1
            if self._size >= _CUT_FROM_BYTES and zlib.crc32(os.fsencode(entry.path_name)) % 256 == 0:
                yield self._take()

    def finish(self) -> Iterator[bytes]:
        """The last blob, if there is any."""
        if self._parts:
            yield self._take()

    def _take(self) -> bytes:
        plain = _FRAME % b",".join(self._parts)
        self._parts, self._size = [], 0
        return plain


def encode(entries: Iterable[Entry]) -> list[bytes]:
    """The tree blobs of a whole directory; none for an empty one."""
    cutter = TreeCutter()
    return [*cutter.add(entries), *cutter.finish()]


def decode(plain: bytes) -> tuple[list[Entry], int]:
    """The entries of a tree blob that are as FORMAT.md §9 says, and how many are not.

    Raises ``Damaged`` where it is no tree at all.
    """
    try:
        entries = _decoder.decode(plain).entries
    except _UNREADABLE:
        return _decode_one_by_one(plain)
    if _all_plain([entry.name for entry in entries]) and not any(entry.rawname for entry in entries):
        return entries, 0
    good = [entry for entry in entries if _name_is_safe(entry)]
    return good, len(entries) - len(good)


def _all_plain(names: list[str]) -> bool:
    """Whether all names are plainly safe, by one look at all of them: a run decodes every directory."""
    joined = "\0".join(names)
    return "/" not in joined and joined.count("\0") < max(len(names), 1) and {"", ".", ".."}.isdisjoint(names)


def _decode_one_by_one(plain: bytes) -> tuple[list[Entry], int]:
    raw = _raw_entries(plain)
    good: list[Entry] = []
    for item in raw:
        entry = _decoded(item) or _decoded_by_what_is_used(item)
        if entry is not None and _name_is_safe(entry):
            good.append(entry)
    return good, len(raw) - len(good)


def _decoded(item: msgspec.Raw | bytes) -> Entry | None:
    try:
        return _entry_decoder.decode(item)
    except _UNREADABLE:
        return None


def _decoded_by_what_is_used(item: msgspec.Raw | bytes) -> Entry | None:
    """Of an entry that has a member in another form, without those that nobody needs to restore one of its type."""
    try:
        members = msgspec.json.decode(item)
        used = _USED | _USED_BY_TYPE.get(members["type"], frozenset())
        return msgspec.convert({name: value for name, value in members.items() if name in used}, Entry)
    except (*_UNREADABLE, AttributeError, KeyError, TypeError):
        return None


def _raw_entries(plain: bytes) -> Sequence[msgspec.Raw | bytes]:
    """The JSON of each entry. Raises ``Damaged`` where it is no tree at all."""
    try:
        return _raw_decoder.decode(plain).entries
    except _UNREADABLE:
        pass
    try:  # a text that is not Unicode keeps the strict decoder from even seeing where the entry ends
        items = json.loads(plain.decode("utf-8"))["entries"]
        if isinstance(items, list):
            return [json.dumps(item).encode("ascii") for item in items]
    except (ValueError, TypeError, KeyError, RecursionError):
        pass
    raise Damaged(_("a directory's record cannot be read"))


def _name_is_safe(entry: Entry) -> bool:
    """No name may lead out of its directory: an entry comes from a drive that others could have written."""
    name = entry.name
    if name and entry.rawname:
        return False
    if not name:
        try:
            name = entry.path_name
        except ValueError:  # base64 that passes for such and is none
            return False
    return bool(name) and name not in (".", "..") and "/" not in name and "\0" not in name


def first_of_each_name(entries: list[Entry]) -> list[Entry]:
    """Without the entries whose name an earlier one has: the second would be written over, or through, the first."""
    names = [entry.name or entry.path_name for entry in entries]
    if len(set(names)) == len(names):
        return entries
    first: dict[str, Entry] = {}
    for name, entry in zip(names, entries, strict=True):
        first.setdefault(name, entry)
    return list(first.values())


def decode_ids(plain: bytes) -> list[str]:
    """The ids of a list blob. Raises ``Damaged``."""
    if len(plain) % ID_BYTES:
        raise Malformed("a list of ids has a broken length")
    text = plain.hex()
    return [text[at : at + 2 * ID_BYTES] for at in range(0, len(text), 2 * ID_BYTES)]


def blob_id(text: str) -> BlobId:
    """An id from its hex. Raises ``Damaged``."""
    try:
        value = bytes.fromhex(text)
    except ValueError:
        raise Malformed("an id is not hexadecimal") from None
    if len(value) != ID_BYTES or value.hex() != text:  # fromhex also takes capitals and blanks
        raise Malformed("an id is not 32 lower-case hexadecimal digits")
    return BlobId(value)


def encode_extents(extents: Iterable[tuple[int, int]]) -> bytes:
    """The content of the list blobs in which a file of many extents has them, joined."""
    return b"".join(_EXTENT.pack(*extent) for extent in extents)


def decode_extents(plain: bytes) -> list[tuple[int, int]]:
    """The extents of a list blob. Raises ``Damaged``."""
    if len(plain) % _EXTENT.size:
        raise Malformed("a list of extents has a broken length")
    return list(_EXTENT.iter_unpack(plain))


def data_extents(size: int, extents: Iterable[tuple[int, int]] | None) -> Iterator[tuple[int, int]]:
    """Where the content of a file of that size lies, as (offset, length). Raises ``Damaged`` for impossible extents."""
    if extents is None:
        if size:
            yield 0, size
        return
    end = 0
    for offset, length in extents:
        if offset < end or length < 0 or offset + length > size:
            raise Malformed("the extents of a sparse file are impossible")
        end = offset + length
        if length:
            yield offset, length
