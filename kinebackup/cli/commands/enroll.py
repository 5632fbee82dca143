"""``kinebackup drive enroll``: a drive as it is, an erased one, or a folder that simulates one.

Owns: the command, its words, and having the person agree before a disk is erased. Does not know: how a drive is judged,
erased or prepared.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from kinebackup.bus.query import tell_daemon_to_reload
from kinebackup.cli.session import Session, is_about_this_computer, pass_session
from kinebackup.cli.terminal.asking import can_ask, same_words, type_to_agree
from kinebackup.cli.terminal.tables import columns
from kinebackup.cli.terminal.words import size_text, sticker_text
from kinebackup.errors import ConfigError, KineError
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.enroll import Enrolled, EnrollRequest
from kinebackup.jobs.enroll import enroll as enroll_folder
from kinebackup.model import Place

if TYPE_CHECKING:  # mounting and erasing are loaded only when needed
    from kinebackup.drives.volumes import Volume
    from kinebackup.jobs.erase import DeviceTools, ToErase
    from kinebackup.state.state_db import StateDb


@dataclass(frozen=True, slots=True)
class EnrollOptions:
    """What was typed. ``yes_erase``: the model of the disk that is to be erased."""

    device: str | None
    folder: str | None
    label: str
    place: Place
    allow_existing_files: bool
    format: bool
    yes_erase: str | None


@click.command(
    help=_(
        "Make a drive one of the practice's: DEVICE is its device, such as /dev/sdb, or the folder where it is mounted."
    )
)
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
@click.option("--format", is_flag=True, help=_("Erase the whole drive first, and prepare it anew with ext4."))
@click.option(
    "--yes-erase", metavar="MODEL", help=_("With --format: do not ask, but erase only a drive of exactly this model.")
)
@pass_session
def enroll(session: Session, /, **typed: Any) -> None:
    options = EnrollOptions(**typed)
    _refuse_contradictions(options)
    request = EnrollRequest(
        path=options.device or options.folder or "",
        label=options.label,
        place=options.place,
        simulated=options.folder is not None,
        allow_existing_files=options.allow_existing_files,
        sources=[str(source.path) for source in session.config.sources],
    )
    made = _made(session, request, options)
    if is_about_this_computer(session):
        tell_daemon_to_reload()
    for notice in made.notices:
        session.output.warn(notice.message, notice.hint)
    document = {
        "label": made.drive.label,
        "place": made.drive.place,
        "simulated": made.drive.simulated,
        "repository": made.drive.repository,
        "folder": made.folder or None,
        "adopted": made.adopted,
        "snapshots": made.snapshots,
        "notices": made.notices,
        "healed": made.healed,
    }
    session.output.result(document, lambda: _enrolled_text(made))
    session.output.problems((), made.healed)


def _refuse_contradictions(options: EnrollOptions) -> None:
    if (options.device is None) == (options.folder is None):
        raise ConfigError(
            _("name either a drive or a folder"),
            _("kinebackup drive enroll /dev/… --label L --place cabinet; or --folder DIR for a simulation"),
        )
    if options.format and options.folder is not None:
        raise ConfigError(_("a folder cannot be formatted"), _("name a drive, or leave --format out"))
    if options.yes_erase is not None and not options.format:
        raise ConfigError(_("--yes-erase goes with --format"), _("leave it out, or add --format"))


def _made(session: Session, request: EnrollRequest, options: EnrollOptions) -> Enrolled:
    computer = session.computer
    if request.simulated:
        return enroll_folder(request, computer, session.world)
    from kinebackup.jobs.erase import enroll_device, enroll_erased, plan_erasing

    tools = device_tools(session)
    if not options.format:
        return enroll_device(request, computer, session.world, tools)
    plan = plan_erasing(request, computer, session.world)
    _agree(session, plan, options.yes_erase)
    session.output.say(_("Preparing the drive; a large or slow one takes some minutes. Leave it plugged in."))
    return enroll_erased(plan, request, computer, session.world, tools)


def device_tools(session: Session) -> "DeviceTools":
    """How to mount drives, and for this computer's own practice, how to keep the desktop from mounting them."""
    from kinebackup.wiring import make_device_tools

    is_own = session.world.is_root and is_about_this_computer(session)
    return make_device_tools(session.config, is_own=is_own)


def after_drives_changed(session: Session, state: "StateDb") -> None:
    """Tell the desktop which drives to leave alone from now on, and the daemon to read the drives again."""
    from kinebackup.jobs.erase import refresh_rule

    try:
        refresh_rule(state, device_tools(session))
    except KineError as error:
        session.output.warn(error.message, error.hint)
    if is_about_this_computer(session):
        tell_daemon_to_reload()


def _agree(session: Session, plan: "ToErase", typed: str | None) -> None:
    if typed is not None:
        if not same_words(typed, plan.word):
            raise ConfigError(
                _("the model of the drive is {model}, not {typed}; nothing was erased").format(
                    model=repr(plan.word), typed=repr(typed)
                ),
                _("make sure that it is the right drive, then give its model"),
            )
        return
    if can_ask():
        session.output.say(_plan_text(plan))
    type_to_agree(
        _("To erase it, type its model, {model}:").format(model=plan.word),
        plan.word,
        hint=_("confirm it with --yes-erase {model}").format(model=repr(plan.word)),
    )


def _plan_text(plan: "ToErase") -> str:
    disk = plan.disk
    lines = [
        _("ALL that is on this drive will be lost:"),
        f"  {plan.word}, {size_text(disk.size_bytes)}, {disk.node}",
    ]
    if disk.serial:
        lines.append("  " + _("serial number {serial}").format(serial=disk.serial))
    rows = [_volume_row(volume) for volume in plan.volumes if volume.usage != "nothing"]
    if rows:
        lines += [_("It holds:"), *(f"  {line}" for line in columns(rows).splitlines())]
    else:
        lines.append(_("It seems to be empty."))
    return "\n".join(lines)


def _volume_row(volume: "Volume") -> tuple[str, ...]:
    device = volume.device
    name = _("encrypted") if volume.usage == "locked" else volume.filesystem
    return device.node, size_text(device.size_bytes), name, device.label


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
    elif made.folder:
        lines.append(_("The drive {label} is ready, at {folder}.").format(label=label, folder=made.folder))
    else:
        lines.append(_("The drive {label} is ready.").format(label=label))
    if made.drive.simulated:
        lines.append(_("SIMULATION: a folder of this computer protects nothing; use it to try KineBackup out."))
    else:
        lines.append(sticker_text(label))
    lines.append(_("Next: kinebackup backup --drive {label}").format(label=label))
    return "\n".join(lines)
