"""Whether the daemon does what a command asks for.

Owns: the choice, and the option that takes it away. Does not know: how the daemon is asked and watched (via_daemon.py,
which is imported once it is to be asked).
"""

from collections.abc import Callable
from typing import Any, TypeVar

import click

from kinebackup.cli.session import Session, is_about_this_computer
from kinebackup.i18n import _
from kinebackup.practice.known_drives import is_for_daemon

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


def goes_by_daemon(session: Session, drive: str | None) -> bool:
    """Whether the computer's daemon is meant: not a configuration of one's own, nor a path, nor a simulation."""
    if not is_about_this_computer(session) or (drive and "/" in drive):
        return False
    from kinebackup.bus.query import daemon_is_running  # an event loop, which most other work does without

    if not daemon_is_running():
        return False
    if not session.world.is_root:
        return True  # who may not read what this computer knows of its drives lets the daemon say it
    computer = session.computer_if_any
    return is_for_daemon(drive, computer.state.drives() if computer else ())


def no_daemon_option(command: Decorated) -> Decorated:
    """``--no-daemon`` as ``no_daemon``."""
    return click.option(
        "--no-daemon", is_flag=True, help=_("Do the work in this process, also where the KineBackup service runs.")
    )(command)
