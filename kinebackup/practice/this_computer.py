"""What this process finds on this computer: time zone, boot, limits, places for plaintext.

Owns: reading and setting them. Does not know: who needs them (world.py lists it).
"""

import os
import resource
from contextlib import suppress
from datetime import UTC, datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from kinebackup.config import Config
from kinebackup.practice.world import World


def raise_open_file_limit() -> None:
    """Raise the soft limit to the hard one. The walk keeps each folder on its way open, and folders can be nested more
    deeply than the usual 1,024, by mistake or by malice; then not even the drive's files could be opened any more.
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


def boot_id() -> str:
    """Another one after each start; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


def scratch_directories(config: Config, world: World) -> tuple[str, ...]:
    """Where plaintext may lie for a moment: in RAM, else in the cache directory, which only this user may enter."""
    cache = config.paths.cache
    with suppress(OSError):
        cache.mkdir(parents=True, exist_ok=True, mode=0o700)
        cache.chmod(0o700)
    return tuple(place for place in (*world.scratch, str(cache)) if os.access(place, os.W_OK | os.X_OK))
