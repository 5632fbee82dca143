"""``kinebackup agent``: what runs in the session of the person at the computer.

Owns: the command, its log and its signals. Does not know: notices, notifications.
"""

import asyncio
import logging
import os
import signal
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from kinebackup.cli.session import Session, pass_session
from kinebackup.errors import ConfigError, ExitCode
from kinebackup.i18n import _

if TYPE_CHECKING:  # only commands that talk to a bus load its library
    from kinebackup.desktop.agent import Agent


@click.command(
    help=_(
        "Show what the daemon has to say as notifications of the desktop, and pass their buttons on to it. The session "
        "starts it at login: systemctl --user status kinebackup-agent. It reads no key, no configuration and no drive."
    )
)
@click.option("--unless-running", is_flag=True, help=_("End quietly where an agent runs in this session already."))
@pass_session
def agent(_session: Session, /, unless_running: bool) -> int:
    if os.geteuid() == 0:
        raise ConfigError(
            _("the agent belongs to the session of a person, not to root"),
            _("run it as the person at the computer: systemctl --user start kinebackup-agent"),
        )
    from kinebackup.desktop.agent import Agent
    from kinebackup.desktop.notifications import AgentRuns, session_bus_address

    # The user's journal adds time and name.
    logging.basicConfig(stream=sys.stderr, format="%(message)s", level=logging.INFO)
    running = Agent(session_bus_address(os.environ), now=lambda: datetime.now(UTC))
    try:
        asyncio.run(_until_signal(running))
    except AgentRuns:
        if not unless_running:
            raise
    return ExitCode.OK


async def _until_signal(running: "Agent") -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, running.stop)
    await running.run()
