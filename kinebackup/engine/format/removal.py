"""Removal records: which snapshots were removed on purpose (FORMAT.md §8).

Owns: their fields and their file. Does not know: which snapshots are there, or who asked.
"""

import hashlib
from typing import Annotated

import msgspec

from kinebackup.engine.format import compression
from kinebackup.engine.format.constants import REMOVAL
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.format.seal import open_single, seal_single
from kinebackup.engine.format.snapshot import parse_time
from kinebackup.errors import Damaged
from kinebackup.i18n import _
from kinebackup.model import FileName

BlobIdText = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]


class RemovedSnapshot(msgspec.Struct, frozen=True):
    """``sequence`` 0: its file could not be read, so only its name was known."""

    id: Annotated[FileName, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    sequence: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class Removal(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One removal, or several that were put together. ``given_up``: lists of files that do not open, by their ids."""

    time: str
    host: str
    machine: str
    removed: tuple[RemovedSnapshot, ...]
    given_up: tuple[BlobIdText, ...] = ()


def seal(removal: Removal, keys: RepositoryKeys, salt: bytes) -> tuple[FileName, bytes]:
    """Name and bytes of the record's file."""
    data = seal_single(keys, REMOVAL, salt, compression.compress(msgspec.json.encode(removal)))
    return FileName(hashlib.sha256(data).hexdigest()), data


def unseal(data: bytes, keys: RepositoryKeys) -> Removal:
    """Raises ``Damaged``."""
    try:
        removal = msgspec.json.decode(compression.decompress(open_single(keys, REMOVAL, data)), type=Removal)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Damaged(_("a removal record cannot be read")) from None
    parse_time(removal.time)
    return removal
