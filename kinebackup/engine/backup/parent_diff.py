"""What a walk notes beside the new trees: what was removed or taken over, which directories differ or stay restless.

Owns: these counts and sets, in the run's ``Tally``. Does not know: the walk.
"""

from collections.abc import Collection, Mapping, Sequence, Set

from kinebackup.engine.backup.reuse import Reuse
from kinebackup.engine.backup.saver import Tally
from kinebackup.engine.backup.tree_counts import TreeCounts
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, same
from kinebackup.engine.repository.tree_reader import TreeReader
from kinebackup.model import Problem


class Accounts:
    """For one walk. Paths begin with a slash."""

    def __init__(self, tally: Tally, reuse: Reuse | None, *, compare: bool) -> None:
        """``compare``: find out which directories are not as the parent has them."""
        self._tally = tally
        self._reuse = reuse
        self._comparing = compare
        self._suspects: list[tuple[str, Entry, Entry]] = []
        self.trees: TreeReader | None = None  # of the parent, where there is one

    def parent_is_damaged(self, problem: Problem) -> None:
        """It cannot tell how things were: what is not known from it is read from the source."""
        self._comparing = False
        self._tally.changed_dirs.clear()
        self._suspects.clear()

    def links(self, directory: str, links: Sequence[str]) -> None:
        """Names of files that have several. What happens to such a file can show in the directory of another name."""
        self._tally.always_rescan.add(directory)
        if self._reuse:
            for link in links:
                self._reuse.met_link(link)

    def changed(self, directory: str, entry: Entry, old: Entry | None, names: int) -> None:
        """A name, of no directory, that is not simply as before; ``names``: how many that file has.

        A link that was made elsewhere and removed again changes ``ctime`` and nothing else: whether it was that is
        known when the content is.
        """
        if entry.link:
            self.links(directory, [entry.link])
            if self._reuse:
                self._reuse.changed_link(entry.link, names)
        elif not self._comparing:
            return
        elif old is None or not same(Comparison.APPEARANCE, entry, old):
            self._tally.changed_dirs.add(directory)
        elif entry.ctime != old.ctime:
            self._suspects.append((directory, entry, old))

    def differs(self, directory: str) -> None:
        """Its own attributes are others, or it is new."""
        if self._comparing:
            self._tally.changed_dirs.add(directory)

    def removed(self, directory: str, old: Mapping[str, Entry], present: Set[str]) -> None:
        """All of a directory has been seen: these names it had, and these it has."""
        if self._reuse:
            self._reuse.replace(old.values())
        for name in old.keys() - present:
            self.differs(directory)
            entry = old[name]
            if entry.type == "file":
                self._tally.removed += 1
            elif entry.type == "dir":
                self.removed_tree(entry, f"{directory}/{name}")

    def removed_tree(self, old: Entry, path: str) -> None:
        """A directory of the parent that is there no more."""
        counts = self._counts_below(old.tree, path)
        self._tally.removed += counts.files
        if self._reuse:
            self._reuse.replace_counts(counts)

    def lost(self, ids: Sequence[str], path: str) -> None:
        """A directory of the parent that cannot be entered this time."""
        if self._reuse:
            self._reuse.replace_counts(self._counts_below(ids, path))

    def _counts_below(self, ids: Collection[str], path: str) -> TreeCounts:
        if self.trees is None:
            return TreeCounts()
        return TreeCounts.of(visited.entry for visited in self.trees.walk(list(ids), path.strip("/")))

    def close(self) -> TreeCounts:
        """All contents are known. Returns what was taken over. May raise ``StartOver``."""
        tally = self._tally
        for source, lost in tally.dropped.items():
            tally.files_by_source[source] -= lost
        tally.changed_dirs.update(
            path
            for path, entry, old in self._suspects
            if entry.copied is None and not same(Comparison.CONTENT, entry, old)
        )
        counts = self._reuse.taken_over() if self._reuse else TreeCounts()
        tally.files += counts.files
        tally.unmodified += counts.files
        tally.dirs += counts.dirs
        tally.others += counts.others
        tally.bytes += counts.bytes
        return counts
