"""Looking into snapshots: what lies where, in which of them a file is, what differs between two.

Owns: listing, searching, comparing. Does not know: how they are shown, or how the drive was opened.

Equal tree ids mean equal directories, so that twenty years of a practice are searched in little more than the time that
one snapshot takes: a directory that did not change is read once, and two snapshots are compared where they differ only.
"""

import fnmatch
import heapq
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Literal

from kinebackup.engine import (
    BlobReader,
    Comparison,
    Entry,
    LoadedRepository,
    NamedSnapshot,
    Snapshot,
    TreeReader,
    Visited,
    Way,
    comparable,
    name_key,
)
from kinebackup.errors import NotFound
from kinebackup.model import CancelToken, Problem

ChangeKind = Literal["added", "removed", "changed", "metadata"]


@dataclass(frozen=True, slots=True)
class Listing:
    """What lies at a path of a snapshot: a folder's entries, or the one file. ``path`` is absolute.

    ``entries`` are read as they are asked for, once.
    """

    path: str
    entries: Iterator[Visited]


@dataclass(frozen=True, slots=True)
class Version:
    """One content of a file, and the snapshots that hold it, oldest first. For a folder, all of them."""

    size: int
    mtime_ns: int
    snapshots: tuple[NamedSnapshot, ...]


@dataclass(frozen=True, slots=True)
class Match:
    """A path that a search found."""

    path: str
    type: str
    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """A path that differs between two snapshots. ``metadata``: only rights, owner, attributes or times differ."""

    kind: ChangeKind
    path: str
    type: str
    size_before: int | None
    size_after: int | None


class Browser:
    """Reads the directories of one repository; what is damaged there is left out, and collected in ``problems``."""

    def __init__(self, repository: LoadedRepository, cancel: CancelToken) -> None:
        self.problems: list[Problem] = []
        self._cancel = cancel
        self._trees = TreeReader(BlobReader(repository), self.problems.append)

    # -- one snapshot --------------------------------------------------------------------------------------------

    def resolve(self, snapshot: Snapshot, path: str) -> list[Way]:
        """What a person may mean in the snapshot: as given, or below a source, or from its name on.

        Where nothing is called so, case and Unicode's two ways of writing an accent make no difference, as in
        ``search``. Raises ``NotFound`` that names what lies in the last folder that exists.
        """
        candidates = list(dict.fromkeys(_candidates(snapshot, path)))
        found: list[Way] = []
        failure: NotFound | None = None
        for candidate in candidates:
            try:
                found.append(() if candidate == "/" else self._trees.find(snapshot.root, candidate))
            except NotFound as error:
                failure = failure or error
        if not found and failure is not None:
            seen = len(self.problems)
            found = [way for candidate in candidates for way in self._alike(snapshot.root, candidate)]
            del self.problems[seen:]  # what is damaged on the way has been told once
            if not found:
                raise failure
        return found

    def _alike(self, ids: Sequence[str], path: str) -> list[Way]:
        """The ways to all paths that read as this one does."""
        ways: list[tuple[Way, Sequence[str]]] = [((), ids)]
        for part in _folded(path).strip("/").split("/"):
            ways = [
                ((*way, visited), visited.entry.tree)
                for way, below in ways
                for visited in self._trees.visit(below, way[-1].path if way else "")
                if _folded(visited.entry.path_name) == part
            ]
        return [way for way, _below in ways]

    def contents(self, snapshot: Snapshot, path: str | None, *, recursive: bool = False) -> list[Listing]:
        """What lies at that path; without one, in each source."""
        if path is None:
            ways = [way for source in snapshot.sources for way in self._existing(snapshot, source)]
        else:
            ways = self.resolve(snapshot, path)
        return [self._list_one(snapshot, way, recursive=recursive) for way in ways]

    def _existing(self, snapshot: Snapshot, source: str) -> Sequence[Way]:
        try:
            return self.resolve(snapshot, source)
        except NotFound:
            return ()  # the source was missing on that day; the snapshot's own problems say so

    def _list_one(self, snapshot: Snapshot, way: Way, *, recursive: bool) -> Listing:
        below, ids = "", snapshot.root
        if way:
            found = way[-1]
            if found.entry.type != "dir":
                return Listing(f"/{found.path}", iter((found,)))
            below, ids = found.path, tuple(found.entry.tree)
        entries = self._trees.walk(ids, below) if recursive else self._trees.visit(ids, below)
        return Listing(f"/{below}", self._until_cancelled(entries))

    def _until_cancelled(self, entries: Iterator[Visited]) -> Iterator[Visited]:
        for visited in entries:
            self._cancel.check()
            yield visited

    # -- all snapshots -------------------------------------------------------------------------------------------

    def search(self, known: Sequence[NamedSnapshot], pattern: str) -> Iterator[Match]:
        """Every path that the pattern matches, in any of these snapshots; in the order of the paths.

        A set of snapshots is an int, one bit for each: one directory blob often belongs to hundreds of them.
        """
        matches, aliases = matcher(pattern), _other_names(known)
        stack = [self._names("", [(named.snapshot.root, 1 << bit) for bit, named in enumerate(known)], known)]
        while stack:
            met = next(stack[-1], None)
            if met is None:
                stack.pop()
                continue
            full, found = met
            path_there = f"/{full}"
            also = [source + path_there[len(place) :] for place, source in aliases if _lies_in(path_there, place)]
            if any(map(matches, (path_there, *also))):
                yield _match(path_there, found, known)
            folders = [(e.tree, members) for e, members in found if e.type == "dir"]
            if folders:
                stack.append(self._names(full, folders, known))

    def _names(
        self, path: str, folder: Sequence[tuple[Sequence[str], int]], known: Sequence[NamedSnapshot]
    ) -> Iterator[tuple[str, list[tuple[Entry, int]]]]:
        """Each path in a folder, with the entries that snapshots have there. ``folder``: its trees in each of them.

        All are read side by side, a blob of each at a time; one that several snapshots have is read for the first.
        """
        members, read = _by_blob(folder), set[str]()

        def entries(ids: Sequence[str]) -> Iterator[tuple[Entry, int]]:
            for text in ids:
                if text not in read:
                    read.add(text)
                    self._cancel.check()
                    for entry in self._entries_of(text, path, known, members[text]):
                        yield entry, members[text]

        versions = map(entries, dict.fromkeys(tuple(ids) for ids, _members in folder))
        for _key, found in groupby(heapq.merge(*versions, key=_name_key), key=_name_key):
            same = list(found)
            yield _join(path, same[0][0].path_name), same

    def _entries_of(self, text: str, path: str, known: Sequence[NamedSnapshot], members: int) -> Sequence[Entry]:
        before = len(self.problems)
        entries = sorted(self._trees.entries([text], path), key=name_key)  # else a forged folder had one name in parts
        for at in range(before, len(self.problems)):
            affected = tuple(named.id for named in _members(known, members))
            self.problems[at] = replace(self.problems[at], snapshots=affected)
        return entries

    # -- two snapshots -------------------------------------------------------------------------------------------

    def compare(self, before: Snapshot, after: Snapshot) -> Iterator[Change]:
        """What differs, in the order of the paths, a folder before what lies in it."""
        stack = [self._pairs("", before.root, after.root)]
        while stack:
            met = next(stack[-1], None)
            if met is None:
                stack.pop()
                continue
            path, was, now = met
            yield from self._changes(path, was, now)
            if was and now and was.type == now.type == "dir":
                stack.append(self._pairs(path, was.tree, now.tree))

    def _pairs(
        self, path: str, old_ids: Sequence[str], new_ids: Sequence[str]
    ) -> Iterator[tuple[str, Entry | None, Entry | None]]:
        """What two folders have by each name. Blobs that both have are not read: what is in them cannot differ."""

        def entries(ids: Sequence[str], others: Sequence[str], side: int) -> Iterator[tuple[Entry, int]]:
            own = set(ids) - set(others)
            for window in self._trees.windows([text for text in ids if text in own], path):
                self._cancel.check()
                for entry in sorted(window, key=name_key):
                    yield entry, side

        old, new = entries(old_ids, new_ids, 0), entries(new_ids, old_ids, 1)
        for _key, found in groupby(heapq.merge(old, new, key=_name_key), key=_name_key):
            same = {side: entry for entry, side in found}
            yield _join(path, next(iter(same.values())).path_name), same.get(0), same.get(1)

    def _changes(self, path: str, was: Entry | None, now: Entry | None) -> Iterator[Change]:
        if was and now and (was.type == "dir") == (now.type == "dir"):
            kind = _difference(was, now)
            if kind:
                yield Change(kind, f"/{path}", now.type, _size(was), _size(now))
            return
        if was:
            for gone in self._with_all_below(path, was):
                yield Change("removed", f"/{gone.path}", gone.entry.type, _size(gone.entry), None)
        if now:
            for come in self._with_all_below(path, now):
                yield Change("added", f"/{come.path}", come.entry.type, None, _size(come.entry))

    def _with_all_below(self, path: str, entry: Entry) -> Iterator[Visited]:
        yield Visited(path, entry)
        if entry.type == "dir":
            yield from self._until_cancelled(self._trees.walk(entry.tree, path))


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether an absolute path is meant by a glob. Without a slash the glob is for names; case and Unicode's two ways
    of writing an accent make no difference: the person who searches remembers neither.
    """
    whole = pattern if pattern.startswith("/") else f"*/{pattern}"
    compiled = re.compile(fnmatch.translate(_folded(whole)))
    if "/" not in pattern:
        of_name = re.compile(fnmatch.translate(_folded(pattern)))
        return lambda path: of_name.match(_folded(path.rpartition("/")[2])) is not None
    return lambda path: compiled.match(_folded(path)) is not None


def _folded(text: str) -> str:
    return text.casefold() if text.isascii() else unicodedata.normalize("NFC", text).casefold()


def _candidates(snapshot: Snapshot, path: str) -> Iterator[str]:
    """Paths in the trees. A source is known by the path that is configured, too, from where links led to the other."""
    sources = dict(zip(snapshot.sources, snapshot.places, strict=False))
    if path.startswith("/"):
        whole = "/" + os.path.normpath(path).strip("/")
        yield whole
        yield from (f"{place}{whole[len(source) :]}" for source, place in sources.items() if _lies_in(whole, source))
        return
    for source, place in sources.items():
        yield os.path.normpath(os.path.join(place, path))
        first, _slash, rest = path.partition("/")
        if _folded(first) in (_folded(os.path.basename(source)), _folded(os.path.basename(place))):
            yield os.path.normpath(os.path.join(place, rest))
    yield os.path.normpath(f"/{path}")


def _lies_in(path: str, source: str) -> bool:
    return path == source or path.startswith(f"{source}/")


def _other_names(known: Sequence[NamedSnapshot]) -> set[tuple[str, str]]:
    """Where sources lay, and the paths by which they were configured, of those that links led elsewhere."""
    pairs = {pair for named in known for pair in zip(named.snapshot.places, named.snapshot.sources, strict=False)}
    return {(place, source) for place, source in pairs if place != source}


def _name_key(found: tuple[Entry, int]) -> bytes:
    return name_key(found[0])


def _by_blob(folders: Iterable[tuple[Sequence[str], int]]) -> dict[str, int]:
    """Which snapshots each directory blob belongs to."""
    members: dict[str, int] = {}
    for ids, bits in folders:
        for text in ids:
            members[text] = members.get(text, 0) | bits
    return members


def _members(known: Sequence[NamedSnapshot], bits: int) -> Iterator[NamedSnapshot]:
    return (named for bit, named in enumerate(known) if bits >> bit & 1)


def _match(path: str, found: Sequence[tuple[Entry, int]], known: Sequence[NamedSnapshot]) -> Match:
    versions: dict[object, tuple[Entry, int]] = {}
    for entry, bits in found:
        key = entry.type if entry.type == "dir" else comparable(Comparison.DIFF_CONTENT, entry)
        first, so_far = versions.get(key, (entry, 0))
        versions[key] = (first, so_far | bits)
    ordered = sorted(versions.values(), key=lambda version: version[1] & -version[1])  # by the oldest snapshot of each
    return Match(
        path,
        ordered[-1][0].type,
        tuple(Version(entry.size, entry.mtime, tuple(_members(known, bits))) for entry, bits in ordered),
    )


def _difference(was: Entry, now: Entry) -> ChangeKind | None:
    """Of two entries that are both folders, or neither."""

    def differ(comparison: Comparison) -> bool:
        return comparable(comparison, was) != comparable(comparison, now)

    if was.type == "dir":
        return "metadata" if differ(Comparison.DIFF_FOLDER) else None
    if differ(Comparison.DIFF_CONTENT):
        return "changed"
    return "metadata" if differ(Comparison.DIFF_FILE) else None


def _size(entry: Entry) -> int | None:
    return entry.size if entry.type == "file" else None


def _join(parent: str, name: str) -> str:
    return f"{parent}/{name}" if parent else name
