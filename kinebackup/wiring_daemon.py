"""The daemon's real parts: the only place that makes them.

Owns: what is real about it. Does not know: what the parts do with each other (daemon/program.py).
"""

import ctypes
import logging
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kinebackup.config import Config, default_path, default_paths, load
from kinebackup.daemon.bay import MountBay
from kinebackup.daemon.program import Parts
from kinebackup.daemon.worker import Teller, ThreadWorker, Tools, without_reading_back
from kinebackup.drives.watcher import DriveWatcher
from kinebackup.errors import KineError
from kinebackup.jobs.access import PresentDrive
from kinebackup.jobs.practice import Practice
from kinebackup.jobs.world import World
from kinebackup.model import BackupReport, CancelToken
from kinebackup.wiring import make_sources, make_world, scratch_places

_PRIORITIES = {logging.CRITICAL: 2, logging.ERROR: 3, logging.WARNING: 4, logging.INFO: 6, logging.DEBUG: 7}


class _JournalFormat(logging.Formatter):
    """Lines with the priority that sd-daemon(3) puts before them; the journal adds the time."""

    def format(self, record: logging.LogRecord) -> str:
        text = super().format(record)
        return "\n".join(f"<{_PRIORITIES.get(record.levelno, 6)}>{line}" for line in text.splitlines())


def log_to_journal() -> None:
    """All that the daemon says goes to standard error, which systemd keeps."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JournalFormat("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("apscheduler").setLevel(logging.WARNING)


def make_parts(config_path: Path | None) -> Parts:
    """The daemon of this computer. ``config_path`` None: the usual one."""
    world = make_world()
    load_config = _loader(config_path, world)
    runtime = _runtime_directory(load_config, world)
    bay = MountBay(runtime / "drives")
    bay.prepare()
    return Parts(
        load_config=load_config,
        world=world,
        environ=os.environ,
        bay=bay,
        worker=ThreadWorker(make_tools(load_config, world)),
        watcher=DriveWatcher(world.system),
        trim_memory=trim_memory,
    )


def make_tools(load_config: Callable[[], Config], world: World) -> Tools:
    """What the daemon's jobs work with."""

    def back_up(
        drive: PresentDrive, practice: Practice, config: Config, cancel: CancelToken, teller: Teller
    ) -> BackupReport:
        from kinebackup.jobs.backup_job import BackupWish, run_backup

        wish = BackupWish(make_sources(config, world), without_reading_back(config.backup))
        return run_backup(drive, practice, wish, world, cancel=cancel, monitor=teller)

    return Tools(load_config, world, lambda config: scratch_places(config, world), back_up)


def _loader(config_path: Path | None, world: World) -> Callable[[], Config]:
    path = config_path or default_path(os.environ, world.is_root)
    return lambda: load(path, environ=os.environ, is_root=world.is_root)


def _runtime_directory(load_config: Callable[[], Config], world: World) -> Path:
    with suppress(KineError):
        return load_config().paths.runtime
    return default_paths(os.environ, world.is_root).runtime


def trim_memory() -> None:
    """Give back what the C library keeps for the next job, which may be tomorrow's (malloc_trim(3), glibc only)."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
