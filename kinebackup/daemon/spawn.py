"""Jobs in processes of their own.

Owns: starting one for each job, reading what it sends, and what its sudden end means. Does not know: what a job does
(worker/process.py runs in that process).

Why not threads: the daemon stays small, for what a job needs is given back at its end; a library that crashes or a
kernel that kills for want of memory ends a job, not the daemon, which still has a drive to unmount; and a job that
hangs in a drive that was pulled holds nothing up.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from kinebackup.change_journal.tracking import ChangeTracking
from kinebackup.daemon.host.threads import in_thread
from kinebackup.model import BackupReport, CancelToken, NotOurs, Progress, Report
from kinebackup.worker import protocol as protocol
from kinebackup.worker.protocol import Failure, JobRequest

_LOOK_S: Final = 0.1
"""How soon a job is told to stop."""
_DIES_WITHIN_S: Final = 0.3

log = logging.getLogger("kinebackup.daemon")


class ProcessWorker:
    """Implements ``ports.Worker``. ``command`` starts a process that reads one request; ``environ`` is all it has."""

    def __init__(
        self, command: Sequence[str], environ: Mapping[str, str], tracking: ChangeTracking | None = None
    ) -> None:
        self._command = command
        self._environ = environ
        self._tracking = tracking

    async def identify(self, drive: str, folder: str) -> NotOurs | None:
        """See ``ports.Worker``."""
        answer = await self._ask(protocol.IdentifyMessage(drive, folder), CancelToken(), _ignore)
        return answer.reason if isinstance(answer, protocol.IdentityMessage) else "failed"

    async def run(
        self, request: JobRequest, cancel: CancelToken, progress: Callable[[Progress], None]
    ) -> Report | Failure:
        """See ``ports.Worker``."""
        tracking, tracked = self._tracking, None
        if tracking is not None and request.kind == "backup":
            tracked = await in_thread("journal", lambda: tracking.begin(request.drive))
        message = protocol.RunMessage(request, protocol.encode_tracked(tracked) if tracked else None)
        answer = await self._ask(message, cancel, progress)
        if answer is None:
            return Failure(None if cancel.cancelled else "defect")
        try:
            result = protocol.decode_result(answer)
        except ValueError as error:
            log.error("the process of a job (%s) answered nonsense: %s", request.kind, error)  # noqa: TRY400 - its only trace
            return Failure("defect")
        left = answer.tracking if isinstance(answer, protocol.ReportMessage) else None
        if tracking is None or tracked is None or left is None or not isinstance(result, BackupReport):
            return result
        report, tracking_result = result, protocol.decode_tracking_result(left)
        missed = await in_thread("journal", lambda: tracking.end(tracked, report, tracking_result))
        return replace(report, problems=(*report.problems, *missed))

    async def _ask(
        self, request: protocol.Request, cancel: CancelToken, progress: Callable[[Progress], None]
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
                async with asyncio.timeout(_DIES_WITHIN_S):
                    await process.wait()
            raise
        finally:
            stopper.cancel()
        if code:
            log.error("the process of a job ended with %s", f"signal {-code}" if code < 0 else f"code {code}")
        return answer


async def _converse(
    process: asyncio.subprocess.Process, request: protocol.Request, progress: Callable[[Progress], None]
) -> protocol.Message | None:
    answer: protocol.Message | None = None
    with suppress(OSError, ValueError):  # it died: the exit code says how
        if process.stdin is not None:
            process.stdin.write(protocol.encode(request))
            await process.stdin.drain()
        while process.stdout is not None and (data := await process.stdout.readline()):
            message = protocol.decode(data)
            if isinstance(message, protocol.ProgressMessage):
                progress(message.progress)
            else:
                answer = message
    return answer


async def _stop_when_asked(process: asyncio.subprocess.Process, cancel: CancelToken) -> None:
    while not cancel.cancelled:
        await asyncio.sleep(_LOOK_S)
    if process.stdin is not None:
        process.stdin.close()


def _ignore(_progress: Progress) -> None:
    """Nobody waits for it."""
