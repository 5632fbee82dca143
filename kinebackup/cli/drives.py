"""``kinebackup drive``: enroll, list, repair, forget; eject.py has the one that asks the daemon.

Owns: the commands and their words. Does not know: how a drive is judged or prepared.
"""

import click

from kinebackup.cli.asking import confirm
from kinebackup.cli.eject import eject
from kinebackup.cli.overview import drive_rows
from kinebackup.cli.session import Session, pass_session
from kinebackup.errors import ConfigError
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.enroll_job import Enrolled, EnrollWish
from kinebackup.jobs.enroll_job import enroll as enroll_drive
from kinebackup.jobs.repair_job import Repaired
from kinebackup.jobs.repair_job import repair as repair_drive
from kinebackup.jobs.status_job import overview
from kinebackup.model import Place


@click.group(help=_("Prepare and list the drives."))
def drive() -> None:
    pass


@drive.command(help=_("Make a drive one of the practice's: DEVICE is its device, or the folder where it is mounted."))
@click.argument("device", required=False)
@click.option("--folder", metavar="DIR", help=_("A folder instead of a drive: a simulation, to try KineBackup out."))
@click.option("--label", required=True, metavar="L", help=_("Its name, to write on a sticker: for example CABINET."))
@click.option(
    "--place",
    required=True,
    type=click.Choice(["cabinet", "domicile"]),
    help=_("Where it is kept: at the practice, or at home."),
)
@click.option("--allow-existing-files", is_flag=True, help=_("Leave the files that are on the drive there."))
@pass_session
def enroll(
    session: Session, /, device: str | None, folder: str | None, label: str, place: Place, allow_existing_files: bool
) -> None:
    if (device is None) == (folder is None):
        raise ConfigError(
            _("name either a drive or a folder"),
            _("kinebackup drive enroll /media/… --label L --place cabinet; or --folder DIR for a simulation"),
        )
    wish = EnrollWish(
        path=device or folder or "",
        label=label,
        place=place,
        simulated=folder is not None,
        allow_existing_files=allow_existing_files,
        sources=[str(source.path) for source in session.config.sources],
    )
    made = enroll_drive(wish, session.practice, session.world)
    for notice in made.notices:
        session.output.warn(notice.message, notice.hint)
    document = {
        "label": made.drive.label,
        "place": made.drive.place,
        "simulated": made.drive.simulated,
        "repository": made.drive.repository,
        "folder": made.folder,
        "adopted": made.adopted,
        "snapshots": made.snapshots,
        "notices": made.notices,
    }
    session.output.result(document, lambda: _enrolled_text(made))


def _enrolled_text(made: Enrolled) -> str:
    label = made.drive.label
    lines = []
    if made.adopted:
        text = ngettext(
            "The drive {label} is one of the practice's again; it holds {count} backup.",
            "The drive {label} is one of the practice's again; it holds {count} backups.",
            made.snapshots,
        )
        lines.append(text.format(label=label, count=made.snapshots))
    elif made.drive.simulated:
        lines.append(_("The simulated drive {label} is ready, in {folder}.").format(label=label, folder=made.folder))
    else:
        lines.append(_("The drive {label} is ready, at {folder}.").format(label=label, folder=made.folder))
    if made.drive.simulated:
        lines.append(_("SIMULATION: a folder of this computer protects nothing; use it to try KineBackup out."))
    else:
        lines.append(_("Write {label} on a sticker on the drive.").format(label=label))
    lines.append(_("Next: kinebackup backup --drive {label}").format(label=label))
    return "\n".join(lines)


@drive.command("list", help=_("List the drives: place, last backup, last checks."))
@pass_session
def list_(session: Session, /) -> None:
    found = overview(session.config, session.world)
    document = {"drives": found.drives}
    session.output.result(
        document,
        lambda: drive_rows(found, session.world.zone) or _("No drive is enrolled yet: kinebackup drive enroll"),
    )


@drive.command(
    help=_("Write the header of a drive anew, where it is lost or damaged. Only a computer that knows the drive can.")
)
@click.argument("label")
@pass_session
def repair(session: Session, /, label: str) -> None:
    sources = [str(source.path) for source in session.config.sources]
    made = repair_drive(label, session.practice, session.world, sources=sources)
    session.output.result(made, lambda: _repaired_text(made))


def _repaired_text(made: Repaired) -> str:
    if not made.written:
        return _("The header of the drive {label} is sound; nothing was changed.").format(label=made.label)
    lines = [
        ngettext(
            "The drive {label} has its header again; it holds {count} backup.",
            "The drive {label} has its header again; it holds {count} backups.",
            made.snapshots,
        ).format(label=made.label, count=made.snapshots)
    ]
    lines.append(_("Next: kinebackup verify --full --drive {label}").format(label=made.label))
    return "\n".join(lines)


@drive.command(help=_("Forget a drive that is lost or broken. Nothing on the drive itself is changed."))
@click.argument("label")
@click.option("--yes", is_flag=True, help=_("Do not ask."))
@pass_session
def forget(session: Session, /, label: str, yes: bool) -> None:
    record = session.practice.state.drive(label)
    confirm(_("Forget the drive {label}? Its backups stay on it.").format(label=record.label), yes=yes)
    session.practice.state.remove_drive(record.label)
    session.output.result(
        {"forgotten": record.label}, lambda: _("The drive {label} is forgotten.").format(label=record.label)
    )


drive.add_command(eject)
