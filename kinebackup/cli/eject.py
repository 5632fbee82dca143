"""``kinebackup drive eject``: let a drive go, and say when it may be unplugged.

Owns: the command. Does not know: how a drive is unmounted.
"""

import click

from kinebackup.bus.client import DaemonAbsent
from kinebackup.bus.once import daemon_is_running
from kinebackup.cli.completion import drive_labels
from kinebackup.cli.live import eject as ask_daemon
from kinebackup.cli.session import Session, pass_session
from kinebackup.errors import ExitCode
from kinebackup.i18n import _


@click.command(help=_("Stop the work on a drive, unmount it, and say when it may be unplugged."))
@click.argument("label", required=False, shell_complete=drive_labels)
@pass_session
def eject(session: Session, /, label: str | None) -> int:
    if not daemon_is_running():
        raise DaemonAbsent(
            _("the KineBackup service does not run, so it holds no drive"),
            _("eject the drive in the file manager before you unplug it"),
        )
    done = ask_daemon(session, label)
    if done is None:
        return ExitCode.CANCELLED
    session.output.result({"drive": done.label, "can_unplug": True}, lambda: done.text)
    return ExitCode.OK
