"""The change journal: in which directories of the sources something happened since a given moment.

Owns: the thread that listens, whether it has listened without a gap, and why not. Does not know: drives, snapshots, or
what is made of the answers.

A gap never leads to a wrong answer, only to none: then everything has to be looked at. There is one after the start of
the program, when the kernel's queue overflowed, when a source or a mount below it was moved, mounted or unmounted, and
when the kernel grants no more watches.
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

from kinebackup.change_journal.inotify import Inotify, Kernel, Limits, read_limits
from kinebackup.change_journal.mount_context import MountContext
from kinebackup.change_journal.open_files import files_open_for_writing
from kinebackup.change_journal.watched_tree import Loss, Lost, WatchedTree
from kinebackup.engine import Changes, Source
from kinebackup.i18n import _
from kinebackup.sources.folder import FolderSource

_SLICE: Final = 200  # directories that are watched before somebody else may ask
_BREATH_S: Final = 0.001
_GATHER_S: Final = 0.02  # events come in storms: they are read a few times a second, well before the queue is full
_SETTLE_S: Final = 2.0
_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 300.0
_CALM_S: Final = 600.0
_WATCHES_WANTED: Final = 524_288
_INSTANCES_WANTED: Final = 512
_SETTINGS: Final = "/etc/sysctl.d/60-kinebackup.conf"

log = logging.getLogger("kinebackup.journal")


def _restart_hint() -> str:
    return _("restart the service: systemctl restart kinebackup")


@dataclass(frozen=True, slots=True)
class Cursor:
    """A moment. ``epoch`` 0: one from which nothing can be told."""

    epoch: int
    moment: int


@dataclass(frozen=True, slots=True)
class JournalStatus:
    """How the journal stands; ``message`` and ``hint`` say why it is of no use, or not of all use, and what to do."""

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
        kernel: Callable[[], Kernel] = Inotify,
        limits: Callable[[], Limits] = read_limits,
        open_files: Callable[[Sequence[str]], frozenset[str]] = files_open_for_writing,
        elapsed_s: Callable[[], float] = time.monotonic,
    ) -> None:
        """``mount_context``: what a path lies on, read anew each time."""
        self._sources = tuple(sources)
        self._mount_context = mount_context
        self._make_kernel = kernel
        self._limits = limits
        self._open_files = open_files
        self._elapsed_s = elapsed_s
        self._lock = threading.RLock()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._wake_read = self._wake_write = -1
        self._kernel: Kernel | None = None
        self._tree: WatchedTree | None = None
        self._mount_contexts: dict[str, MountContext] = {}
        self._absent: frozenset[str] = frozenset()
        self._epoch = 0  # of the present state; 0 while there is a gap
        self._epochs = 0
        self._moment = 0
        self._pause_s = _FIRST_PAUSE_S
        self._whole_since = 0.0
        self._status = JournalStatus("off")
        self._decided = threading.Event()  # it watches, or it is off

    # -- its life --------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to watch, in a thread of its own; returns at once."""
        with self._lock:
            if self._thread is not None:
                return
            self._wake_read, self._wake_write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
            self._stand(JournalStatus("starting"))
            self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Watch no more. A later ``start`` begins anew."""
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
            self._stand(JournalStatus("off"))

    def wait(self, timeout_s: float) -> bool:
        """Until it watches everything, or never will; False where that takes longer."""
        return self._decided.wait(timeout_s)

    def distrust(self, message: str) -> None:
        """It was found to be wrong: it gives no more answers until it is started anew."""
        with self._lock:
            self._give_up(message, _restart_hint())

    # -- questions -------------------------------------------------------------------------------------------------

    def status(self) -> JournalStatus:
        """For ``status``."""
        with self._lock:
            size = self._tree.size if self._tree is not None else 0
            return replace(self._status, directories=size)

    def watches(self, source: Source) -> bool:
        """Whether that is one of its sources, with the same exclusions."""
        return isinstance(source, FolderSource) and any(source.scope == own.scope for own in self._sources)

    def mark(self) -> Cursor:
        """This moment: what happens from now on is told by ``since``."""
        with self._lock:
            self._moment += 1
            if self._tree is not None:
                self._tree.now = self._moment
            return Cursor(self._epoch, self._moment)

    def since(self, mark: Cursor) -> Changes | None:
        """In which directories something may have happened since then; None where that cannot be told."""
        with self._lock:
            if not self._is_whole(mark) or not self._settle() or not self._is_whole(mark):
                return None
            tree = self._tree
            assert tree is not None
            changes = Changes(source.path for source in self._sources)
            tree.collect(mark.moment, changes)
            watched = [root.source.path for root in tree.roots if root.is_there]
        for source in self._sources:
            if source.path not in watched:
                changes.touch(source.path, whole=True)
        for path in self._open_files(watched):
            changes.touch(os.path.dirname(path))
        return changes

    def _is_whole(self, mark: Cursor) -> bool:
        return bool(mark.epoch) and mark.epoch == self._epoch

    def _settle(self) -> bool:
        """Take in all that has happened before now. False: that takes too long, or something was lost."""
        until = self._elapsed_s() + _SETTLE_S
        try:
            while self._work():
                if self._elapsed_s() > until:
                    return False
            self._check_mounts()
        except Lost as lost:
            self._lose(lost.loss)
            return False
        return True

    def _check_mounts(self) -> None:
        """Mounts, and moves further up, are no events. Raises ``Lost``."""
        assert self._tree is not None
        for root in self._tree.roots:
            try:
                stat = os.stat(root.source.path, follow_symlinks=False)
                here = (stat.st_dev, stat.st_ino)
            except OSError:
                here = (-1, -1)
            if root.is_there and here != (root.device, root.inode):
                raise Lost("moved")
        for path, mount_context in self._mount_contexts.items():
            if self._mount_context(path) != mount_context:
                raise Lost("unmounted")
        gone = {root.source.path for root in self._tree.roots if not root.is_there and not root.top.blind}
        if any(os.path.isdir(path) for path in self._absent | gone):
            raise Lost("moved")

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
        """Wait for events and take them in. False: it is over."""
        with self._lock:
            if self._status.state == "off":
                return False
            try:
                busy = self._work()
            except Lost as lost:
                self._lose(lost.loss)
                busy = False
            kernel = self._kernel
        if kernel is None:  # put right after a while: in a storm, at once would be in vain
            self._wait(0)  # what woke it for this gap
            if not self._stopping:
                self._wait(self._pause_s)
            if not self._stopping:
                self._begin()
        elif busy:
            self._wait(_BREATH_S)  # somebody may be waiting for an answer
        else:
            poll = select.poll()
            poll.register(kernel.fileno(), select.POLLIN)
            poll.register(self._wake_read, select.POLLIN)
            poll.poll()
            self._wait(_GATHER_S)
        return not self._stopping

    def _wait(self, seconds: float) -> None:
        """Until then, or until ``_wake``."""
        if select.select([self._wake_read], [], [], seconds)[0]:
            os.read(self._wake_read, 1000)

    def _wake(self) -> None:
        """The thread waits for events, of a queue that may be closed by now."""
        with suppress(BlockingIOError):  # so many that it wakes in any case
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
                self._kernel = self._make_kernel()
            except OSError as error:
                self._give_up(*_about_instances(error, self._limits()))
                return
            self._tree = WatchedTree(self._kernel, watched)
            self._tree.now = self._moment
            self._mount_contexts = {source.path: mount_contexts[source.path] for source in watched}
            self._absent = frozenset(
                path for path, unreliable_reason in unreliable.items() if path not in present and not unreliable_reason
            )
            self._stand(JournalStatus("starting", "; ".join(sorted(set(unreliable.values()) - {""}))))

    def _work(self) -> bool:
        """Take in some of what waits. False: nothing does. Raises ``Lost``."""
        kernel, tree = self._kernel, self._tree
        if kernel is None or tree is None:
            return False
        data = kernel.read()
        if data:
            tree.handle(data)
        for _number in range(min(_SLICE, len(tree.pending))):
            tree.watch_next()
        if data or tree.pending:
            return True
        if not self._epoch:
            self._epochs += 1
            self._epoch = self._epochs
            self._whole_since = self._elapsed_s()
            self._stand(replace(self._status, state="watching"))
            log.info("the journal watches %d directories", tree.size)
        return False

    def _lose(self, loss: Loss) -> None:
        log.warning("the journal has a gap (%s): the next backup looks at everything", loss)
        if loss == "limit":
            self._give_up(*_about_watches(self._limits()))
            return
        calm = self._epoch and self._elapsed_s() - self._whole_since > _CALM_S
        self._pause_s = _FIRST_PAUSE_S if calm or loss != "overflow" else min(2 * self._pause_s, _LONGEST_PAUSE_S)
        self._close()
        self._stand(JournalStatus("starting", _("changes were missed; the next backup looks at everything")))
        self._wake()

    def _stand(self, status: JournalStatus) -> None:
        self._status = status
        if status.state == "starting":
            self._decided.clear()
        else:
            self._decided.set()

    def _give_up(self, message: str, hint: str) -> None:
        self._close()
        self._stand(JournalStatus("off", message, hint))
        self._wake()

    def _close(self) -> None:
        self._epoch = 0
        self._tree = None
        if self._kernel is not None:
            self._kernel.close()
            self._kernel = None


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
