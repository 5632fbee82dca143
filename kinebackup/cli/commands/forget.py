"""``kinebackup snapshots forget``: backups removed by name.

Owns: the command, and what is said before anything goes. Does not know: what would be lost, or how it is removed
(jobs/forget.py).
"""

from datetime import tzinfo

import click

from kinebackup.cli.reading import drive_option
from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.asking import confirm, yes_option
from kinebackup.cli.terminal.output import on_one_line
from kinebackup.cli.terminal.words import SHORT_ID, time_text
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.forget import Loss, foresee_loss, forget_snapshots
from kinebackup.practice.access import find_drive


@click.command(
    help=_(
        "Remove the backups of these ids for good, after telling what would be lost with them. Their room is free "
        "again after the next prune."
    )
)
@click.argument("ids", metavar="ID...", nargs=-1, required=True)
@drive_option
@yes_option
@pass_session
def forget(session: Session, /, ids: tuple[str, ...], drive: str | None, yes: bool) -> None:
    computer = session.computer
    session.mount_privately(computer, drive)
    found = find_drive(drive, computer, session.world)
    loss = foresee_loss(found, computer, ids, cancel=session.cancel)
    session.output.say(_loss_words(loss, session.world.zone))
    for host in loss.no_good_one_left:
        session.output.warn(
            _("after that, this drive holds no good backup of {name} any more").format(name=on_one_line(host)),
            _("make a backup first: kinebackup backup"),
        )
    session.output.problems(loss.problems)
    count = len(loss.snapshots)
    confirm(ngettext("Remove {count} backup?", "Remove {count} backups?", count).format(count=count), yes=yes)
    forgotten = forget_snapshots(found, computer, [named.id for named in loss.snapshots], session.world)
    session.output.result(forgotten, lambda: _forgotten_words(len(forgotten.forgotten), found.label))
    session.output.problems((), forgotten.healed)


def _loss_words(loss: Loss, zone: tzinfo) -> str:
    lines = [_("To be removed:")]
    for named in loss.snapshots:
        taken = named.snapshot
        lines.append(f"    {named.id[:SHORT_ID]}  {time_text(taken.taken_at, zone)}  {on_one_line(taken.host)}")
    count = loss.file_count
    if not count:
        return "\n".join([*lines, _("Every file in them is in another backup of this drive too.")])
    lines.append(
        ngettext(
            "{count} file is in no other backup of this drive, and would be lost:",
            "{count} files are in no other backup of this drive, and would be lost:",
            count,
        ).format(count=count)
    )
    lines += [f"    {on_one_line(path)}" for path in loss.files]
    if count > len(loss.files):
        lines.append("    " + _("… and {count} more").format(count=count - len(loss.files)))
    return "\n".join(lines)


def _forgotten_words(count: int, label: str) -> str:
    return ngettext(
        "{count} backup of the drive {label} was removed.", "{count} backups of the drive {label} were removed.", count
    ).format(count=count, label=on_one_line(label))
