"""What the source does not give this time goes on as the parent snapshot has it.

Owns: which of the parent's entries stand in for what cannot be read, and the counts of what is lost. Does not know: why
it cannot be read, or what is said of it.

An older content is better than none, and one folder that cannot be read must not keep all others from being restored:
a snapshot with carried entries *has* them, so it is trusted. It is not where the parent had files that could not be
carried (docs/decisions/0023-carried-entries.md).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kinebackup.engine.backup.parent.diff import ParentDiff
from kinebackup.engine.backup.parent.directory import ParentDirectory
from kinebackup.engine.backup.run import BackupRun
from kinebackup.engine.backup.stats import BackupStats, TreeCounts
from kinebackup.engine.backup.tree_writer import DryTreeWriter, Node, TreeWriter
from kinebackup.engine.backup.ways import Ways
from kinebackup.engine.backup.windows import Windows
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import entry_of, take_over_attributes
from kinebackup.engine.source import Found, LinkRefused, Listing
from kinebackup.i18n import _


def and_kept(message: str) -> str:
    """What is said where the parent's entry stands in."""
    return _("{problem}; what an earlier backup had of it is kept").format(problem=message)


@dataclass(slots=True)
class Unlisted:
    """What a directory had that breaks off while it is listed.

    ``is_kept``: something of it goes on; ``is_counted``: at least one file is among what is lost or goes on.
    """

    is_kept: bool = False
    is_counted: bool = False

    def add(self, counts: TreeCounts | None) -> None:
        """A name; ``counts``: see ``Carrying.carry``."""
        self.is_kept = self.is_kept or counts is not None
        self.is_counted = self.is_counted or counts is None or counts.files > 0


@dataclass(slots=True, eq=False)
class _Carried:
    """A folder of the parent that is written anew. ``todo``: its subfolders of the window that ``node`` has."""

    path: str
    windows: Windows
    node: Node
    todo: list[Entry] = field(default_factory=list)
    is_begun: bool = False


class Carrying:
    """For one scan, and its thread."""

    def __init__(
        self,
        run: BackupRun,
        diff: ParentDiff,
        stats: BackupStats,
        writer: TreeWriter | DryTreeWriter,
        is_there: Callable[[Entry], bool],
    ) -> None:
        """``is_there``: whether all that a file needs can be counted on."""
        self._run = run
        self._diff = diff
        self._stats = stats
        self._writer = writer
        self._is_there = is_there

    def carry(
        self, node: Node, above: ParentDirectory, name: str, path: str, now: Entry | None = None
    ) -> TreeCounts | None:
        """Let the parent's entry stand in for a name; gives how much that is. None: there is none, the name is lost.

        ``now``: what ``lstat`` shows; a folder's is in the node already.
        """
        old = above.as_carried(name)
        if old is None or (now is not None and now.type != old.type):
            self._lose(1, had=not above.whole)
            return None
        if old.type == "dir":
            return self._carry_folder(node, old, path, now)
        if old.type == "file" and not self._is_there(old):
            self._lose(1, had=True)
            return None
        old.link = ""  # its other names may hold something else by now
        node.entries.append(old)
        counts = TreeCounts.of([old])
        self._count(counts)
        return counts

    def carry_source(self, path: str, ways: Ways, way: Sequence[Found], error: OSError) -> str | None:
        """Let what the parent has stand in for a source that is there and cannot be opened; gives what to say of it.

        None: it is missing, for nothing is there, or something else, or a link leads there that is not followed; or the
        parent has nothing of it. ``way``: empty where that cannot be seen.
        """
        if not way or self._run.parent is None or isinstance(error, FileNotFoundError | LinkRefused):
            return None
        node, above, _path = ways.follow(way[:-1])
        now = entry_of(way[-1])
        old = above.entries.get(now.path_name)
        if old is None or old.type != now.type:
            return None
        self._stats.note_owners(way)
        if now.type == "dir":
            node.entries.append(now)
            message = _("this folder cannot be opened ({reason})").format(reason=error.strerror)
        else:
            message = _("this file cannot be read ({reason})").format(reason=error.strerror)
        kept = self.carry(node, above, now.path_name, path, now)
        if kept is not None and not kept.files:
            self.lose_unknown(above)
        files = kept.files if kept else 0
        self._stats.files_by_source[path] = files
        self._run.monitor.advance(files=files)
        return and_kept(message) if kept else message

    def lose(self, above: ParentDirectory, name: str, path: str) -> int:
        """A folder of the source is left out; gives how many files the parent had there."""
        old = above.entries.get(name)
        if old is None or old.type != "dir":
            self._lose(1, had=False)
            return 0
        counts = self._diff.counts_below(old.tree, path)
        self._diff.replaced(counts)
        self._lose(max(counts.files, 1), had=counts.files > 0)
        return counts.files

    def lose_unknown(self, above: ParentDirectory) -> None:
        """No file is known to be lost there, but something is: whoever counts must not read zero."""
        self._lose(1, had=not above.whole)

    def _lose(self, files: int, *, had: bool) -> None:
        self._stats.files_lost += files
        if had:
            self._stats.files_gone += files

    def _count(self, counts: TreeCounts) -> None:
        stats = self._stats
        stats.files += counts.files
        stats.dirs += counts.dirs
        stats.others += counts.others
        stats.bytes += counts.bytes
        stats.files_lost += counts.files

    def _carry_folder(self, node: Node, old: Entry, path: str, now: Entry | None) -> TreeCounts:
        before = self._diff.counts_below(old.tree, path)
        self._diff.replaced(before)
        if now is None:
            node.entries.append(old)
            self._stats.dirs += 1
        else:
            take_over_attributes(now, old)
            now.tree, now.carried = old.tree, old.carried
        if self._run.parent_is_whole:
            self._count(before)
            return before
        there = self._carry_what_is_there(now or old, path)
        self._count(there)
        self._lose(before.files - there.files, had=True)
        return there

    def _carry_what_is_there(self, top: Entry, path: str) -> TreeCounts:
        """A folder of a parent that is damaged: its trees are written anew, without what cannot be counted on."""
        counts = TreeCounts()
        stack = [self._carried_folder(top, path)]
        while stack:
            here = stack[-1]
            if here.todo:
                entry = here.todo.pop()
                stack.append(self._carried_folder(entry, f"{here.path}/{entry.path_name}"))
            elif here.windows.is_done and here.is_begun:
                self._writer.close(stack.pop().node)
            else:
                counts += self._carry_window(here)
        return counts

    def _carried_folder(self, entry: Entry, path: str) -> _Carried:
        windows = Windows(Listing([]), self._diff.names(entry.tree, path), self._run.request.window)
        return _Carried(path, windows, Node(entry, entry))

    def _carry_window(self, here: _Carried) -> TreeCounts:
        """The next names of a carried folder; gives how much goes on of them."""
        if here.is_begun:
            self._writer.close(here.node)
        here.is_begun = True
        window = here.windows.take()
        if here.windows.is_split:
            here.node = here.node.next_part(is_last=window.is_last)
        if window.is_last and not window.old.whole:
            self._lose(1, had=True)
        for name, unmarked in window.old.entries.items():
            entry = window.old.carried.get(name, unmarked)
            if entry.type == "file" and not self._is_there(entry):
                continue
            here.node.entries.append(entry)
            if entry.type == "dir":
                here.todo.append(entry)
        return TreeCounts.of(here.node.entries)
