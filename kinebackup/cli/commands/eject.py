"""``kinebackup drive eject``: let a drive go, and say when it may be unplugged.

Owns: the command. Does not know: how a drive is unmounted.
"""

import asyncio

import click

from kinebackup.bus.client import DaemonAbsent
from kinebackup.bus.query import daemon_is_running
from kinebackup.cli.commands.completion import drive_labels
from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.words import can_unplug_text
from kinebackup.cli.via_daemon import eject as ask_daemon
from kinebackup.errors import ExitCode
from kinebackup.i18n import _


@click.command(help=_("Stop the work on a drive, unmount it, and say when it may be unplugged."))
@click.argument("label", required=False, shell_complete=drive_labels)
@pass_session
def eject(session: Session, /, label: str | None) -> int:
    if daemon_is_running():
        done = ask_daemon(session, label)
        if done is None:
            return ExitCode.CANCELLED
        name, text = done.label, done.text
    elif session.world.is_root:
        name = _by_hand(session, label)
        text = can_unplug_text(name)
    else:
        raise DaemonAbsent(
            _("the KineBackup service does not run, so it holds no drive"),
            _("eject the drive in the file manager before you unplug it"),
        )
    session.output.result({"drive": name, "can_unplug": True}, lambda: text)
    return ExitCode.OK


def _by_hand(session: Session, label: str | None) -> str:
    from kinebackup.drives.udisks import power_off
    from kinebackup.jobs.eject import run_eject
    from kinebackup.practice.access import find_drive

    state = session.computer.state
    name = label or find_drive(None, session.computer, session.world).label
    run_eject(state.drive(name), session.world, power_off=lambda node: asyncio.run(power_off(node)))
    return name
