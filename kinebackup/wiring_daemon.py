"""The daemon's real parts: the only place that makes them.

Owns: what is real about it. Does not know: what the parts do with each other (daemon/program.py).
"""

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from kinebackup.change_journal.journal import ChangeJournal
from kinebackup.config import Config
from kinebackup.config_file import default_paths
from kinebackup.daemon.change_tracking import JournalTracking
from kinebackup.daemon.host.memory import trim_memory
from kinebackup.daemon.host.mounter import NamespaceMounter
from kinebackup.daemon.program import Parts
from kinebackup.daemon.spawn import ProcessWorker
from kinebackup.drives.watcher import DriveWatcher
from kinebackup.errors import KineError
from kinebackup.practice.world import World
from kinebackup.sources.folder import FolderSource
from kinebackup.wiring import config_loader, make_journal, make_sources, make_world


def make_parts(config_path: Path | None) -> Parts:
    """The daemon of this computer. ``config_path`` None: the usual one."""
    world = make_world()
    load_config = config_loader(config_path, world)
    runtime = _runtime_directory(load_config, world)
    mounter = NamespaceMounter(runtime / "drives")
    mounter.prepare()
    journal = JournalTracking(_sources_and_journal(world), world)
    return Parts(
        load_config=load_config,
        world=world,
        environ=os.environ,
        mounter=mounter,
        worker=ProcessWorker(_command(config_path), _environ(), journal),
        journal=journal,
        watcher=DriveWatcher(world.system),
        trim_memory=trim_memory,
    )


def _sources_and_journal(world: World) -> Callable[[Config], tuple[tuple[FolderSource, ...], ChangeJournal]]:
    def make(config: Config) -> tuple[tuple[FolderSource, ...], ChangeJournal]:
        sources = tuple(make_sources(config, world))
        return sources, make_journal(sources, world)

    return make


def _command(config_path: Path | None) -> list[str]:
    """This program again, by the interpreter that runs it now."""
    named = ["--config", str(config_path)] if config_path else []
    return [sys.executable, "-P", "-m", "kinebackup", *named, "daemon", "--one-job"]


def _environ() -> dict[str, str]:
    """What a job needs of the environment; where its modules are does not depend on how this process was started."""
    kept = {name: os.environ[name] for name in ("PATH", "TZ", "LANG", "KINEBACKUP_CONFIG") if name in os.environ}
    return kept | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def _runtime_directory(load_config: Callable[[], Config], world: World) -> Path:
    with suppress(KineError):
        return load_config().paths.runtime
    return default_paths(os.environ, world.is_root).runtime
