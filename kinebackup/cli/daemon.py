"""``kinebackup daemon``: what systemd runs.

Owns: the command. Does not know: what the daemon does.
"""

import asyncio

import click

from kinebackup.cli.session import Session, pass_session
from kinebackup.errors import ExitCode, KineError
from kinebackup.i18n import _


@click.command(
    help=_(
        "Run in the background: recognise the drives, back up, test, remind. systemd starts it: "
        "systemctl status kinebackup."
    )
)
@pass_session
def daemon(session: Session, /) -> int:
    if not session.world.is_root:
        raise KineError(
            _("only root may mount drives, so only root can run the daemon"),
            _("systemd runs it: systemctl start kinebackup"),
        )
    from kinebackup.daemon.program import Program
    from kinebackup.wiring_daemon import log_to_journal, make_parts

    log_to_journal()
    parts = make_parts(session.config_path)

    async def run() -> bool:
        return await Program(parts).run()

    return ExitCode.OK if asyncio.run(run()) else ExitCode.FAILED
