"""Drives that a command of root's mounts for itself.

Owns: when that is done, and that it is undone. Does not know: how.
"""

from typing import TYPE_CHECKING

from kinebackup.cli.session import Session

if TYPE_CHECKING:
    from kinebackup.jobs.practice import Practice


def open_own_drives(session: Session, practice: "Practice | None", drive: str | None) -> None:
    """Mount the enrolled drive of that label, or all that are plugged in, until the command ends. For root only.

    Raises ``NotMounted`` where one is plugged in and cannot be: the daemon may be at work on it.
    """
    if practice is None or not session.world.is_root:
        return
    wanted = [record for record in practice.state.drives() if drive in (None, record.label) and not record.simulated]
    if wanted:
        from kinebackup.jobs.plugged_drives import mounted_here

        session.closing.enter_context(mounted_here(wanted, session.world, session.config.paths.runtime))
