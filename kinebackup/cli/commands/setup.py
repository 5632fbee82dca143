"""``kinebackup init``: the keys of a new practice, or this computer as one more of a practice.

Owns: the command, and showing the recovery code once. Does not know: how keys are made.
"""

from dataclasses import dataclass
from typing import Any

import click

from kinebackup.bus.query import tell_daemon_to_reload
from kinebackup.cli.secret_files import code_text, new_passphrase_from, new_secret_file, secret_from, shown_code
from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.asking import ask_new_passphrase, ask_secret
from kinebackup.engine import Secret
from kinebackup.i18n import _, ngettext
from kinebackup.model import Place
from kinebackup.practice.computer_keys import ComputerKeys, refuse_if_set_up


@dataclass(frozen=True, slots=True)
class InitOptions:
    """What was typed. ``recovery_code_file`` is written by a plain ``init`` and read by ``init --join``."""

    passphrase_file: str | None
    recovery_code_file: str | None
    join: str | None
    label: str
    place: Place


@click.command(
    help=_("Create the practice's keys on this computer, or join a practice that has drives already (--join).")
)
@click.option("--passphrase-file", metavar="F", help=_("The passphrase is the first line of this file."))
@click.option(
    "--recovery-code-file",
    metavar="FILE",
    help=_("Write the recovery code to this new file instead of showing it. With --join: read it from this file."),
)
@click.option("--join", metavar="DRIVE", help=_("Join the practice of the drive that is mounted at this path."))
@click.option("--label", default="", metavar="L", help=_("With --join: the drive's label, if its backups do not tell."))
@click.option(
    "--place",
    type=click.Choice(["cabinet", "domicile"]),
    default="cabinet",
    show_default=True,
    help=_("With --join: where that drive is kept, at the practice or at home."),
)
@pass_session
def init(session: Session, /, **typed: Any) -> None:
    options = InitOptions(**typed)
    refuse_if_set_up(session.config.paths.state)
    if options.join is not None:
        _join(session, options, options.join)
    else:
        _create(session, options)


def _create(session: Session, options: InitOptions) -> None:
    with new_secret_file(options.recovery_code_file) as write_code:
        if options.passphrase_file:
            passphrase = new_passphrase_from(options.passphrase_file, session.output)
        else:
            passphrase = ask_new_passphrase()
        computer, code = ComputerKeys.create(session.config.paths.state, passphrase, session.world)
        session.closing.enter_context(computer.state)
        write_code(code)
    tell_daemon_to_reload()
    document: dict[str, object] = {"practice": computer.keyring.practice, "state": str(computer.directory)}
    document |= shown_code(options.recovery_code_file, code)
    if not options.recovery_code_file:
        session.output.once(code)
    session.output.result(document, lambda: _created_text(computer, options.recovery_code_file, code))


def _created_text(computer: ComputerKeys, file: str | None, code: str) -> str:
    return "\n".join(
        (
            _("The practice's keys are made; this computer's own key is in {state}.").format(state=computer.directory),
            "",
            *code_text(file, code),
            "",
            _("Next: prepare a drive with “kinebackup drive enroll”, then save with “kinebackup backup”."),
        )
    )


def _join(session: Session, options: InitOptions, drive: str) -> None:
    from kinebackup.cli.commands.enroll import after_drives_changed
    from kinebackup.jobs.join import JoinRequest, join

    secret: Secret = secret_from(options.passphrase_file, options.recovery_code_file, session.output) or ask_secret()
    joined = join(
        session.config.paths.state,
        JoinRequest(
            drive=drive,
            secret=secret,
            label=options.label,
            place=options.place,
            sources=[str(source.path) for source in session.config.sources],
        ),
        session.world,
    )
    session.closing.enter_context(joined.computer.state)
    after_drives_changed(session, joined.computer.state)
    document = {
        "practice": joined.computer.keyring.practice,
        "state": str(joined.computer.directory),
        "drive": {"label": joined.drive.label, "place": joined.drive.place, "simulated": joined.drive.simulated},
        "snapshots": joined.snapshots,
    }
    words = ngettext(
        "This computer has joined the practice; the drive {label} holds {count} backup.",
        "This computer has joined the practice; the drive {label} holds {count} backups.",
        joined.snapshots,
    )
    session.output.result(document, lambda: words.format(label=joined.drive.label, count=joined.snapshots))
