"""Constructs what is real: clock, randomness, names, folders. Tests construct something else.

Owns: which adapter is used. Does not know: what it is used for.
"""

import os
import socket
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from kinebackup.config import Config
from kinebackup.config_file import default_config_path, read_config
from kinebackup.drives.system import this_system
from kinebackup.practice.this_computer import boot_id, local_zone, raise_open_file_limit, scratch_directories
from kinebackup.practice.world import World
from kinebackup.sources.folder import FolderSource, SystemNames
from kinebackup.sources.live_database import DatabaseCopier

if TYPE_CHECKING:  # only the daemon has a journal
    from kinebackup.change_journal.journal import ChangeJournal

if TYPE_CHECKING:  # mounting and erasing drives is loaded where it is done
    from kinebackup.jobs.erase import DeviceTools

_RAM = "/dev/shm"  # noqa: S108 - RAM-backed on every systemd distribution; what is put there is in 0700 directories


def config_loader(config_path: Path | None, world: World) -> Callable[[], Config]:
    """Reads the configuration file, each time anew."""
    path = config_path or default_config_path(os.environ, world.is_root)
    return lambda: read_config(path, environ=os.environ, is_root=world.is_root)


def make_world() -> World:
    """This computer, now."""
    raise_open_file_limit()
    return World(
        now=lambda: datetime.now(UTC),
        zone=local_zone(os.environ.get("TZ", "")),
        elapsed_s=time.monotonic,
        entropy=os.urandom,
        names=SystemNames(),
        host=socket.gethostname(),
        boot=boot_id(),
        pid=os.getpid(),
        is_root=os.geteuid() == 0,
        system=this_system(os.environ),
        scratch=(_RAM,),
    )


def make_device_tools(config: Config, *, is_own: bool) -> "DeviceTools":
    """How drives are mounted and prepared. ``is_own``: the practice is this computer's own, so its desktop is told."""
    from kinebackup.drives.udev_rule import UdevRule
    from kinebackup.jobs.erase import DeviceTools

    return DeviceTools(config.paths.runtime, UdevRule() if is_own else None)


def make_sources(config: Config, world: World) -> list[FolderSource]:
    """The configured sources."""
    copier = DatabaseCopier(scratch_directories(config, world))
    return [
        FolderSource(str(source.path), exclude=source.exclude, one_file_system=source.one_file_system, copier=copier)
        for source in config.sources
    ]


def make_journal(sources: Sequence[FolderSource], world: World) -> "ChangeJournal":
    """The journal of these sources; it watches nothing before it is started."""
    from kinebackup.change_journal.journal import ChangeJournal
    from kinebackup.change_journal.mount_context import read_mount_context

    return ChangeJournal(sources, lambda path: read_mount_context(path, world.system))
