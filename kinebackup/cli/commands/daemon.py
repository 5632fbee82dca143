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
@click.option("--one-job", is_flag=True, hidden=True)  # how the daemon starts the process of a job
@pass_session
def daemon(session: Session, /, one_job: bool) -> int:
    if one_job:
        return _one_job(session)
    if not session.world.is_root:
        raise KineError(
            _("only root may mount drives, so only root can run the daemon"),
            _("systemd runs it: systemctl start kinebackup"),
        )
    from kinebackup.daemon.host.log import log_to_systemd
    from kinebackup.daemon.program import Program
    from kinebackup.wiring_daemon import make_parts

    log_to_systemd()
    parts = make_parts(session.config_path)

    async def run() -> bool:
        return await Program(parts).run()

    return ExitCode.OK if asyncio.run(run()) else ExitCode.FAILED


def _one_job(session: Session) -> int:
    from kinebackup.daemon.host.log import log_to_systemd
    from kinebackup.wiring import config_loader
    from kinebackup.wiring_job import make_tools
    from kinebackup.worker.process import own_streams, serve_one_request

    requests, answers = own_streams()
    log_to_systemd()
    load_config = config_loader(session.config_path, session.world)
    serve_one_request(lambda tracking: make_tools(load_config, session.world, tracking), requests, answers)
    return ExitCode.OK
