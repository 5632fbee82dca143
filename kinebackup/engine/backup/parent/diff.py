"""Comparing a scan with the parent snapshot: what was removed or taken over, which directories differ.

Owns: reading the parent's directories, and what the comparison adds to the run's ``BackupStats``. Does not know: the
source.
"""

import functools
from collections.abc import Callable, Iterable, Sequence, Set
from typing import Final

import msgspec

from kinebackup.engine.backup.parent.directory import WINDOW_SIZE, ParentDirectory, ParentNames
from kinebackup.engine.backup.parent.reuse import Reuse
from kinebackup.engine.backup.parent.trust import NO_TRUST, Trust
from kinebackup.engine.backup.stats import BackupStats, TreeCounts
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, same
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.model import Problem

_NO_TIME: Final = -(2**63)  # no file has it: such an entry is as no file


class ParentDiff:
    """For one scan. Paths begin with a slash."""

    def __init__(
        self, stats: BackupStats, reuse: Reuse, *, compare: bool, at_once: int = WINDOW_SIZE.tree_blobs
    ) -> None:
        """``compare``: find out which directories are not as the parent has them. ``at_once``: see ``ParentNames``."""
        self._at_once = at_once
        self._stats = stats
        self._reuse = reuse
        self._comparing = compare and not reuse.follows_journal  # what was taken over unseen cannot be compared
        self._suspects: list[tuple[str, Entry, Entry]] = []
        self._settled = 0  # so many of these wait for a lane
        self._trees: TreeReader | None = None  # of the parent, where there is one
        self._damage = 0
        self._unwatched: list[str] = []
        self._not_compared: set[str] = set()  # below marks: what differs there changed before the parent was made
        self._sequence = 0
        self._trust_of: Callable[[int], Trust] = lambda _sequence: NO_TRUST

    def read_parent(self, reader: BlobReader, sequence: int, trust_of: Callable[[int], Trust]) -> None:
        """There is a parent snapshot, of that ``sequence``. A damaged one costs time, not correctness.

        ``trust_of``: of a sequence, what the times of files prove that this snapshot had read.
        """
        self._trees = TreeReader(reader, self._parent_is_damaged)
        self._sequence = sequence
        self._trust_of = functools.cache(trust_of)

    def _parent_is_damaged(self, _problem: Problem | None = None) -> None:
        """It cannot tell how things were: what is not known from it is read from the source."""
        self._reuse.parent_is_damaged()
        self._damage += 1
        self._comparing = False
        self._stats.changed_dirs.clear()
        self._suspects.clear()
        self._settled = 0

    def directory(self, ids: Sequence[str], path: str, *, carried: int = 0) -> ParentDirectory:
        """A directory of the parent; an empty one where it has none. ``carried``: the mark of the directory itself."""
        return self.names(ids, path, carried=carried).rest()

    def names(self, ids: Sequence[str], path: str, *, carried: int = 0) -> ParentNames:
        """The same, some consecutive names at a time."""
        if carried:
            self._not_compared.add(path)
        trees = self._trees
        if trees is None or not ids:
            return ParentNames()
        met = 0

        def read(some: Sequence[str]) -> list[Entry]:
            nonlocal met
            before = self._damage
            entries = trees.entries(some, path.strip("/"))
            met += self._damage - before
            return entries

        def build(entries: list[Entry]) -> ParentDirectory:
            by_name = {entry.name or entry.path_name: entry for entry in entries}
            found = ParentDirectory(by_name, not met, self._sequence)
            found.has_marks = bool({entry.carried for entry in entries} - {0})
            if carried or found.has_marks:
                self._unmark(found, carried)
            return found

        return ParentNames(ids, read, build, self._parent_is_damaged, self._at_once)

    def below(self, above: ParentDirectory, entry: Entry, path: str) -> ParentNames:
        """A subdirectory of the parent, where it has one of that name."""
        name = entry.path_name
        old = above.entries.get(name)
        if old is None or old.type != "dir":
            return ParentNames()
        return self.names(old.tree, path, carried=above.carried[name].carried if name in above.carried else 0)

    def _unmark(self, found: ParentDirectory, carried: int) -> None:
        for name, entry in found.entries.items():
            mark = entry.carried or carried
            if not mark:
                continue
            found.carried[name] = msgspec.structs.replace(entry, carried=mark)
            # What changed in the tick in which it was read is read again: since that snapshot, not since the parent.
            certain = entry.copied is None and self._trust_of(mark).proves(entry.ctime)
            found.entries[name] = msgspec.structs.replace(entry, carried=0, ctime=entry.ctime if certain else _NO_TIME)

    def links(self, directory: str, links: Sequence[str]) -> None:
        """Names of files that have several. What happens to such a file can show in the directory of another name."""
        self._stats.always_rescan.add(directory)
        self._reuse.met_links(links)

    def changed(self, directory: str, entry: Entry, old: Entry | None, names: int) -> None:
        """A name, of no directory, that is not simply as before; ``names``: how many that file has.

        A link that was made elsewhere and removed again changes ``ctime`` and nothing else: whether it was that is
        known when the content is.
        """
        if entry.link:
            self.links(directory, [entry.link])
            self._reuse.changed_link(entry.link, names)
        elif not self._comparing:
            return
        elif old is None or not same(Comparison.APPEARANCE, entry, old):
            self._stats.changed_dirs.add(directory)
        elif entry.ctime != old.ctime:
            self._suspects.append((directory, entry, old))

    def settle(self, waiting: Set[int]) -> None:
        """The contents of what has been met since the last time are known, but of those whose ``id`` is ``waiting``."""
        new = self._suspects[self._settled :]
        if not new:
            return
        # First those that wait: a lane may end one meanwhile, which then is looked at twice, and never not at all.
        self._suspects[self._settled :] = [suspect for suspect in new if id(suspect[1]) in waiting]
        self._settled = len(self._suspects)
        self._convict(suspect for suspect in new if id(suspect[1]) not in waiting)

    def _convict(self, suspects: Iterable[tuple[str, Entry, Entry]]) -> None:
        self._stats.changed_dirs.update(
            path for path, entry, old in suspects if entry.copied is None and not same(Comparison.CONTENT, entry, old)
        )

    def unwatched(self, directory: str) -> None:
        """No journal can know of changes there, so none has missed any."""
        self._stats.always_rescan.add(directory)
        self._unwatched.append(f"{directory}/")

    def differs(self, directory: str) -> None:
        """Its own attributes are others, or it is new."""
        if self._comparing:
            self._stats.changed_dirs.add(directory)

    def removed(self, directory: str, old: ParentDirectory, present: Set[str]) -> None:
        """All of a directory has been seen: these names it had, and these it has."""
        self._reuse.replace(old.entries.values())
        for name in old.entries.keys() - present:
            self.differs(directory)
            entry = old.entries[name]
            if entry.type == "file":
                self._stats.removed += 1
            elif entry.type == "dir":
                self.removed_tree(entry, f"{directory}/{name}")

    def removed_tree(self, old: Entry, path: str) -> None:
        """A directory of the parent that is there no more."""
        counts = self.counts_below(old.tree, path)
        self._stats.removed += counts.files
        self._reuse.replace_counts(counts)

    def replaced(self, counts: TreeCounts) -> None:
        """So much of the parent is carried on, or lost, and counted anew."""
        self._reuse.replace_counts(counts)

    def counts_below(self, ids: Sequence[str], path: str) -> TreeCounts:
        """What the parent has there."""
        if self._trees is None:
            return TreeCounts()
        return TreeCounts.of(visited.entry for visited in self._trees.walk(ids, path.strip("/")))

    def close(self) -> TreeCounts:
        """All contents are known. Returns what was taken over. May raise ``StartOver``."""
        stats = self._stats
        for source, lost in stats.dropped.items():
            stats.files_by_source[source] -= lost
        self._convict(self._suspects)
        stats.changed_dirs -= self._not_compared
        if self._unwatched:
            stats.changed_dirs -= {path for path in stats.changed_dirs if path.startswith(tuple(self._unwatched))}
        counts = self._reuse.taken_over()
        stats.files += counts.files
        stats.unmodified += counts.files
        stats.dirs += counts.dirs
        stats.others += counts.others
        stats.bytes += counts.bytes
        return counts
