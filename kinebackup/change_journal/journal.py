"""The change journal: which directories of the sources have changed since a given moment.

Owns: the thread that reads events, whether the record is complete, and why it is not. Does not know: drives, snapshots,
or how a backup uses the answers.

After a gap the journal gives no answer, never a wrong one: the backup then has to scan everything. There is a gap after
a start of the program, when the kernel's queue overflows, when a source or a mount below it is moved, mounted or
unmounted, and when the kernel's limit of watches is reached.
"""

import errno
import logging
import os
import select
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final, Literal

from kinebackup.change_journal.inotify import Inotify, InotifyQueue, Limits, read_limits
from kinebackup.change_journal.mount_context import MountContext
from kinebackup.change_journal.open_files import files_open_for_writing
from kinebackup.change_journal.watched_tree import GapReason, JournalGap, WatchedTree
from kinebackup.engine import Changes, Source
from kinebackup.i18n import _
from kinebackup.sources.folder import FolderSource

_BATCH: Final = 200  # directories to watch before the lock is released
_YIELD_S: Final = 0.001
_COALESCE_S: Final = 0.02  # events come in bursts; this is short enough for the queue not to overflow meanwhile
_DRAIN_TIMEOUT_S: Final = 2.0
_FIRST_BACKOFF_S: Final = 1.0
_LONGEST_BACKOFF_S: Final = 300.0
_QUIET_S: Final = 600.0
_WATCHES_WANTED: Final = 524_288
_INSTANCES_WANTED: Final = 512
_SETTINGS: Final = "/etc/sysctl.d/60-kinebackup.conf"

log = logging.getLogger("kinebackup.journal")


def _restart_hint() -> str:
    return _("restart the service: systemctl restart kinebackup")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A moment on the journal's logical clock. With ``epoch`` 0 no changes can be told from it."""

    epoch: int
    moment: int


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """``message`` and ``hint`` say why the journal cannot be used, or not for all sources, and what to do."""

    state: Literal["off", "starting", "watching"]
    message: str = ""
    hint: str = ""
    directories: int = 0


class ChangeJournal:
    """Watches the sources from ``start`` to ``stop``. Every method may be called from any thread."""

    def __init__(
        self,
        sources: Sequence[FolderSource],
        mount_context: Callable[[str], MountContext],
        *,
        open_queue: Callable[[], InotifyQueue] = Inotify,
        limits: Callable[[], Limits] = read_limits,
        open_files: Callable[[Sequence[str]], frozenset[str]] = files_open_for_writing,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``mount_context``: the mounts around a path, read again at each call."""
        self._sources = tuple(sources)
        self._mount_context = mount_context
        self._open_queue = open_queue
        self._limits = limits
        self._open_files = open_files
        self._elapsed_s = elapsed_s
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._wake_read = self._wake_write = -1
        self._queue: InotifyQueue | None = None
        self._tree: WatchedTree | None = None
        self._mount_contexts: dict[str, MountContext] = {}
        self._absent: frozenset[str] = frozenset()
        self._epoch = 0  # of the current record; 0 while there is a gap
        self._epochs = 0
        self._moment = 0
        self._backoff_s = _FIRST_BACKOFF_S
        self._complete_since = 0.0
        self._status = JournalStatus("off")
        self._settled = threading.Event()  # "watching" or "off", no longer "starting"

    # -- start and stop ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start watching in a background thread; returns at once."""
        with self._lock:
            if self._thread is not None:
                return
            self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self._set_status(JournalStatus("starting"))
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Stop watching. It can be started again, with an empty record."""
        with self._lock:
            thread = self._thread
            if thread is None:
                return
            self._stopping = True
            self._wake()
        thread.join()
        with self._lock:
            self._thread = None
            self._stopping = False
            os.close(self._wake_read)
            os.close(self._wake_write)
            self._set_status(JournalStatus("off"))

    def wait(self, timeout_s: float) -> bool:
        """Wait until it watches everything or is off. False on timeout."""
        return self._settled.wait(timeout_s)

    def disable(self, message: str) -> None:
        """Give no more answers until the next start, because the journal was found to be wrong."""
        with self._lock:
            self._give_up(message, _restart_hint())

    # -- queries -----------------------------------------------------------------------------------------------------

    def status(self) -> JournalStatus:
        """The state that ``status`` shows."""
        with self._lock:
            size = self._tree.size if self._tree is not None else 0
            return replace(self._status, directories=size)

    def watches(self, source: Source) -> bool:
        """Whether this is one of its sources, with the same exclusions."""
        return isinstance(source, FolderSource) and any(source.scope == own.scope for own in self._sources)

    def cursor(self) -> Cursor:
        """Now: a later ``changes_since`` of it tells every change from here on."""
        with self._lock:
            self._moment += 1
            if self._tree is not None:
                self._tree.now = self._moment
            return Cursor(self._epoch, self._moment)

    def changes_since(self, cursor: Cursor) -> Changes | None:
        """The directories that may have changed since then; None after a gap."""
        with self._lock:
            if not self._covers(cursor) or not self._drain() or not self._covers(cursor):
                return None
            tree = self._tree
            assert tree is not None
            changes = Changes(source.path for source in self._sources)
            tree.collect(cursor.moment, changes)
            watched = [root.source.path for root in tree.roots if root.is_there]
        for source in self._sources:
            if source.path not in watched:
                changes.touch(source.path, whole=True)
        for path in self._open_files(watched):
            changes.touch(os.path.dirname(path))
        return changes

    def _covers(self, cursor: Cursor) -> bool:
        return bool(cursor.epoch) and cursor.epoch == self._epoch

    def _drain(self) -> bool:
        """Process all events up to now. False: that took too long, or there is a gap."""
        until = self._elapsed_s() + _DRAIN_TIMEOUT_S
        try:
            while self._process_some():
                if self._elapsed_s() > until:
                    return False
            self._check_mounts()
        except JournalGap as gap:
            self._on_gap(gap.reason)
            return False
        return True

    def _check_mounts(self) -> None:
        """inotify reports neither mounts nor moves of a parent directory. Raises ``JournalGap``."""
        assert self._tree is not None
        for root in self._tree.roots:
            try:
                stat = os.stat(root.source.path, follow_symlinks=False)
                here = (stat.st_dev, stat.st_ino)
            except OSError:
                here = (-1, -1)
            if root.is_there and here != (root.device, root.inode):
                raise JournalGap("moved")
        for path, mount_context in self._mount_contexts.items():
            if self._mount_context(path) != mount_context:
                raise JournalGap("unmounted")
        gone = {root.source.path for root in self._tree.roots if not root.is_there and not root.top.unwatchable}
        if any(os.path.isdir(path) for path in self._absent | gone):
            raise JournalGap("moved")

    # -- the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        try:
            self._begin()
            while self._listen():
                pass
        except Exception as defect:  # noqa: BLE001 - without a journal backups are slow; a daemon that ends makes none
            where = traceback.extract_tb(defect.__traceback__)[-1]
            log.error("the journal ended by a defect: %s in line %d", type(defect).__name__, where.lineno or 0)  # noqa: TRY400 - a traceback's message can name a patient's folder
            with self._lock:
                self._give_up(_("the change journal failed in a way that was not foreseen"), _restart_hint())
        with self._lock:
            self._close()

    def _listen(self) -> bool:
        """Wait for events and process them. False: the thread is to end."""
        with self._lock:
            if self._status.state == "off":
                return False
            try:
                busy = self._process_some()
            except JournalGap as gap:
                self._on_gap(gap.reason)
                busy = False
            queue = self._queue
        if queue is None:  # start over after a pause: in a burst of events, the next overflow would follow at once
            self._wait(0)  # clear the wake-up of this gap
            if not self._stopping:
                self._wait(self._backoff_s)
            if not self._stopping:
                self._begin()
        elif busy:
            self._wait(_YIELD_S)  # let a waiting caller have the lock
        else:
            poll = select.poll()
            poll.register(queue.fileno(), select.POLLIN)
            poll.register(self._wake_read, select.POLLIN)
            poll.poll()
            self._wait(_COALESCE_S)
        return not self._stopping

    def _wait(self, seconds: float) -> None:
        """Sleep, at most until ``_wake``."""
        if select.select([self._wake_read], [], [], seconds)[0]:
            os.read(self._wake_read, 1000)

    def _wake(self) -> None:
        """Wake the thread: it may be waiting for events of a queue that was closed."""
        with suppress(BlockingIOError):  # the pipe is full, so the thread wakes in any case
            os.write(self._wake_write, b"x")

    def _begin(self) -> None:
        mount_contexts = {source.path: self._mount_context(source.path) for source in self._sources}
        unreliable = {
            s.path: mount_contexts[s.path].unreliable_reason(one_file_system=s.one_file_system) for s in self._sources
        }
        present = {source.path for source in self._sources if os.path.isdir(source.path)}
        watched = [source for source in self._sources if source.path in present and not unreliable[source.path]]
        with self._lock:
            if self._status.state == "off":
                return
            try:
                self._queue = self._open_queue()
            except OSError as error:
                self._give_up(*_about_instances(error, self._limits()))
                return
            self._tree = WatchedTree(self._queue, watched)
            self._tree.now = self._moment
            self._mount_contexts = {source.path: mount_contexts[source.path] for source in watched}
            self._absent = frozenset(
                path for path, unreliable_reason in unreliable.items() if path not in present and not unreliable_reason
            )
            self._set_status(JournalStatus("starting", "; ".join(sorted(set(unreliable.values()) - {""}))))

    def _process_some(self) -> bool:
        """Process one batch of events and pending directories. False: nothing was waiting. Raises ``JournalGap``."""
        queue, tree = self._queue, self._tree
        if queue is None or tree is None:
            return False
        data = queue.read()
        if data:
            tree.handle(data)
        for _number in range(min(_BATCH, len(tree.pending))):
            tree.watch_next()
        if data or tree.pending:
            return True
        if not self._epoch:
            self._epochs += 1
            self._epoch = self._epochs
            self._complete_since = self._elapsed_s()
            self._set_status(replace(self._status, state="watching"))
            log.info("the journal watches %d directories", tree.size)
        return False

    def _on_gap(self, reason: GapReason) -> None:
        log.warning("the journal has a gap (%s): the next backup scans everything", reason)
        if reason == "limit":
            self._give_up(*_about_watches(self._limits()))
            return
        was_quiet = self._epoch and self._elapsed_s() - self._complete_since > _QUIET_S
        self._backoff_s = (
            _FIRST_BACKOFF_S if was_quiet or reason != "overflow" else min(2 * self._backoff_s, _LONGEST_BACKOFF_S)
        )
        self._close()
        self._set_status(JournalStatus("starting", _("changes were missed; the next backup looks at everything")))
        self._wake()

    def _set_status(self, status: JournalStatus) -> None:
        self._status = status
        if status.state == "starting":
            self._settled.clear()
        else:
            self._settled.set()

    def _give_up(self, message: str, hint: str) -> None:
        self._close()
        self._set_status(JournalStatus("off", message, hint))
        self._wake()

    def _close(self) -> None:
        self._epoch = 0
        self._tree = None
        if self._queue is not None:
            self._queue.close()
            self._queue = None


def _about_watches(limits: Limits) -> tuple[str, str]:
    message = _(
        "this computer lets a program watch {count} folders only, too few for yours: each backup looks at all files"
    )
    hint = _("write this line to {file}, then run sysctl --system and restart the service: {line}")
    wanted = max(_WATCHES_WANTED, 2 * limits.watches)
    return message.format(count=limits.watches), hint.format(
        file=_SETTINGS, line=f"fs.inotify.max_user_watches = {wanted}"
    )


def _about_instances(error: OSError, limits: Limits) -> tuple[str, str]:
    if error.errno != errno.EMFILE:
        return _("this computer cannot watch folders ({reason})").format(reason=error.strerror), ""
    message = _("too many programs watch folders on this computer: each backup looks at all files")
    hint = _("write this line to {file}, then run sysctl --system and restart the service: {line}")
    wanted = max(_INSTANCES_WANTED, 2 * limits.instances)
    return message, hint.format(file=_SETTINGS, line=f"fs.inotify.max_user_instances = {wanted}")
