"""Snapshots: one sealed JSON object for each backup (FORMAT.md §8).

Owns: its fields and its file. Does not know: trees, or which snapshots to keep.
"""

import hashlib
import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

import msgspec

from kinebackup.engine.format import compression, features
from kinebackup.engine.format.constants import SNAPSHOT
from kinebackup.engine.format.key_schedule import RepositoryKeys
from kinebackup.engine.format.malformed import Malformed
from kinebackup.engine.format.seal import open_single, seal_single
from kinebackup.errors import Damaged, NeedsNewer
from kinebackup.i18n import _
from kinebackup.model import FileName

_Item = TypeVar("_Item")
Sequence = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]

# What a writer keeps, so that no practice and no trouble makes a record that a reader refuses (FORMAT.md §13).
MAX_PROBLEMS = 1000
_MAX_PROBLEM_BYTES = 8 * 2**20  # of all of them, as JSON
_MAX_PATH_CHARACTERS = 4096  # of the path of one
_MAX_NAME_BYTES = 4 * 2**20  # of the users, and as much of the groups, as JSON
_MAX_INDEX_FILES = 10_000

TIME_FORMAT = "%Y-%m-%dT%H:%M:%S.%fZ"
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z")


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
    original: str = ""
    features_needed_to_read: tuple[str, ...] = ()
    features_needed_to_write: tuple[str, ...] = ()

    @property
    def problems_in_all(self) -> int:
        """How many there were, those counted that are not kept."""
        return self.problem_count or len(self.problems)

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
    try:  # not strptime(3)'s likeness, which takes longer to load than all snapshots of a drive to be read
        if _TIME.fullmatch(text):
            return datetime.fromisoformat(text)
    except ValueError:
        pass
    raise Malformed("a time is not written as it should be")


class NamedSnapshot(msgspec.Struct, frozen=True):
    """A snapshot and its id, which is the name of its file."""

    id: FileName
    snapshot: Snapshot


def seal(snapshot: Snapshot, keys: RepositoryKeys, salt: bytes) -> tuple[FileName, bytes]:
    """Name and bytes of the snapshot's file. Give it what ``written`` gives, which is what is read again."""
    data = seal_single(keys, SNAPSHOT, salt, compression.compress(msgspec.json.encode(written(snapshot))))
    return FileName(hashlib.sha256(data).hexdigest()), data


def escaped(text: str) -> str:
    """A path as a snapshot says it: JSON is UTF-8, file names are not always. Other bytes become ``\\xe9``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def written(snapshot: Snapshot) -> Snapshot:
    """The snapshot as its record has it: in UTF-8, and not longer than a reader takes."""
    problems = _first(map(_in_utf_8, snapshot.problems[:MAX_PROBLEMS]), _MAX_PROBLEM_BYTES)
    cut = len(problems) < len(snapshot.problems)
    return msgspec.structs.replace(
        snapshot,
        sources=tuple(map(escaped, snapshot.sources)),
        led_to=tuple(map(escaped, snapshot.led_to)),
        users=dict(_first(snapshot.users.items(), _MAX_NAME_BYTES)),
        groups=dict(_first(snapshot.groups.items(), _MAX_NAME_BYTES)),
        problems=tuple(problems),
        problem_count=snapshot.problem_count or (len(snapshot.problems) if cut else 0),
        index=snapshot.index if len(snapshot.index) <= _MAX_INDEX_FILES else (),
    )


def _in_utf_8(problem: SavedProblem) -> SavedProblem:
    path = escaped(problem.path)
    if len(path) > _MAX_PATH_CHARACTERS:
        path = f"{path[: _MAX_PATH_CHARACTERS - 1]}…"
    return SavedProblem(problem.kind, path, escaped(problem.message))


def _first(items: Iterable[_Item], limit_bytes: int) -> list[_Item]:
    """As many of the first ones as have room."""
    found: list[_Item] = []
    for item in items:
        limit_bytes -= len(msgspec.json.encode(item)) + 1
        if limit_bytes < 0:
            break
        found.append(item)
    return found


def unseal(data: bytes, keys: RepositoryKeys) -> Snapshot:
    """Raises ``Damaged``, or ``NeedsNewer`` for one that an old program must not read."""
    try:
        snapshot = msgspec.json.decode(compression.decompress(open_single(keys, SNAPSHOT, data)), type=Snapshot)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Damaged(_("a snapshot cannot be read")) from None
    if needed := features.unknown(snapshot.features_needed_to_read):
        raise NeedsNewer(
            _("a newer version of KineBackup is needed to read this backup ({features})").format(features=needed),
            _("install the newest KineBackup, or use recover.py from the drive"),
        )
    parse_time(snapshot.time)
    return snapshot
