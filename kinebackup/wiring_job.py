"""What is real about the process of one job.

Owns: making it. Does not know: when a job is due, or how it is asked for (worker/process.py).
"""

from collections.abc import Callable

from kinebackup.config import Config
from kinebackup.model import BackupReport, CancelToken
from kinebackup.practice.access import PresentDrive
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.this_computer import scratch_directories
from kinebackup.practice.world import World
from kinebackup.wiring import make_sources
from kinebackup.worker.process import RelayedTracking
from kinebackup.worker.run import ProgressThrottle, Tools, without_reading_back


def make_tools(load_config: Callable[[], Config], world: World, tracking: RelayedTracking | None = None) -> Tools:
    """What the daemon's jobs work with."""

    def back_up(
        drive: PresentDrive, computer: ComputerKeys, config: Config, cancel: CancelToken, monitor: ProgressThrottle
    ) -> BackupReport:
        from kinebackup.jobs.backup import BackupJobRequest, run_backup

        request = BackupJobRequest(make_sources(config, world), without_reading_back(config.backup), tracking=tracking)
        return run_backup(drive, computer, request, world, cancel=cancel, monitor=monitor)

    return Tools(load_config, world, lambda config: scratch_directories(config, world), back_up)
