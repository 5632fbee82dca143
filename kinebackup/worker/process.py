"""The process of one job of the daemon.

Owns: reading the request, running it, sending the answer. Does not know: when a job is due.

Its input stays open while the job is wanted. The daemon closes it to stop the job; if the daemon dies, the kernel does,
so no job writes to a drive that nobody watches.
"""

import os
import sys
import threading
from collections.abc import Callable, Sequence
from typing import BinaryIO

from kinebackup.change_journal.tracking import TrackedBackup
from kinebackup.engine import TrackingResult
from kinebackup.model import BackupReport, CancelToken, Problem, Progress
from kinebackup.worker import protocol as protocol
from kinebackup.worker.run import ProgressThrottle, Tools, identify, run_job


class RelayedTracking:
    """Implements ``ChangeTracking`` with what the daemon's journal knew when it started this process.

    What the backup leaves goes back to the daemon with the report; the daemon adds what had been missed.
    """

    def __init__(self, tracked: TrackedBackup) -> None:
        self._tracked = tracked
        self.result: protocol.TrackingResultMessage | None = None

    def begin(self, repository: str) -> TrackedBackup | None:
        """See ``ChangeTracking``."""
        return self._tracked if self._tracked.repository == repository else None

    def end(self, tracked: TrackedBackup, report: BackupReport, result: TrackingResult) -> Sequence[Problem]:
        """See ``ChangeTracking``."""
        self.result = protocol.encode_tracking_result(result)
        return ()


def serve_one_request(
    make_tools: Callable[[RelayedTracking | None], Tools], requests: BinaryIO, answers: BinaryIO
) -> None:
    """Read one request, run it, answer it. Raises ``ValueError`` for what is no request."""
    request = protocol.decode(requests.readline(protocol.MAX_LINE_BYTES))
    if isinstance(request, protocol.IdentifyMessage):
        reason = identify(request.drive, request.folder, make_tools(None))
        _send(answers, protocol.IdentityMessage(reason))
    elif isinstance(request, protocol.RunMessage):
        _serve_job(request, make_tools, requests, answers)
    else:
        raise ValueError("not a request")  # noqa: TRY004 - what came has a type; it is the wrong message


def _serve_job(
    request: protocol.RunMessage,
    make_tools: Callable[[RelayedTracking | None], Tools],
    requests: BinaryIO,
    answers: BinaryIO,
) -> None:
    tracking = RelayedTracking(protocol.decode_tracked(request.tracked)) if request.tracked is not None else None
    tools = make_tools(tracking)
    sending = threading.Lock()

    def send_progress(progress: Progress) -> None:
        with sending:
            _send(answers, protocol.ProgressMessage(progress))

    cancel = CancelToken()
    threading.Thread(target=_cancel_at_the_end_of, args=(requests, cancel), name="requests", daemon=True).start()
    result = run_job(request.job, tools, cancel, ProgressThrottle(send_progress, tools.world.elapsed_s))
    with sending:
        _send(answers, protocol.encode_result(result, request.job, tracking.result if tracking else None))


def _send(answers: BinaryIO, message: protocol.Message) -> None:
    answers.write(protocol.encode(message))
    answers.flush()


def _cancel_at_the_end_of(requests: BinaryIO, cancel: CancelToken) -> None:
    while requests.read(1):
        pass
    cancel.cancel()


def own_streams() -> tuple[BinaryIO, BinaryIO]:
    """Input and output for the daemon alone: whatever else prints must not write in between."""
    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(sys.stderr.fileno(), 1)
    return requests, answers
