"""The only place that makes the real adapters: clock, randomness, names, folders.

Owns: what is real. Does not know: what it is used for.
"""

import logging
import os
import resource
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from kinebackup.config import Config, default_path, load
from kinebackup.drives.mount_table import Mount, read_mounts
from kinebackup.drives.system import System, this_system
from kinebackup.practice.world import World
from kinebackup.sources.folder import FolderSource, SystemNames
from kinebackup.sources.live_database import DatabaseCopier

if TYPE_CHECKING:  # only the daemon has a journal
    from kinebackup.change_journal.journal import ChangeJournal
    from kinebackup.change_journal.mount_context import MountContext

if TYPE_CHECKING:  # mounting and erasing drives is loaded where it is done
    from kinebackup.jobs.erase import DeviceTools

_RAM = "/dev/shm"  # noqa: S108 - RAM-backed on every systemd distribution; what is put there is in 0700 directories


def config_loader(config_path: Path | None, world: World) -> Callable[[], Config]:
    """Reads the configuration file, each time anew."""
    path = config_path or default_path(os.environ, world.is_root)
    return lambda: load(path, environ=os.environ, is_root=world.is_root)


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


def make_world() -> World:
    """This computer, now."""
    allow_open_files()
    return World(
        now=lambda: datetime.now(UTC),
        zone=local_zone(os.environ.get("TZ", "")),
        elapsed_s=time.monotonic,
        entropy=os.urandom,
        names=SystemNames(),
        host=socket.gethostname(),
        boot=_boot_id(),
        pid=os.getpid(),
        is_root=os.geteuid() == 0,
        system=this_system(os.environ),
        scratch=(_RAM,),
    )


def allow_open_files() -> None:
    """As many as the system lets this process have: the walk keeps each folder on its way open, and a folder can lie
    deeper than the usual 1,024, by mistake or by malice; then even the drive's files could not be opened any more.
    """
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def local_zone(variable: str, file: str = "/etc/localtime") -> tzinfo:
    """The time zone of this computer with its summer and winter time; ``variable``: what ``TZ`` holds (POSIX XBD 8.3).

    ``datetime.astimezone`` gives today's offset only: in summer, it would show the backups of the winter an hour late.
    """
    with suppress(OSError, ValueError, KeyError):  # no such zone, or no zones at all on this computer
        if variable:
            return ZoneInfo(variable.removeprefix(":"))
        with open(file, "rb") as zone:
            return ZoneInfo.from_file(zone)
    return datetime.now().astimezone().tzinfo or UTC


def _boot_id() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def scratch_places(config: Config, world: World) -> tuple[str, ...]:
    """Where plaintext may lie for a moment: in RAM, else in the cache directory, which only this user may enter."""
    cache = config.paths.cache
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        cache.chmod(0o700)
    return tuple(place for place in (*world.scratch, str(cache)) if os.access(place, os.W_OK | os.X_OK))


def make_device_tools(config: Config, *, is_own: bool) -> "DeviceTools":
    """How drives are mounted and prepared. ``is_own``: the practice is this computer's own, so its desktop is told."""
    from kinebackup.drives.udev_rule import UdevRule
    from kinebackup.jobs.erase import DeviceTools

    return DeviceTools(config.paths.runtime, UdevRule() if is_own else None)


def make_sources(config: Config, world: World) -> list[FolderSource]:
    """The configured sources."""
    copier = DatabaseCopier(scratch_places(config, world))
    return [
        FolderSource(str(source.path), exclude=source.exclude, one_file_system=source.one_file_system, copier=copier)
        for source in config.sources
    ]


def make_journal(sources: Sequence[FolderSource], world: World) -> "ChangeJournal":
    """The journal of these sources; it watches nothing before it is started."""
    from kinebackup.change_journal.journal import ChangeJournal

    return ChangeJournal(sources, lambda path: mount_context_of(path, world.system))


def mount_context_of(path: str, system: System) -> "MountContext":
    """On which mounts a source lies, now."""
    from kinebackup.change_journal.mount_context import MountContext, MountIdentity

    def seen(mount: Mount) -> MountIdentity:
        return MountIdentity(f"{mount.mount_id} {mount.device} {mount.root}", mount.mount_point, mount.filesystem)

    table = read_mounts(system)
    on = table.of_path(path)
    return MountContext.of(path, seen(on) if on else None, map(seen, table.mounts))
