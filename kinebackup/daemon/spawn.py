"""Jobs in processes of their own.

Owns: starting one for each job, hearing what it says, and what its sudden end means. Does not know: what a job does
(work.py runs in that process).

Why not threads: the daemon stays small, for what a job needs is given back at its end; a library that crashes or a
kernel that kills for want of memory ends a job, not the daemon, which still has a drive to unmount; and a job that
hangs in a drive that was pulled holds nothing up.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Final, Protocol

from kinebackup.change_journal.cursors import TrackedBackup
from kinebackup.daemon.host.threads import in_thread
from kinebackup.engine import TrackingResult
from kinebackup.model import BackupReport, CancelToken, NotOurs, Progress, Report
from kinebackup.worker import protocol as protocol
from kinebackup.worker.protocol import Failure, JobRequest

_LOOK_S: Final = 0.1
"""How soon a job hears that it is to stop."""
_DIES_WITHIN_S: Final = 0.3

log = logging.getLogger("kinebackup.daemon")


class ChangeTracker(Protocol):
    """Who keeps the journal of changes, as far as jobs go."""

    def before(self, drive: str) -> TrackedBackup | None:
        """A backup to that drive is about to begin."""

    def after(self, tracked: TrackedBackup, report: BackupReport, trail: TrackingResult) -> BackupReport:
        """It is done. Returns the report, with what the journal had missed."""


class ProcessWorker:
    """Implements ``ports.Worker``. ``command`` starts a process that reads a request; ``environ`` is all it has."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], following: ChangeTracker | None = None
    ) -> None:
        self._command = command
        self._environ = environ
        self._following = following

    async def identify(self, drive: str, folder: str) -> NotOurs | None:
        """See ``ports.Worker``."""
        answer = await self._ask(protocol.JobMessage(drive=drive, folder=folder), CancelToken(), _ignore)
        return answer.reason if isinstance(answer, protocol.IdentityMessage) else "failed"

    async def run(
        self, request: JobRequest, cancel: CancelToken, progress: Callable[[Progress], None]
    ) -> Report | Failure:
        """See ``ports.Worker``."""
        following, tracked = self._following, None
        if following is not None and request.kind == "backup":
            tracked = await in_thread("journal", lambda: following.before(request.drive))
        followed = protocol.encode_tracking(tracked) if tracked else None
        answer = await self._ask(protocol.JobMessage(job=request, followed=followed), cancel, progress)
        if answer is None:
            return Failure(None if cancel.cancelled else "defect")
        try:
            result = protocol.decode_answer(answer)
        except ValueError as error:
            log.error("the process of a job (%s) answered nonsense: %s", request.kind, error)  # noqa: TRY400 - its only trace
            return Failure("defect")
        left = answer.left if isinstance(answer, protocol.ReportMessage) else None
        if following is None or tracked is None or left is None or not isinstance(result, BackupReport):
            return result
        report, trail = result, protocol.decode_tracking_result(left)
        return await in_thread("journal", lambda: following.after(tracked, report, trail))

    async def _ask(
        self, request: protocol.JobMessage, cancel: CancelToken, progress: Callable[[Progress], None]
    ) -> protocol.Message | None:
        """The answer; None where the process ended without one."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                env=dict(self._environ),
                limit=protocol.MAX_LINE_BYTES,
            )
        except OSError as error:
            log.error("no process could be started for a job: %s", error)  # noqa: TRY400 - a traceback says no more
            return None
        stopper = asyncio.get_running_loop().create_task(_stop_when_asked(process, cancel))
        try:
            answer = await _converse(process, request, progress)
            code = await process.wait()
        except asyncio.CancelledError:
            # The daemon ends, and hardly waits: a process that writes to a slow drive cannot end before that is done.
            with suppress(ProcessLookupError, TimeoutError):
                process.kill()
                await asyncio.wait_for(process.wait(), _DIES_WITHIN_S)
            raise
        finally:
            stopper.cancel()
        if code:
            log.error("the process of a job ended with %s", f"signal {-code}" if code < 0 else f"code {code}")
        return answer


async def _converse(
    process: asyncio.subprocess.Process, request: protocol.JobMessage, progress: Callable[[Progress], None]
) -> protocol.Message | None:
    answer: protocol.Message | None = None
    with suppress(OSError, ValueError):  # it died: its exit code is told
        if process.stdin is not None:
            process.stdin.write(protocol.encode(request))
            await process.stdin.drain()
        while process.stdout is not None and (data := await process.stdout.readline()):
            word = protocol.decode(data)
            if isinstance(word, protocol.ProgressMessage):
                progress(word.progress)
            else:
                answer = word
    return answer


async def _stop_when_asked(process: asyncio.subprocess.Process, cancel: CancelToken) -> None:
    while not cancel.cancelled:
        await asyncio.sleep(_LOOK_S)
    if process.stdin is not None:
        process.stdin.close()


def _ignore(_progress: Progress) -> None:
    """Nobody waits for it."""
