"""``kinebackup backup`` and ``kinebackup prune``.

Owns: the commands and their words. Does not know: how a backup is made, or which ones stay.
"""

import click

from kinebackup.cli.daemon_choice import goes_by_daemon, no_daemon_option
from kinebackup.cli.reading import drive_option
from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.words import can_unplug_text, duration_text, name_text, size_text
from kinebackup.errors import ConfigError, ExitCode
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.backup import BackupJobRequest, run_backup
from kinebackup.jobs.prune import PruneJobRequest, run_prune
from kinebackup.jobs.status import source_notices
from kinebackup.model import BackupReport, PruneReport, counting
from kinebackup.practice.access import find_drive
from kinebackup.wiring import make_sources


@click.command()
@drive_option
@click.option("--dry-run", is_flag=True, help=_("Only say what would be saved; write nothing."))
@click.option(
    "--accept-shrink", is_flag=True, help=_("Confirm that a source was meant to lose its files, or to lead elsewhere.")
)
@no_daemon_option
@pass_session
def backup(session: Session, /, drive: str | None, dry_run: bool, accept_shrink: bool, no_daemon: bool) -> int:
    if not (dry_run or accept_shrink or no_daemon) and goes_by_daemon(session, drive):
        return _by_daemon(session, drive)
    config, computer, world = session.config, session.computer, session.world
    request = BackupJobRequest(
        sources=make_sources(config, world), options=config.backup, accept_shrink=accept_shrink, dry_run=dry_run
    )
    own = session.mount_privately(computer, drive)
    found = find_drive(drive, computer, world)
    for notice in source_notices(config, world):
        session.output.warn(notice.message, notice.hint)
    report = run_backup(found, computer, request, world, cancel=session.cancel, monitor=session.output.monitor())
    if own:
        session.closing.close()  # the result says that it may be unplugged
    simulated = found.record is not None and found.record.simulated
    session.output.result(
        report, lambda: _backup_text(report, found.label, dry_run=dry_run, simulated=simulated, let_go=own)
    )
    session.output.problems(report.problems, report.healed)
    return ExitCode.PROBLEMS if counting(report.problems) else ExitCode.OK


def _by_daemon(session: Session, drive: str | None) -> int:
    from kinebackup.cli.via_daemon import say_ending, work

    done = work(session, "backup", drive)
    if done is None:
        return ExitCode.CANCELLED
    report = done.report
    if not isinstance(report, BackupReport):
        return say_ending(session, done, "backup")
    session.output.result(
        report, lambda: _backup_text(report, done.label, dry_run=False, simulated=False, goes_on=True)
    )
    session.output.problems(report.problems, report.healed)
    return ExitCode.PROBLEMS if counting(report.problems) else ExitCode.OK


def _backup_text(
    report: BackupReport, label: str, *, dry_run: bool, simulated: bool, goes_on: bool = False, let_go: bool = False
) -> str:
    """``goes_on``: the daemon still holds the drive, to check what was written. ``let_go``: nobody holds it now."""
    if dry_run:
        first = _("Dry run, nothing was written. To be saved on the drive {label}:")
    elif report.snapshot is None:
        first = _("Nothing could be saved on the drive {label}.")
    elif report.suspicious:
        first = _("Saved on the drive {label}, but something is wrong with the sources: backup {id}, in {duration}")
    else:
        first = _("Saved on the drive {label}: backup {id}, in {duration}")
    name = name_text(label, simulated=simulated)
    lines = [first.format(label=name, id=(report.snapshot or "")[:12], duration=duration_text(report.duration_s))]
    lines.append(
        _("  files: {new} new, {changed} changed, {unmodified} unchanged, {removed} removed").format(
            new=report.files_new,
            changed=report.files_changed,
            unmodified=report.files_unmodified,
            removed=report.files_removed,
        )
    )
    lines.append(
        _("  {read} read, {written} written").format(
            read=size_text(report.bytes_read), written=size_text(report.bytes_written)
        )
    )
    lost = report.files_lost
    if lost:
        lines.append(
            ngettext(
                "  {count} file is missing, or there as an earlier backup has it",
                "  {count} files are missing, or there as an earlier backup has them",
                lost,
            ).format(count=lost)
        )
    count = counting(report.problems)
    if count:
        lines.append(ngettext("  {count} problem", "  {count} problems", count).format(count=count))
    if goes_on:
        lines.append(_("The drive is being checked. Leave it plugged in until KineBackup says that you can unplug it."))
    elif let_go:
        lines.append(can_unplug_text(label))
    elif report.snapshot and not simulated:
        lines.append(_("Everything is on the drive. Eject it in the file manager before you unplug it."))
    return "\n".join(lines)


@click.command()
@drive_option
@click.option("--dry-run", is_flag=True, help=_("Only say what would be removed."))
@click.option(
    "--give-up",
    "give_up",
    multiple=True,
    metavar="ID…",
    help=_("Do not wait any more for lost backups, or for damaged folders of backups: what only they needed goes."),
)
@click.option("--accept-share", is_flag=True, help=_("Confirm that most of what is on the drive is meant to go."))
@click.argument("more", nargs=-1, metavar="")
@pass_session
def prune(
    session: Session,
    /,
    drive: str | None,
    dry_run: bool,
    give_up: tuple[str, ...],
    accept_share: bool,
    more: tuple[str, ...],
) -> int:
    if more and not give_up:
        raise ConfigError(
            _("prune takes no backup by its name"), _("the rules of the configuration say which ones are kept")
        )
    session.mount_privately(session.computer, drive)
    found = find_drive(drive, session.computer, session.world)
    report = run_prune(
        found,
        session.computer,
        PruneJobRequest(session.config.retention, (*give_up, *more), accept_share=accept_share, dry_run=dry_run),
        session.world,
        cancel=session.cancel,
        monitor=session.output.monitor(),
    )
    session.output.result(report, lambda: _prune_text(report, found.label, dry_run=dry_run))
    session.output.problems(report.problems, report.healed)
    return ExitCode.PROBLEMS if counting(report.problems) else ExitCode.OK


def _prune_text(report: PruneReport, label: str, *, dry_run: bool) -> str:
    removed = len(report.snapshots_removed)
    if dry_run:
        text = ngettext(
            "Dry run, nothing was removed. {count} backup of the drive {label} would go, {kept} would stay.",
            "Dry run, nothing was removed. {count} backups of the drive {label} would go, {kept} would stay.",
            removed,
        )
    else:
        text = ngettext(
            "{count} backup of the drive {label} was removed, {kept} stay; {freed} are free again.",
            "{count} backups of the drive {label} were removed, {kept} stay; {freed} are free again.",
            removed,
        )
    lines = [
        text.format(count=removed, label=label, kept=report.snapshots_kept, freed=size_text(max(0, report.bytes_freed)))
    ]
    if report.given_up:
        lines.append(_("Given up: {names}").format(names=", ".join(name[:12] for name in report.given_up)))
    return "\n".join(lines)
