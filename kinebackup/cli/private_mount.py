"""Drives that a command of root's mounts for itself.

Owns: when that is done, and that it is undone. Does not know: how.
"""

from typing import TYPE_CHECKING

from kinebackup.cli.session import Session

if TYPE_CHECKING:
    from kinebackup.practice.computer_keys import ComputerKeys


def open_own_drives(session: Session, computer: "ComputerKeys | None", drive: str | None) -> bool:
    """Mount the enrolled drive of that label, or all that are plugged in, for this command alone; only root can.

    They are let go when ``session.closing`` is closed, at the end of the command at the latest. Says whether there is
    any. Raises ``NotMounted`` where one is plugged in and cannot be mounted: the daemon may be at work on it.
    """
    if computer is None or not session.world.is_root:
        return False
    wanted = [record for record in computer.state.drives() if drive in (None, record.label) and not record.simulated]
    if not wanted:
        return False
    from kinebackup.practice.private_mount import mounted_here

    return session.closing.enter_context(mounted_here(wanted, session.world, session.config.paths.runtime)) > 0
