"""A worker in threads of the test's own process, so that a test can put its hand between the steps of a job.

Owns: running ``daemon.work`` in a thread. Does not know: what a test does in it.
"""

import asyncio
from collections.abc import Callable

from kinebackup.daemon.host.threads import in_thread
from kinebackup.model import CancelToken, NotOurs, Progress, Report
from kinebackup.worker.protocol import Failure, JobRequest
from kinebackup.worker.run import ProgressThrottle, Tools, identify, run_job


class ThreadWorker:
    """Implements ``ports.Worker``."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools

    async def identify(self, drive: str, folder: str) -> NotOurs | None:
        return await in_thread("identify", lambda: identify(drive, folder, self._tools))

    async def run(
        self, order: JobRequest, cancel: CancelToken, progress: Callable[[Progress], None]
    ) -> Report | Failure:
        loop = asyncio.get_running_loop()

        def tell(made: Progress) -> None:
            if not loop.is_closed():
                loop.call_soon_threadsafe(progress, made)

        teller = ProgressThrottle(tell, self._tools.world.elapsed_s)
        return await in_thread(order.kind, lambda: run_job(order, self._tools, cancel, teller))
