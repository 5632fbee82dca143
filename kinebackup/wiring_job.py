"""The process of one job of the daemon.

Owns: reading the order, running it, saying how it went. Does not know: when a job is due.

Its input stays open while the job is wanted. The daemon closes it to stop the job; if the daemon dies, the kernel does,
so no job writes to a drive that nobody watches.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import BinaryIO

from kinebackup.archive.changes import Trail
from kinebackup.archive.source import Source
from kinebackup.config import Config
from kinebackup.daemon import job_words as words
from kinebackup.daemon.ports import Progress
from kinebackup.daemon.work import Teller, Tools, identify, run, without_reading_back
from kinebackup.jobs.access import PresentDrive
from kinebackup.jobs.continuity import Attempt
from kinebackup.jobs.practice import Practice
from kinebackup.jobs.world import World
from kinebackup.model import BackupReport, CancelToken, Problem
from kinebackup.wiring import make_sources, make_world, scratch_places


class GivenContinuity:
    """What the daemon's journal said when it started this process; what the backup leaves goes back to it."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self.left: words.Left | None = None

    def begin(self, repository: str, sources: Sequence[Source], now: datetime) -> Attempt | None:
        """See ``jobs.backup_job.Follows``."""
        return self._attempt if self._attempt.repository == repository else None

    def end(self, attempt: Attempt, report: BackupReport, trail: Trail, now: datetime) -> list[Problem]:
        """See ``jobs.backup_job.Follows``. What was missed, the daemon adds to the report."""
        self.left = words.left_of(trail)
        return []


def make_tools(load_config: Callable[[], Config], world: World, continuity: GivenContinuity | None = None) -> Tools:
    """What the daemon's jobs work with."""

    def back_up(
        drive: PresentDrive, practice: Practice, config: Config, cancel: CancelToken, teller: Teller
    ) -> BackupReport:
        from kinebackup.jobs.backup_job import BackupWish, run_backup

        wish = BackupWish(make_sources(config, world), without_reading_back(config.backup), continuity=continuity)
        return run_backup(drive, practice, wish, world, cancel=cancel, monitor=teller)

    return Tools(load_config, world, lambda config: scratch_places(config, world), back_up)


def serve_one_order(load_config: Callable[[], Config], orders: BinaryIO, answers: BinaryIO) -> None:
    """Read one order, run it, answer it. Raises ``ValueError`` for what is no order."""
    word = words.read(orders.readline(words.MAX_LINE_BYTES))
    if not isinstance(word, words.Order):
        raise ValueError("not an order")  # noqa: TRY004 - what came has a type; it is the wrong word
    continuity = GivenContinuity(words.attempt_of(word.followed)) if word.followed is not None else None
    tools = make_tools(load_config, make_world(), continuity)
    speaking = threading.Lock()

    def say(said: words.Word) -> None:
        with speaking:
            answers.write(words.line(said))
            answers.flush()

    if word.job is None:
        say(words.Identified(identify(word.drive, word.folder, tools)))
        return
    cancel = CancelToken()
    threading.Thread(target=_cancel_at_the_end_of, args=(orders, cancel), name="orders", daemon=True).start()

    def tell(progress: Progress) -> None:
        say(words.Made(progress))

    result = run(word.job, tools, cancel, Teller(tell, tools.world.elapsed_s))
    say(words.answer_of(result, word.job, continuity.left if continuity else None))


def _cancel_at_the_end_of(orders: BinaryIO, cancel: CancelToken) -> None:
    while orders.read(1):
        pass
    cancel.cancel()


def own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Input and output for the daemon alone: whatever else prints must not speak in between."""
    orders = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(sys.stderr.fileno(), 1)
    return orders, answers
