"""The process of one job of the daemon.

Owns: reading the request, running it, saying how it went. Does not know: when a job is due.

Its input stays open while the job is wanted. The daemon closes it to stop the job; if the daemon dies, the kernel does,
so no job writes to a drive that nobody watches.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import BinaryIO

from kinebackup.change_journal.cursors import TrackedBackup
from kinebackup.engine import Source, TrackingResult
from kinebackup.model import BackupReport, CancelToken, Problem, Progress
from kinebackup.worker import protocol as protocol
from kinebackup.worker.run import ProgressThrottle, Tools, identify, run


class RelayedTracking:
    """What the daemon's journal said when it started this process; what the backup leaves goes back to it."""

    def __init__(self, tracked: TrackedBackup) -> None:
        self._attempt = tracked
        self.left: protocol.ResultMessage | None = None

    def begin(self, repository: str, sources: Sequence[Source], now: datetime) -> TrackedBackup | None:
        """See ``jobs.backup_job.Follows``."""
        return self._attempt if self._attempt.repository == repository else None

    def end(self, tracked: TrackedBackup, report: BackupReport, trail: TrackingResult, now: datetime) -> list[Problem]:
        """See ``jobs.backup_job.Follows``. What was missed, the daemon adds to the report."""
        self.left = protocol.encode_tracking_result(trail)
        return []


def serve_one_request(
    make_tools: Callable[[RelayedTracking | None], Tools], requests: BinaryIO, answers: BinaryIO
) -> None:
    """Read one request, run it, answer it. Raises ``ValueError`` for what is no request."""
    word = protocol.decode(requests.readline(protocol.MAX_LINE_BYTES))
    if not isinstance(word, protocol.JobMessage):
        raise ValueError("not a request")  # noqa: TRY004 - what came has a type; it is the wrong word
    tracking = RelayedTracking(protocol.decode_tracking(word.followed)) if word.followed is not None else None
    tools = make_tools(tracking)
    speaking = threading.Lock()

    def say(said: protocol.Message) -> None:
        with speaking:
            answers.write(protocol.encode(said))
            answers.flush()

    if word.job is None:
        say(protocol.IdentityMessage(identify(word.drive, word.folder, tools)))
        return
    cancel = CancelToken()
    threading.Thread(target=_cancel_at_the_end_of, args=(requests, cancel), name="requests", daemon=True).start()

    def tell(progress: Progress) -> None:
        say(protocol.ProgressMessage(progress))

    result = run(word.job, tools, cancel, ProgressThrottle(tell, tools.world.elapsed_s))
    say(protocol.encode_answer(result, word.job, tracking.left if tracking else None))


def _cancel_at_the_end_of(requests: BinaryIO, cancel: CancelToken) -> None:
    while requests.read(1):
        pass
    cancel.cancel()


def own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Input and output for the daemon alone: whatever else prints must not speak in between."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(sys.stderr.fileno(), 1)
    return requests, answers
