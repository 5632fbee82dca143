"""What a snapshot lacks of what its sources had, and where that still is.

Owns: which paths, as of when they are there, and which snapshot is the newest that has them. Does not know: words.

A backup that cannot read something saves the rest: what an earlier backup has of it is carried on, marked with that
backup's ``sequence``; what none has is among the snapshot's problems.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from kinebackup.engine.format.snapshot import NamedSnapshot, Snapshot, escaped
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.repository import LoadedRepository
from kinebackup.engine.repository.tree_reader import TreeReader, Way

LOSSES: Final = frozenset({"unreadable", "source-missing", "source-empty", "left-out"})
NOTES: Final = frozenset({"skipped"})


@dataclass(frozen=True, slots=True)
class Lacking:
    """Something that was not saved as it was. ``path``: absolute.

    ``carried``: the ``sequence`` of the backup as of which it comes back; 0 where it does not. ``note``: it is of a
    kind that no backup saves. ``newest``: the newest snapshot of that computer that has it and could read it.
    """

    path: str
    carried: int
    note: bool
    newest: NamedSnapshot | None


@dataclass(slots=True)
class _Wanted:
    """Names that are looked for in a directory, and in those below it. ``path``: where one of them ends."""

    below: dict[str, "_Wanted"] = field(default_factory=dict)
    path: str = ""


def find_lacking(
    repository: LoadedRepository, named: NamedSnapshot, ways: Sequence[Way], snapshots: Sequence[NamedSnapshot]
) -> list[Lacking]:
    """What is lacking at, below or above what the ways lead to; none means everything. In the order of the paths.

    ``snapshots``: where to look for it, oldest first.
    """
    wanted = ["/" + "/".join(escaped(visited.entry.path_name) for visited in way) for way in ways] or ["/"]
    problems = [p for p in named.snapshot.problems if _concerns(p.path, wanted)]
    notes = {p.path for p in problems if p.kind in NOTES}
    lost = {p.path: 0 for p in problems if p.kind in LOSSES}
    trees = TreeReader(BlobReader(repository), lambda _problem: None)
    if named.snapshot.files_lost:  # else nothing is carried, and all its trees need not be read
        lost.update(_carried(named.snapshot, ways, trees))
    others = [each for each in snapshots if each.id != named.id and each.snapshot.machine == named.snapshot.machine]
    newest = _newest_with(lost, others, trees)
    paths = sorted(lost.keys() | notes)
    return [Lacking(path, lost.get(path, 0), path not in lost, newest.get(path)) for path in paths]


def _concerns(path: str, wanted: Iterable[str]) -> bool:
    return any(_is_within(path, each) or _is_within(each, path) for each in wanted)


def _is_within(path: str, above: str) -> bool:
    return path == above or path.startswith(above.rstrip("/") + "/")


def _carried(snapshot: Snapshot, ways: Sequence[Way], trees: TreeReader) -> Iterator[tuple[str, int]]:
    """What is carried on: the topmost of it, and below that what is of yet another backup."""
    roots: list[tuple[str, Sequence[str], int]] = []
    for way in ways:
        carried = next((visited.entry.carried for visited in reversed(way) if visited.entry.carried), 0)
        if carried:
            yield "/" + escaped(way[-1].path), carried
        roots.append((way[-1].path, way[-1].entry.tree, carried))
    if not ways:
        roots.append(("", snapshot.root, 0))
    for path, ids, carried in roots:
        stack = [(trees.visit(ids, path), carried)]
        while stack:
            directory, above = stack[-1]
            visited = next(directory, None)
            if visited is None:
                stack.pop()
                continue
            entry = visited.entry
            if entry.carried not in (0, above):
                yield "/" + escaped(visited.path), entry.carried
            if entry.type == "dir":
                stack.append((trees.visit(entry.tree, visited.path), entry.carried or above))


def _newest_with(
    paths: Iterable[str], snapshots: Sequence[NamedSnapshot], trees: TreeReader
) -> dict[str, NamedSnapshot]:
    """For each path the last of the snapshots that has it, and could read it. A directory is read once."""
    top, waiting = _tree_of(paths), set(paths)
    known: dict[tuple[str, tuple[str, ...]], dict[str, Entry]] = {}
    found: dict[str, NamedSnapshot] = {}
    for named in reversed(snapshots):
        if not waiting:
            break
        lacks = {problem.path for problem in named.snapshot.problems if problem.kind in LOSSES}
        stack: list[tuple[str, Sequence[str], _Wanted]] = [("", named.snapshot.root, top)]
        while stack:
            path, ids, wanted = stack.pop()
            key = path, tuple(ids)
            if key not in known:
                entries = (entry for window in trees.windows(ids, path) for entry in window)
                named_so = ((escaped(entry.path_name), entry) for entry in entries)
                known[key] = {name: entry for name, entry in named_so if name in wanted.below}
            for name, entry in known[key].items():
                below = wanted.below[name]
                if entry.carried:
                    continue
                if below.path in waiting and below.path not in lacks:
                    found[below.path] = named
                    waiting.discard(below.path)
                if below.below:
                    stack.append((f"{path}/{name}", entry.tree, below))
    return found


def _tree_of(paths: Iterable[str]) -> _Wanted:
    top = _Wanted()
    for path in paths:
        here = top
        for part in path.split("/"):
            if part:
                here = here.below.setdefault(part, _Wanted())
        here.path = path
    return top
