"""Snapshots: one sealed JSON object for each backup (FORMAT.md §8).

Owns: its fields and its file. Does not know: trees, or which snapshots to keep.
"""

import hashlib
from datetime import UTC, datetime
from typing import Annotated

import msgspec

from kinebackup.engine.format import compression
from kinebackup.engine.format.constants import SNAPSHOT
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.format.malformed import Malformed
from kinebackup.engine.format.seal import open_single, seal_single
from kinebackup.errors import Damaged
from kinebackup.i18n import _
from kinebackup.model import FileName

Sequence = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"


class Counts(msgspec.Struct, frozen=True):
    """What the snapshot holds: ``others`` are links, fifos and devices; ``bytes`` is the sum of the files' sizes."""

    files: int
    dirs: int
    others: int
    bytes: int


class SavedProblem(msgspec.Struct, frozen=True):
    """A problem of the backup, as kept in the snapshot."""

    kind: str
    path: str
    message: str


class Snapshot(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What one backup saved. ``root`` is the tree of ``/``."""

    sequence: Sequence
    time: str
    host: str
    machine: str
    sources: tuple[str, ...]
    led_to: tuple[str, ...] = ()
    root: tuple[str, ...]
    users: dict[str, str] = {}
    groups: dict[str, str] = {}
    counts: Counts
    files_by_source: tuple[int, ...] = ()
    problems: tuple[SavedProblem, ...] = ()
    problem_count: int = 0
    files_lost: int = 0
    suspicious: bool = False
    parent: str = ""
    index: tuple[str, ...] = ()
    drive: str = ""
    program: str = ""

    @property
    def taken_at(self) -> datetime:
        """``time`` as an aware UTC datetime."""
        return parse_time(self.time)

    @property
    def places(self) -> tuple[str, ...]:
        """Where each of ``sources`` really lay: its path in the trees."""
        return self.led_to or self.sources


def format_time(moment: datetime) -> str:
    """Text time, UTC."""
    return moment.astimezone(UTC).strftime(TIME_FORMAT)


def parse_time(text: str) -> datetime:
    """Raises ``Damaged`` for anything but a text time."""
    try:
        return datetime.strptime(text, TIME_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        raise Malformed("a time is not written as it should be") from None


class NamedSnapshot(msgspec.Struct, frozen=True):
    """A snapshot and its id, which is the name of its file."""

    id: FileName
    snapshot: Snapshot


def seal(snapshot: Snapshot, keys: RepositoryKeys, salt: bytes) -> tuple[FileName, bytes]:
    """Name and bytes of the snapshot's file."""
    data = seal_single(keys, SNAPSHOT, salt, compression.compress(msgspec.json.encode(_in_utf_8(snapshot))))
    return FileName(hashlib.sha256(data).hexdigest()), data


def escaped(text: str) -> str:
    """A path as a snapshot says it: JSON is UTF-8, file names are not always. Other bytes become ``\\xe9``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _in_utf_8(snapshot: Snapshot) -> Snapshot:
    return msgspec.structs.replace(
        snapshot,
        sources=tuple(escaped(path) for path in snapshot.sources),
        led_to=tuple(escaped(path) for path in snapshot.led_to),
        problems=tuple(SavedProblem(p.kind, escaped(p.path), escaped(p.message)) for p in snapshot.problems),
    )


def unseal(data: bytes, keys: RepositoryKeys) -> Snapshot:
    """Raises ``Damaged``."""
    try:
        snapshot = msgspec.json.decode(compression.decompress(open_single(keys, SNAPSHOT, data)), type=Snapshot)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Damaged(_("a snapshot cannot be read")) from None
    parse_time(snapshot.time)
    return snapshot
