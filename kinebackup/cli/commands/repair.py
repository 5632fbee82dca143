"""``kinebackup repair``.

Owns: the command and its words. Does not know: how a drive is repaired, or which drives may be.
"""

import sys

import click

from kinebackup.cli.commands.completion import drive_labels
from kinebackup.cli.reading import drive_option
from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.output import on_one_line, printable, with_detail
from kinebackup.cli.terminal.words import duration_text, size_text
from kinebackup.errors import ExitCode
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.repair import RepairJobRequest, find_drives, run_repair
from kinebackup.model import LostPart, RepairReport, counting, damage_met

_LOST_SHOWN = 20


@click.command(
    help=_(
        "Mend what is damaged on a drive: the whole drive is read, and what heals by itself is written anew. With "
        "--from-drive, what is lost on it is taken from another drive of the practice. What is in a file that still "
        "exists on this computer is saved again by the next backup."
    )
)
@drive_option
@click.option(
    "--from-drive",
    metavar="L",
    help=_("Another drive of the practice, plugged in too: it gives what this one has lost."),
    shell_complete=drive_labels,
)
@pass_session
def repair(session: Session, /, drive: str | None, from_drive: str | None) -> int:
    computer, world = session.computer, session.world
    for name in (drive, from_drive) if drive and from_drive else (drive,):
        session.mount_privately(computer, name)
    found, other = find_drives(drive, from_drive, computer, world)
    sources = [str(source.path) for source in session.config.sources]
    report = run_repair(
        found,
        computer,
        RepairJobRequest(sources, other),
        world,
        cancel=session.cancel,
        monitor=session.output.monitor(),
    )
    session.output.result(report, lambda: _repair_text(report))
    if not session.output.as_json:
        _tell_lost(report)
    session.output.problems(report.problems)
    if report.lost_count or damage_met(report.problems):
        return ExitCode.CHECK_FAILED
    return ExitCode.PROBLEMS if counting(report.problems) else ExitCode.OK


def _repair_text(report: RepairReport) -> str:
    count, lost = len(report.repaired), report.lost_count
    if lost:
        text = ngettext(
            "LOST on the drive {label}: {count} thing could not be brought back.",
            "LOST on the drive {label}: {count} things could not be brought back.",
            lost,
        )
        lines = [text.format(label=report.drive, count=lost)]
    elif damage_met(report.problems):
        lines = [_("The drive {label} is still damaged.").format(label=report.drive)]
    elif count:
        lines = [_("The drive {label} is sound again: nothing is lost.").format(label=report.drive)]
    else:
        lines = [_("The drive {label} is sound: there was nothing to mend.").format(label=report.drive)]
    if count:
        text = ngettext("  {count} file of the drive mended", "  {count} files of the drive mended", count)
        lines.append(text.format(count=count))
    taken = sum(each.source == "other-drive" for each in report.repaired)
    if taken:
        text = ngettext(
            "  {count} of them with what the drive {other} has",
            "  {count} of them with what the drive {other} has",
            taken,
        )
        lines.append(text.format(count=taken, other=report.from_drive))
    text = ngettext(
        "  {count} backup can be read; {read} read, {written} written, in {duration}",
        "  {count} backups can be read; {read} read, {written} written, in {duration}",
        report.snapshots,
    )
    lines.append(
        text.format(
            count=report.snapshots,
            read=size_text(report.bytes_read),
            written=size_text(report.bytes_written),
            duration=duration_text(report.duration_s),
        )
    )
    if lost:
        lines.append(_("What still exists on this computer is saved again by: kinebackup backup"))
        if report.from_drive is None:
            hint = _(
                "What another drive has: plug it in too, then kinebackup repair --drive {label} --from-drive LABEL"
            )
            lines.append(hint.format(label=report.drive))
    if report.repaired or lost:
        lines.append(_("If it happens again, replace the drive."))
    return "\n".join(lines)


def _tell_lost(report: RepairReport) -> None:
    for each in report.lost[:_LOST_SHOWN]:
        sys.stderr.write(printable(f"! {_told(each)}") + "\n")
    if report.lost_count > _LOST_SHOWN:
        more = report.lost_count - _LOST_SHOWN
        sys.stderr.write(_("… and {count} more; --json lists all").format(count=more) + "\n")


def _told(lost: LostPart) -> str:
    ids = ", ".join(each[:8] for each in lost.snapshots[:5])
    backups = " (" + _("backups: {ids}").format(ids=ids) + ")" if lost.snapshots else ""
    return with_detail(on_one_line(lost.path), lost.message) + backups
