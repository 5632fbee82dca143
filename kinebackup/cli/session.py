"""What every command can use: the common options, the configuration, this computer's keys, the output.

Owns: reading each once, when it is first needed. Does not know: what the commands do.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kinebackup.cli.terminal.output import Output
from kinebackup.config import Config
from kinebackup.config_file import default_config_path, read_config
from kinebackup.errors import ConfigError, KineError
from kinebackup.i18n import _, language_from, set_language
from kinebackup.model import CancelToken

if TYPE_CHECKING:  # cryptography and SQLite take time and memory, which the agent in a desktop session can do without
    from kinebackup.practice.computer_keys import ComputerKeys
    from kinebackup.practice.world import World


@dataclass
class Session:
    """One invocation of the program."""

    config_path: Path | None = None
    output: Output = field(default_factory=Output)
    cancel: CancelToken = field(default_factory=CancelToken)
    closing: ExitStack = field(default_factory=ExitStack)  # undone when the command has ended

    @cached_property
    def world(self) -> "World":
        from kinebackup.wiring import make_world

        return make_world()

    @cached_property
    def config(self) -> Config:
        """The configuration; sets the language. Raises ``ConfigError``."""
        set_language(language_from(os.environ))
        path = self.config_path or default_config_path(os.environ, self.world.is_root)
        config = read_config(path, environ=os.environ, is_root=self.world.is_root)
        set_language(config.practice.language)
        return config

    @cached_property
    def computer(self) -> "ComputerKeys":
        """Raises ``NotFound`` where this computer is not set up."""
        from kinebackup.practice.computer_keys import ComputerKeys

        computer = ComputerKeys.open(self.config.paths.state)
        self.closing.enter_context(computer.state)
        self.closing.callback(lambda: self.tell_trouble(computer.state.untold_trouble()))
        return computer

    def tell_trouble(self, trouble: KineError | None) -> None:
        """Of this computer's own disk: no reason to fail, and none to be silent."""
        if trouble is not None:
            self.output.warn(trouble.message, trouble.hint)

    @cached_property
    def computer_if_any(self) -> "ComputerKeys | None":
        """For commands that also work on a new or a broken computer: with a drive's path and a passphrase or code.

        Where they cannot do without it they ask for ``computer``, which raises what is wrong.
        """
        try:
            computer = self.computer
            computer.state.drives()  # the database is opened by the first query
        except KineError:
            return None
        return computer

    def mount_privately(self, computer: "ComputerKeys | None", drive: str | None) -> bool:
        """Mount that enrolled drive, or all that are plugged in, for this command alone, as only root can.

        They are let go when ``closing`` is closed, at the end of the command at the latest. Says whether there is any.
        Raises ``MountFailed`` where one is plugged in and cannot be mounted: the daemon may be at work on it.
        """
        if computer is None or not self.world.is_root:
            return False
        records = [r for r in computer.state.drives() if drive in (None, r.label) and not r.simulated]
        if not records:
            return False
        from kinebackup.practice.private_mount import mounted_here

        return self.closing.enter_context(mounted_here(records, self.world, self.config.paths.runtime)) > 0


def contradiction(message: str) -> ConfigError:
    """Two options that exclude each other."""
    return ConfigError(message, _("leave one of the two options out"))


def is_about_this_computer(session: Session) -> bool:
    """Whether the command is about the practice that the daemon serves, and not about one of this user's own."""
    if session.config_path is not None or os.environ.get("KINEBACKUP_CONFIG"):
        return False
    return session.world.is_root or not default_config_path(os.environ, is_root=False).exists()


pass_session = click.make_pass_decorator(Session, ensure=True)
