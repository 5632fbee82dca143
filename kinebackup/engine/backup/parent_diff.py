"""Comparing a scan with the parent snapshot: what was removed or taken over, which directories differ.

Owns: reading the parent's directories, and what the comparison adds to the run's ``BackupStats``. Does not know: the
source.
"""

from collections.abc import Sequence, Set
from dataclasses import dataclass, field

from kinebackup.engine.backup.reuse import Reuse
from kinebackup.engine.backup.stats import BackupStats, TreeCounts
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, same
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.model import Problem


@dataclass(slots=True, eq=False)
class ParentDirectory:
    """A directory as the parent snapshot has it. ``whole``: all of it could be read."""

    entries: dict[str, Entry] = field(default_factory=dict)
    whole: bool = True


class ParentDiff:
    """For one scan. Paths begin with a slash."""

    def __init__(self, stats: BackupStats, reuse: Reuse, *, compare: bool) -> None:
        """``compare``: find out which directories are not as the parent has them."""
        self._stats = stats
        self._reuse = reuse
        self._comparing = compare and not reuse.follows_journal  # what was taken over unseen cannot be compared
        self._suspects: list[tuple[str, Entry, Entry]] = []
        self._trees: TreeReader | None = None  # of the parent, where there is one
        self._damage = 0

    def read_parent(self, reader: BlobReader) -> None:
        """There is a parent snapshot. A damaged one costs time, not correctness."""
        self._trees = TreeReader(reader, self._parent_is_damaged)

    def _parent_is_damaged(self, _problem: Problem) -> None:
        """It cannot tell how things were: what is not known from it is read from the source."""
        self._reuse.parent_is_damaged()
        self._damage += 1
        self._comparing = False
        self._stats.changed_dirs.clear()
        self._suspects.clear()

    def directory(self, ids: Sequence[str], path: str) -> ParentDirectory:
        """A directory of the parent; an empty one where it has none."""
        if self._trees is None or not ids:
            return ParentDirectory()
        damage = self._damage
        entries = {entry.name or entry.path_name: entry for entry in self._trees.entries(ids, path.strip("/"))}
        return ParentDirectory(entries, whole=self._damage == damage)

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
        counts = self._counts_below(old.tree, path)
        self._stats.removed += counts.files
        self._reuse.replace_counts(counts)

    def lost(self, ids: Sequence[str], path: str) -> None:
        """A directory of the parent that cannot be entered this time."""
        self._reuse.lost(lambda: self._counts_below(ids, path))

    def _counts_below(self, ids: Sequence[str], path: str) -> TreeCounts:
        if self._trees is None:
            return TreeCounts()
        return TreeCounts.of(visited.entry for visited in self._trees.walk(ids, path.strip("/")))

    def close(self) -> TreeCounts:
        """All contents are known. Returns what was taken over. May raise ``StartOver``."""
        stats = self._stats
        for source, lost in stats.dropped.items():
            stats.files_by_source[source] -= lost
        stats.changed_dirs.update(
            path
            for path, entry, old in self._suspects
            if entry.copied is None and not same(Comparison.CONTENT, entry, old)
        )
        counts = self._reuse.taken_over()
        stats.files += counts.files
        stats.unmodified += counts.files
        stats.dirs += counts.dirs
        stats.others += counts.others
        stats.bytes += counts.bytes
        return counts
