"""Taking over directories of the parent snapshot unseen, where the journal says that nothing changed in them.

Owns: when that may be done, and the counts of what was taken over. Does not know: the scan, or how the journal knows.

Trees hold no totals, and reading all of them would cost what the journal saves. So the totals of the new snapshot are
those of the parent, without what the directories looked at held then, plus what they hold now.
"""

import os
from collections import Counter
from collections.abc import Iterable, Sequence

from kinebackup.engine.backup.parent.changes import EVERYTHING, ChangesSince, DirtyDir
from kinebackup.engine.backup.parent.trust import Trust
from kinebackup.engine.backup.stats import TreeCounts
from kinebackup.engine.format.snapshot import Snapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, matches


class StartOver(Exception):
    """Something does not fit what the journal says: everything has to be looked at. Costs time, nothing else."""


class Reuse:
    """For one scan that looks at everything: nothing is taken over.

    Any method of ``JournalReuse`` may raise ``StartOver``; none of these does.
    """

    follows_journal = False

    def begin_source(self) -> None:
        """The next source is scanned from here on."""

    def source_is_missing(self) -> None:
        """It cannot be opened."""

    def parent_is_damaged(self) -> None:
        """A directory of the parent cannot be read."""

    def of_root(self, source: str, stat: os.stat_result, old: Entry | None) -> DirtyDir:
        """What to look at in a source."""
        return EVERYTHING

    def of_directory(self, parent: DirtyDir, name: str, stat: os.stat_result, old: Entry | None) -> DirtyDir | None:
        """What to look at in a subdirectory; None where all of it is taken over from the parent snapshot."""
        return EVERYTHING

    def replace(self, entries: Iterable[Entry]) -> None:
        """These entries of the parent snapshot are looked at again, and counted again."""

    def replace_counts(self, counts: TreeCounts) -> None:
        """So much of the parent snapshot is looked at again, carried on, or gone."""

    def met_links(self, links: Sequence[str]) -> None:
        """One name each of files that have several."""

    def changed_link(self, link: str, names: int) -> None:
        """A file that is not as before has so many names."""

    def files_taken_over(self, source: str) -> int:
        """How many files of this source, which has been scanned, are in directories that were taken over."""
        return 0

    def taken_over(self) -> TreeCounts:
        """What lies in all directories that were taken over, at the end of the scan."""
        return TreeCounts()


class JournalReuse(Reuse):
    """For one scan that follows the journal."""

    follows_journal = True

    def __init__(self, parent: Snapshot, since: ChangesSince, trust: Trust) -> None:
        """The caller has made sure that ``since`` speaks of this parent and that all its blobs can be counted on."""
        self._parent = parent
        self._since = since
        self._trust = trust
        self._replaced = TreeCounts()
        self._replaced_here = 0  # files of the source being scanned
        self._names = Counter[str]()
        self._expected: dict[str, int] = {}

    def parent_is_damaged(self) -> None:
        """What it held is unknown, and so are the counts. Raises ``StartOver``."""
        raise StartOver

    def source_is_missing(self) -> None:
        """Raises ``StartOver``."""
        raise StartOver

    def begin_source(self) -> None:
        self._replaced_here = 0

    def of_root(self, source: str, stat: os.stat_result, old: Entry | None) -> DirtyDir:
        """What to look at in a source. Raises ``StartOver`` where the source is not the folder that it was."""
        touched = self._since.changes.of_source(source)
        if touched is None or old is None or old.type != "dir" or old.inode != stat.st_ino:
            raise StartOver
        return touched

    def of_directory(self, parent: DirtyDir, name: str, stat: os.stat_result, old: Entry | None) -> DirtyDir | None:
        """What to look at in a subdirectory; None where all of it is taken over from the parent snapshot.

        The directory itself has been looked at together with its parent, at no cost: one that is not what it was is not
        taken over, whatever the journal says.
        """
        if parent.whole:
            return EVERYTHING
        if old is None or old.type != "dir" or old.inode != stat.st_ino:
            return EVERYTHING
        touched = parent.below.get(name)
        if touched is not None:
            return touched
        as_before = self._trust.proves(old.ctime) and matches(Comparison.UNTOUCHED, old, stat)
        return None if as_before else DirtyDir()

    # -- counts ----------------------------------------------------------------------------------------------------

    def replace(self, entries: Iterable[Entry]) -> None:
        self.replace_counts(TreeCounts.of(entries))

    def replace_counts(self, counts: TreeCounts) -> None:
        self._replaced += counts
        self._replaced_here += counts.files

    def files_taken_over(self, source: str) -> int:
        before = dict(zip(self._parent.places, self._parent.files_by_source, strict=True))
        return _not_negative(before[source] - self._replaced_here)

    def taken_over(self) -> TreeCounts:
        """What lies in all directories that were taken over, at the end of the scan. May raise ``StartOver``."""
        self._check_links()
        counts = self._parent.counts
        return TreeCounts(
            files=_not_negative(counts.files - self._replaced.files),
            dirs=_not_negative(counts.dirs - self._replaced.dirs),
            others=_not_negative(counts.others - self._replaced.others),
            bytes=_not_negative(counts.bytes - self._replaced.bytes),
        )

    # -- hard links ------------------------------------------------------------------------------------------------

    def met_links(self, links: Sequence[str]) -> None:
        self._names.update(links)

    def changed_link(self, link: str, names: int) -> None:
        """A file that is not as before has so many names: all of them have to be met.

        To link a file shows in the directory of the new name only, and to write to it in that of the name by which it
        was opened. Directories in which such names are known are looked at each time; a name that is not met lies where
        nobody knew, or outside of the sources.
        """
        self._expected[link] = names

    def _check_links(self) -> None:
        if any(self._names[link] < names for link, names in self._expected.items()):
            raise StartOver


def _not_negative(number: int) -> int:
    """Counts that do not add up say that something was not what it was held for."""
    if number < 0:
        raise StartOver
    return number
