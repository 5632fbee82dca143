"""``kinebackup drive``: list, show, rename, forget; enroll.py and eject.py have the other two.

Owns: the commands and their words. Does not know: what is remembered of a drive.
"""

from dataclasses import asdict
from datetime import tzinfo
from typing import assert_never

import click

from kinebackup.bus.query import drives_at_a_glance, tell_daemon_to_reload
from kinebackup.cli.commands.completion import drive_labels
from kinebackup.cli.commands.eject import eject
from kinebackup.cli.commands.enroll import after_drives_changed, enroll
from kinebackup.cli.session import Session, is_about_this_computer, pass_session
from kinebackup.cli.terminal.asking import confirm, yes_option
from kinebackup.cli.terminal.overview import drive_rows, last_jobs, whereabouts
from kinebackup.cli.terminal.tables import columns
from kinebackup.cli.terminal.words import (
    duration_text,
    files_text,
    name_text,
    size_text,
    sticker_text,
    time_text,
)
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.status import DriveDetails, details, overview
from kinebackup.policy.job_kinds import JobKind
from kinebackup.practice.known_drives import rename as rename_drive
from kinebackup.state.records import Run


@click.group()
def drive() -> None:
    pass


drive.add_command(enroll)


@drive.command("list", help=_("List the drives: place, last backup, last checks."))
@pass_session
def list_(session: Session, /) -> None:
    found = overview(session.config, session.world)
    session.tell_trouble(found.trouble)
    document = {"drives": found.drives}
    session.output.result(
        document,
        lambda: drive_rows(found, session.world.zone) or _("No drive is enrolled yet: kinebackup drive enroll"),
    )


@drive.command(help=_("Say what is known of a drive, and how the last jobs on it went."))
@click.argument("label", shell_complete=drive_labels)
@pass_session
def show(session: Session, /, label: str) -> None:
    at_work = {each.label: each for each in (drives_at_a_glance() if is_about_this_computer(session) else None) or ()}
    now = at_work.get(label)
    found = details(label, session.config, session.world, plugged_in=now is not None and now.plugged_in)
    session.tell_trouble(found.trouble)
    document = asdict(found.overview) | {
        "fs_uuid": found.record.fs_uuid,
        "part_uuid": found.record.part_uuid,
        "jobs": [
            {
                "kind": run.kind,
                "started": run.started,
                "ended": run.ended,
                "result": run.result,
                "snapshot": run.snapshot,
                **asdict(run.counts),
            }
            for run in found.runs
        ],
    }
    if now is not None:
        document |= {"phase": now.phase, "job": now.kind or None}
    session.output.result(document, lambda: _details_text(found, session.world.zone))


def _details_text(found: DriveDetails, zone: tzinfo) -> str:
    one, record = found.overview, found.record
    rows = [
        *whereabouts(one),
        (_("Model"), one.model),
        (_("Serial number"), one.serial),
        (_("Folder"), record.folder),
        (_("File system"), record.fs_uuid),
        (_("Repository"), one.repository),
        (_("Enrolled"), time_text(one.enrolled_at, zone)),
        *last_jobs(one, zone),
    ]
    name = name_text(one.label, simulated=one.simulated)
    parts = [name, *(f"  {line}" for line in columns([row for row in rows if row[1]]).splitlines())]
    if found.runs:
        parts += [
            "",
            _("Last jobs"),
            *(f"  {line}" for line in columns([_row(run, zone) for run in found.runs]).splitlines()),
        ]
    return "\n".join(parts)


def kind_text(kind: JobKind) -> str:
    """What a kind of job is called in the history of a drive."""
    match kind:
        case "backup":
            return _("backup")
        case "verify":
            return _("verification")
        case "verify-written":
            return _("verification of what was written")
        case "restore-test":
            return _("restore test")
        case "prune":
            return _("removal of old backups")
        case "repair":
            return _("repair")
    assert_never(kind)


def _row(run: Run, zone: tzinfo) -> tuple[str, ...]:
    results = {
        "ok": _("ok"),
        "problems": _("finished, with problems"),
        "suspicious": _("something is wrong with the sources"),
        "failed": _("FAILED"),
        "cancelled": _("stopped"),
        None: _("did not come to its end"),
    }
    counts = run.counts
    amounts = [files_text(counts.files)] if counts.files else []
    amounts += [size_text(counts.size_bytes)] if counts.size_bytes else []
    amounts += [_healed_text(counts.healed)] if counts.healed else []
    duration = duration_text((run.ended - run.started).total_seconds()) if run.ended else ""
    return time_text(run.started, zone), kind_text(run.kind), results[run.result], duration, ", ".join(amounts)


def _healed_text(count: int) -> str:
    """Told here, and by the run itself: of one place nobody else is told."""
    return ngettext("{count} damaged place", "{count} damaged places", count).format(count=count)


@drive.command(help=_("Call a drive something else. Nothing on the drive itself is changed."))
@click.argument("old", shell_complete=drive_labels)
@click.argument("new")
@pass_session
def rename(session: Session, /, old: str, new: str) -> None:
    record = rename_drive(old, new, session.computer)
    if is_about_this_computer(session):
        tell_daemon_to_reload()
    session.output.result(
        {"label": record.label, "before": old},
        lambda: "\n".join(
            (
                _("The drive {old} is called {new} now.").format(old=old, new=record.label),
                sticker_text(record.label),
            )
        ),
    )


@drive.command(help=_("Forget a drive that is lost or broken. Nothing on the drive itself is changed."))
@click.argument("label", shell_complete=drive_labels)
@yes_option
@pass_session
def forget(session: Session, /, label: str, yes: bool) -> None:
    record = session.computer.state.drive(label)
    confirm(_("Forget the drive {label}? Its backups stay on it.").format(label=record.label), yes=yes)
    session.computer.state.remove_drive(record.label)
    after_drives_changed(session, session.computer.state)
    session.output.result(
        {"forgotten": record.label}, lambda: _("The drive {label} is forgotten.").format(label=record.label)
    )


drive.add_command(eject)
