"""``kinebackup restore``: files back from a backup.

Owns: its options, words and JSON document. Does not know: where files may be restored (jobs/restore.py), or how.
"""

import os
from dataclasses import dataclass, replace

import click

from kinebackup.cli.commands.completion import snapshot_names
from kinebackup.cli.reading import drive_option, ended, header_option, headers_from, host_option, opened, secret_options
from kinebackup.cli.secret_files import secret_from
from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.output import on_one_line
from kinebackup.cli.terminal.words import duration_text, size_text, time_text
from kinebackup.engine import Overwrite
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.restore import Restored, RestoreJobRequest, check_destination, restore_files
from kinebackup.model import HealedFile, Incomplete, Problem, Salvaged


@dataclass(frozen=True, slots=True)
class RestoreDocument:
    """``files_skipped`` were there already and were left alone, as ``--overwrite`` asks.

    ``snapshot``: None where its file is lost, and folders of it were salvaged.
    """

    snapshot: str | None
    destination: str
    dry_run: bool
    files_restored: int
    files_skipped: int
    bytes_restored: int
    duration_s: float
    owners_by_number: tuple[str, ...]
    problems: tuple[Problem, ...]
    incomplete: tuple[Incomplete, ...]
    salvaged: tuple[Salvaged, ...]
    healed: tuple[HealedFile, ...]


@click.command(
    help=_(
        "Bring files back from a backup: all, or what lies at each PATH, which is absolute or relative to the sources. "
        "SNAPSHOT is an id, its beginning, or “latest”. Below DIR, every file keeps its full path. After an "
        "interruption, the same command goes on where it stopped."
    )
)
@click.argument("snapshot", shell_complete=snapshot_names)
@click.argument("paths", metavar="[PATH]...", nargs=-1)
@click.option(
    "--to",
    "destination",
    required=True,
    metavar="DIR",
    type=click.Path(),
    help=_("Folder to restore into; it is made if need be."),
)
@click.option(
    "--overwrite",
    type=click.Choice(["never", "if-changed", "always"]),
    default="never",
    show_default=True,
    help=_("What happens to files that are there already."),
)
@click.option(
    "--numeric-owner",
    is_flag=True,
    help=_("As root: give files to the numbers of their owners, not to the names."),
)
@click.option(
    "--salvage",
    is_flag=True,
    help=_(
        "Bring back what is sound of damaged files, as NAME.damaged, and what they lack in NAME.damaged.txt; "
        "and where a backup's own file is lost, the folders of it that are still there."
    ),
)
@click.option("--dry-run", is_flag=True, help=_("Only tell how much would be restored."))
@click.option(
    "--allow-cloud-destination", is_flag=True, help=_("Restore even into a folder that a cloud synchronises.")
)
@drive_option
@host_option
@secret_options
@header_option
@pass_session
def restore(
    session: Session,
    snapshot: str,
    paths: tuple[str, ...],
    destination: str,
    overwrite: Overwrite,
    numeric_owner: bool,
    salvage: bool,
    dry_run: bool,
    allow_cloud_destination: bool,
    drive: str | None,
    host: str,
    passphrase_file: str | None,
    recovery_code_file: str | None,
    header_from: str | None,
) -> int:
    secret = secret_from(passphrase_file, recovery_code_file, session.output)
    target = os.path.abspath(destination)
    request = RestoreJobRequest(
        snapshot,
        paths,
        target,
        overwrite=overwrite,
        dry_run=dry_run,
        numeric_owner=numeric_owner,
        salvage=salvage,
    )
    for notice in check_destination(target, session.world, allow_cloud=allow_cloud_destination):
        session.output.warn(notice.message, notice.hint)
    headers = headers_from(header_from, session.output)
    with opened(session, drive, secret, snapshot, host=host, headers=headers) as chosen:
        monitor = session.output.monitor()
        restored = restore_files(
            chosen.opened.repository,
            replace(request, whose=chosen.whose),
            session.world,
            cancel=session.cancel,
            monitor=monitor,
        )
        problems = (*chosen.problems, *restored.report.problems)
    if restored.report.owners_by_number:
        session.output.warn(
            _("this computer does not know these owners by name, and they were set by number: {names}").format(
                names=", ".join(map(on_one_line, restored.report.owners_by_number))
            )
        )
    session.output.result(_document(request, restored, problems), lambda: _words(session, request, restored))
    return ended(session, problems, restored.report.healed)


def _document(request: RestoreJobRequest, restored: Restored, problems: tuple[Problem, ...]) -> RestoreDocument:
    report = restored.report
    return RestoreDocument(
        snapshot=restored.named.id if restored.named else None,
        destination=request.destination,
        dry_run=request.dry_run,
        files_restored=report.files_restored,
        files_skipped=report.files_skipped,
        bytes_restored=report.bytes_restored,
        duration_s=round(report.duration_s, 3),
        owners_by_number=report.owners_by_number,
        problems=problems,
        incomplete=report.incomplete,
        salvaged=report.salvaged,
        healed=report.healed,
    )


def _words(session: Session, request: RestoreJobRequest, restored: Restored) -> str:
    report = restored.report
    lines = [_first_words(session, request, restored)]
    if report.files_skipped:
        lines.append(_skipped_words(request, report.files_skipped))
    if report.salvaged:
        text = ngettext(
            "{count} damaged file came back in part, as NAME.damaged; NAME.damaged.txt lists what it lacks",
            "{count} damaged files came back in part, as NAME.damaged; NAME.damaged.txt lists what they lack",
            len(report.salvaged),
        )
        lines.append(text.format(count=len(report.salvaged)))
    return "\n".join(lines)


def _first_words(session: Session, request: RestoreJobRequest, restored: Restored) -> str:
    report, count = restored.report, restored.report.files_restored
    said = {
        "count": count,
        "size": size_text(report.bytes_restored),
        "path": on_one_line(request.destination),
        "duration": duration_text(report.duration_s),
    }
    if restored.named is None:
        return ngettext(
            "{count} file ({size}) of a lost backup restored to {path} in {duration}",
            "{count} files ({size}) of a lost backup restored to {path} in {duration}",
            count,
        ).format(**said)
    said["time"] = time_text(restored.named.snapshot.taken_at, session.world.zone)
    if request.dry_run:
        return ngettext(
            "{count} file ({size}) of the backup of {time} would be restored to {path}",
            "{count} files ({size}) of the backup of {time} would be restored to {path}",
            count,
        ).format(**said)
    return ngettext(
        "{count} file ({size}) of the backup of {time} restored to {path} in {duration}",
        "{count} files ({size}) of the backup of {time} restored to {path} in {duration}",
        count,
    ).format(**said)


def _skipped_words(request: RestoreJobRequest, count: int) -> str:
    text = ngettext(
        "{count} file was there already and was left alone",
        "{count} files were there already and were left alone",
        count,
    ).format(count=count)
    if request.overwrite == "never":
        text += "; " + _("--overwrite if-changed replaces those that differ from the backup")
    return text
