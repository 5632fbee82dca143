"""Scans the sources beside the parent snapshot's trees, and decides for each name: as before, or to be read.

Owns: the way through the directories, and that decision. Does not know: how bytes are read (``saver``), trees written
(``tree_writer``), or what else the comparison with the parent tells (``parent``).

This loop runs once for each name of the practice, so it is written for speed: a name that did not change costs one
``lstat``, one dictionary look-up and a few comparisons.
"""

import stat as st
from collections.abc import Container, Sequence, Set

from kinebackup.engine.backup.open_directory import Below, OpenDirectory
from kinebackup.engine.backup.parent.carrying import Carrying, and_kept
from kinebackup.engine.backup.parent.changes import EVERYTHING
from kinebackup.engine.backup.parent.diff import ParentDiff
from kinebackup.engine.backup.parent.directory import ParentNames
from kinebackup.engine.backup.parent.reuse import Reuse
from kinebackup.engine.backup.parent.trust import SECOND_NS
from kinebackup.engine.backup.run import BackupRun
from kinebackup.engine.backup.saver import FoundFile, Saver, not_readable, take_out_companions
from kinebackup.engine.backup.stats import BackupStats, TreeCounts
from kinebackup.engine.backup.tree_writer import DryTreeWriter, Node, TreeWriter
from kinebackup.engine.backup.ways import Ways
from kinebackup.engine.backup.windows import Windows
from kinebackup.engine.format import tree
from kinebackup.engine.format.snapshot import Snapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.metadata import Comparison, entry_of, read_attributes, same, take_over_attributes
from kinebackup.engine.repository.blob_reader import BlobReader
from kinebackup.engine.source import Border, Found, Listing, Source, SourceDirectory, listing_of
from kinebackup.i18n import _, ngettext
from kinebackup.model import Problem, ProblemKind


class Scan:
    """One scan of all sources. For one thread."""

    def __init__(
        self, run: BackupRun, *, saver: Saver, writer: TreeWriter | DryTreeWriter, stats: BackupStats, reuse: Reuse
    ) -> None:
        """``reuse``: what the journal says is as before is taken over; the scan may then raise ``StartOver``."""
        self._index = run.repository.index
        self._cancel = run.cancel
        self._monitor = run.monitor
        self._trust = run.trust
        self._trust_of = run.trust_of
        self._parent_is_whole = run.parent_is_whole
        self._conditions = run.repository.conditions
        self._saver = saver
        self._writer = writer
        self._stats = stats
        self._reuse = reuse
        self._window = run.request.window
        self._diff = ParentDiff(stats, reuse, compare=run.request.compare, at_once=self._window.tree_blobs)
        self._carrying = Carrying(run, self._diff, stats, writer, self._is_there)
        self._source = ""
        self._ways = Ways(self._diff)
        self._found = 0  # files met so far: those that lanes still read are counted too

    def start_from(self, reader: BlobReader, parent: Snapshot) -> None:
        """Compare with that snapshot."""
        self._diff.read_parent(reader, parent.sequence, self._trust_of)
        self._ways.start_from(parent.root)

    def problem(self, kind: ProblemKind, path: str, message: str) -> None:
        """Report something that does not end the run."""
        found = Problem(kind, path, message)
        self._stats.problems.append(found)
        self._monitor.problem(found)

    def add(self, source: Source) -> OSError | None:
        """Scan a source. Gives why it is missing, if it is."""
        ancestors: Sequence[Found] = ()
        try:
            ancestors = source.ancestors()
            directory = source.open_root()
        except OSError as error:
            self._reuse.source_is_missing()
            told = self._carrying.carry_source(source.path, self._ways, ancestors, error)
            if told:
                self.problem("unreadable", source.path, told)
            return None if told else error
        before = self._found
        self._source = source.path
        self._reuse.begin_source()
        is_folder = st.S_ISDIR(ancestors[-1].stat.st_mode)
        try:
            here = self._start(source, directory, ancestors, is_folder=is_folder)
        except BaseException:
            directory.close()
            raise
        if is_folder:
            self._descend(here)
        else:
            self._add_file(here, ancestors[-1])
        taken_over = self._reuse.files_taken_over(source.path)
        self._stats.files_by_source[source.path] = self._found - before + taken_over
        return None

    def _start(
        self, origin: Source, directory: SourceDirectory, ancestors: Sequence[Found], *, is_folder: bool
    ) -> OpenDirectory:
        """The source itself or, where it is one file, the directory that it lies in."""
        self._stats.note_owners(ancestors)
        node, old, path = self._ways.follow(ancestors[:-1])
        if not is_folder:
            alone = Windows(Listing([ancestors[-1].name]), ParentNames())
            return OpenDirectory(directory, path, node, alone, old)
        source = ancestors[-1]
        path += f"/{source.name}"
        touched = EVERYTHING  # as in a subdirectory, the journal is not asked where the parent only carried
        if source.name not in old.carried:
            touched = self._reuse.of_root(origin.path, source.stat, old.entries.get(source.name))
        entry = entry_of(source)
        self._read_attributes(entry, directory, path)
        below = Node.of(entry, old.entries.get(entry.path_name))
        node.entries.append(entry)
        node.children.append(below)
        windows = Windows(listing_of(directory), self._diff.below(old, entry, path), self._window)
        return OpenDirectory(directory, path, below, windows, touched=touched)

    def _read_attributes(self, entry: Entry, directory: SourceDirectory, path: str, name: str | None = None) -> None:
        for unread in read_attributes(entry, directory, name):
            self.problem("metadata", path, unread.text)

    def _add_file(self, here: OpenDirectory, found: Found) -> None:
        """A source that is one file. Only that name is looked at, but a database's own files beside it are seen."""
        try:
            listing = listing_of(here.directory)
            names = set(listing.names)
            if listing.broken:  # there may be such a file: a database is copied then, which is right in any case
                names.add(f"{found.name}-wal")
            self._compare(here, [found], names)
            if old := here.old.entries.get(found.name):
                self._reuse.replace([old])
        finally:
            self._close(here)

    def finish(self) -> list[str]:
        """Write what is left, wait for what is being read, and give the root tree's ids."""
        self._ways.close(self._writer)
        self._writer.finish()
        self._monitor.advance(files=self._diff.close().files)
        return self._ways.root

    def _descend(self, top: OpenDirectory) -> None:
        """Depth first, with a stack of our own: a path of 2,000 directories is legal."""
        stack = [top]
        try:
            self._list(top)
            while stack:
                here = stack[-1]
                if not here.todo:
                    self._writer.close(here.node)
                    if here.windows.is_done:
                        self._close(stack.pop())
                    else:
                        self._list(here)
                    continue
                below = self._enter(here, here.todo.pop())
                if below is not None:
                    stack.append(below)
                    self._list(below)
        finally:
            for left in stack:
                self._close(left)

    def _close(self, here: OpenDirectory) -> None:
        try:
            here.directory.close()
        except OSError as error:  # nothing was lost by that, but the disk should not do it
            self.problem(
                "metadata", here.path, _("this folder cannot be closed ({reason})").format(reason=error.strerror)
            )

    def _list(self, here: OpenDirectory) -> None:
        """The next window of a directory: everything in it but its subdirectories, which are put on ``todo``."""
        self._cancel.check()
        windows = here.windows
        window = windows.take()
        here.old = window.old
        if windows.is_split:
            here.node = here.node.next_part(is_last=window.is_last)
        elif here.old.whole and not here.old.has_marks:
            here.node.old_count = len(here.old.entries)
        looked = here.directory.look_at(window.names)
        present = {item.name for item in looked.found}
        present.update(name for name, _error in looked.unseen)
        self._compare(here, looked.found, windows.beside(present))
        for name, error in looked.unseen:
            self._carry(here, name, not_readable(error))
        if windows.broken:
            present |= self._carry_unlisted(here, present, windows.broken)
        if looked.unseen or windows.broken:
            here.node.entries.sort(key=tree.name_key)
        here.todo.reverse()
        self._diff.settle(here.node.waiting)
        self._diff.removed(here.path, here.old, present)

    def _carry_unlisted(self, here: OpenDirectory, names: Set[str], error: OSError) -> Set[str]:
        """The listing broke off: what the parent has besides these names goes on. Gives its names."""
        unlisted = here.old.entries.keys() - names
        for name in sorted(unlisted):
            here.unlisted.add(self._take_over(here, name))
        if here.windows.is_done:
            if not here.old.whole or not here.unlisted.is_counted:
                self._carrying.lose_unknown(here.old)
            message = _("this folder cannot be listed to its end ({reason})").format(reason=error.strerror)
            self.problem("unreadable", here.path, and_kept(message) if here.unlisted.is_kept else message)
        return unlisted

    def _carry(self, here: OpenDirectory, name: str, message: str, now: Entry | None = None) -> None:
        """A name that cannot be read: what the parent has of it goes on. ``now``: as ``lstat`` shows it."""
        kept = self._take_over(here, name, now)
        if kept is not None and not kept.files:
            self._carrying.lose_unknown(here.old)
        self.problem("unreadable", f"{here.path}/{name}", and_kept(message) if kept else message)

    def _take_over(self, here: OpenDirectory, name: str, now: Entry | None = None) -> TreeCounts | None:
        counts = self._carrying.carry(here.node, here.old, name, f"{here.path}/{name}", now)
        if counts is not None:
            self._found += counts.files
            self._monitor.advance(files=counts.files)
        return counts

    def _compare(self, here: OpenDirectory, found: Sequence[Found], names: Container[str]) -> None:
        """Fill the node's entries; the hot loop."""
        entries, old_entries = here.node.entries, here.old.entries
        # A pack that failed a read meanwhile may hold what these files need: from then on each blob is looked up.
        sound = self._parent_is_whole and not self._conditions.lowered
        whole_before, fine_before = self._trust.whole_before_ns, self._trust.fine_before_ns
        files = size = 0
        links: list[str] = []
        changed: list[tuple[Found, Entry | None]] = []
        for item in found:
            stat = item.stat
            old = old_entries.get(item.name)
            if (
                old is not None
                and old.ctime == stat.st_ctime_ns
                and old.mtime == stat.st_mtime_ns
                and old.size == stat.st_size
                and old.inode == stat.st_ino
                and (old.ctime < whole_before or (old.ctime < fine_before and old.ctime % SECOND_NS))
                and old.type == "file"
                and st.S_ISREG(stat.st_mode)
                and not old.uncertain
                and old.copied is None
                and (sound or self._is_there(old))
            ):
                entries.append(old)
                files += 1
                size += old.size
                if old.link:
                    links.append(old.link)
                continue
            changed.append((item, old))
        self._visit_all(here, changed, names)
        for stale in take_out_companions(here.node):
            files, size = files - 1, size - stale.size
        if files and changed:
            here.node.entries.sort(key=tree.name_key)
        if links:
            self._diff.links(here.path, links)
        here.node.kept += files
        self._found += files
        stats = self._stats
        stats.files += files
        stats.unmodified += files
        stats.bytes += size
        if files:
            self._monitor.advance(files=files)

    def _visit_all(
        self, here: OpenDirectory, changed: Sequence[tuple[Found, Entry | None]], names: Container[str]
    ) -> None:
        """Every name that is not simply as before, in order."""
        self._saver.begin_directory(here.directory, [item for item, _old in changed])
        try:
            for item, old in changed:
                self._visit(here, item, old, names)
        finally:
            self._saver.end_directory()

    def _is_there(self, old: Entry) -> bool:
        """Whether every blob of an unchanged file can be counted on."""
        if old.lists or old.extent_lists:
            return self._saver.lists_are_there(old)
        return all(self._index.has(tree.blob_id(text)) for text in old.blobs)

    def _visit(self, here: OpenDirectory, item: Found, old: Entry | None, names: Container[str]) -> None:
        """A name that is not simply as before."""
        touched, border = EVERYTHING, Border.NONE
        if st.S_ISDIR(item.stat.st_mode):
            # What the parent only carried has not been looked at since the journal was asked the last time but one.
            border = here.directory.border(item)
            if border is not Border.NONE:
                self._diff.unwatched(f"{here.path}/{item.name}")  # the journal does not look behind it
            elif item.name not in here.old.carried:
                below = self._reuse.of_directory(here.touched, item.name, item.stat, old)
                if below is None:
                    assert old is not None
                    here.node.keep(old)
                    self._stats.dirs += 1
                    return
                touched = below
        elif old is not None and old.type == "dir":
            self._diff.removed_tree(old, f"{here.path}/{item.name}")
        path = f"{here.path}/{item.name}"
        if st.S_ISSOCK(item.stat.st_mode):
            self.problem("skipped", path, _("a socket has no content to save"))
            return
        entry = entry_of(item)
        self._stats.uids.add(entry.uid)
        self._stats.gids.add(entry.gid)
        if entry.type != "dir":
            self._diff.changed(here.path, entry, old, item.stat.st_nlink)
        try:
            if entry.type == "file":
                held = len(here.node.entries)
                self._saver.save(
                    FoundFile(here.directory, here.node, item.name, path, entry, old, here.old, names, self._source)
                )
                self._found += len(here.node.entries) - held
                return
            self._describe(here, item, entry, old)
        except FileNotFoundError:
            return  # removed since the folder was listed: as if it had never been there
        except OSError as error:
            self._carry(here, item.name, not_readable(error), entry)
            return
        if entry.type == "dir":
            self._stats.dirs += 1
            here.node.entries.append(entry)
            here.todo.append(Below(item, entry, old, touched, border))
            return
        self._stats.others += 1
        if entry == old:
            here.node.keep(old)
        else:
            here.node.entries.append(entry)

    def _describe(self, here: OpenDirectory, item: Found, entry: Entry, old: Entry | None) -> None:
        """What an entry without content needs besides ``lstat``."""
        if entry.type == "symlink":
            entry.target, entry.rawtarget = tree.encode_text(here.directory.read_link(item.name))
        if old is not None and old.type == entry.type and old.ctime == entry.ctime and self._trust.proves(old.ctime):
            take_over_attributes(entry, old)
        elif entry.type != "dir":
            self._read_attributes(entry, here.directory, f"{here.path}/{item.name}", item.name)

    def _enter(self, here: OpenDirectory, below: Below) -> OpenDirectory | None:
        """Open a subdirectory; None where it is not entered."""
        item, entry, old = below.found, below.entry, below.old
        path = f"{here.path}/{item.name}"
        node = Node.of(entry, here.old.entries.get(item.name))
        if below.border in (Border.FILE_SYSTEM, Border.SNAPSHOT):
            self._stop_at(here, below.border, item.name)
            return None
        old_below = self._diff.below(here.old, entry, path)  # before anything is open: the drive may fail
        try:
            directory = here.directory.open_directory(item.name)
        except FileNotFoundError:
            here.node.entries = [known for known in here.node.entries if known is not entry]
            self._stats.dirs -= 1
            if node.old is not None:
                self._diff.removed_tree(node.old, path)
            return None
        except OSError as error:
            message = _("this folder cannot be opened ({reason})").format(reason=error.strerror)
            self._carry(here, item.name, message, entry)
            return None
        if old is None or old.ctime != entry.ctime or not self._trust.proves(entry.ctime):
            self._read_attributes(entry, directory, path)
        if old is None or not same(Comparison.FOLDER, entry, old):
            self._diff.differs(path)
        here.node.children.append(node)
        windows = Windows(listing_of(directory), old_below, self._window)
        return OpenDirectory(directory, path, node, windows, touched=below.touched)

    def _stop_at(self, here: OpenDirectory, border: Border, name: str) -> None:
        """A subdirectory that is not entered."""
        path = f"{here.path}/{name}"
        if border is Border.SNAPSHOT:
            self.problem("skipped", path, _("a read-only snapshot of the file system begins here; it is not saved"))
            if (old := here.old.entries.get(name)) is not None:
                self._diff.removed_tree(old, path)
            return
        message = _("another file system begins here and is not saved: set one_file_system = false, or exclude it")
        if files := self._carrying.lose(here.old, name, path):
            text = ngettext(
                "{problem}; {count} file that was saved here is missing",
                "{problem}; {count} files that were saved here are missing",
                files,
            )
            message = text.format(problem=message, count=files)
        self.problem("left-out", path, message)
