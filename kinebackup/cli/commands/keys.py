"""``kinebackup key``: the passphrases, recovery codes and computers that open the backups.

Owns: the commands and their words. Does not know: how slots are wrapped, or reach the drives.
"""

import os

import click

from kinebackup.cli.secret_files import (
    code_text,
    new_passphrase_from,
    new_secret_file,
    passphrase_from,
    shown_code,
    write_private_file,
)
from kinebackup.cli.session import Session, contradiction, pass_session
from kinebackup.cli.terminal.asking import ask_new_passphrase, can_ask, confirm, yes_option
from kinebackup.cli.terminal.output import on_one_line, with_hint
from kinebackup.cli.terminal.tables import columns
from kinebackup.cli.terminal.words import time_text
from kinebackup.engine import Passphrase, Slot, kind_text, parse_time
from kinebackup.errors import ConfigError
from kinebackup.i18n import _
from kinebackup.jobs import keys as key_job
from kinebackup.jobs.key_export import Exported, export_keys, remember_export
from kinebackup.jobs.keys import KeyChange
from kinebackup.practice.key_sheet import last_sheet, sheet_notices


@click.group()
def key() -> None:
    pass


@key.command("list", help=_("List what opens the backups."))
@pass_session
def list_(session: Session, /) -> None:
    computer = session.computer
    own = key_job.own_slot(computer)
    waiting = key_job.waiting_drives(computer)
    sheet = last_sheet(computer.state)
    document = {
        "keys": [
            {"id": slot.id, "kind": slot.kind, "created": slot.created, "this_computer": slot.id == own.id}
            for slot in computer.keyring.slots
        ],
        "waiting_drives": waiting,
        "export": sheet,
    }

    def words() -> str:
        rows = [
            (slot.id, kind_text(slot.kind), _day(slot, session), _("this computer") if slot.id == own.id else "")
            for slot in computer.keyring.slots
        ]
        table = columns([(_("Key"), _("Kind"), _("Made on"), ""), *rows])
        told = [with_hint(notice.message, notice.hint) for notice in sheet_notices(computer.state)]
        return "\n".join([table, *_waiting_text(waiting), *told])

    session.output.result(document, words)


@key.command(
    help=_(
        "Write what opens the drives if they lose their own headers: to be printed, and kept with the recovery code, "
        "without which it opens nothing. Its last lines are the SHA-256 of recover.py and FORMAT.md: compare them "
        "before you run recover.py from a drive that was out of your hands. Without --out, to standard output."
    )
)
@click.option("--out", metavar="F", type=click.Path(dir_okay=False), help=_("Write it to this file."))
@yes_option
@pass_session
def export(session: Session, /, out: str | None, yes: bool) -> None:
    exported = export_keys(session.computer, session.world, practice=session.config.practice.name)
    if out is not None:
        if os.path.lexists(out):
            confirm(_("{path} exists already. Replace it?").format(path=on_one_line(out)), yes=yes)
        write_private_file(out, exported.text)
    remember_export(exported, session.computer, session.world)
    document = {
        "file": os.path.abspath(out) if out else None,
        "text": exported.text.decode("utf-8"),
        "generation": exported.generation,
        "drives": exported.labels,
        "sha256": exported.digests,
    }
    if out is None:
        session.output.once(exported.text.decode("utf-8").removesuffix("\n"))
        session.output.result(document, lambda: exported.text.decode("utf-8").removesuffix("\n"))
        session.output.say(_export_advice())
        return
    session.output.result(document, lambda: _export_words(out, exported))


def _export_words(out: str, exported: Exported) -> str:
    where = _("The key export of {labels} is in {path}.").format(
        labels=", ".join(map(on_one_line, exported.labels)), path=on_one_line(out)
    )
    return f"{where}\n{_export_advice()}"


def _export_advice() -> str:
    return _(
        "Print it, and keep it with the recovery code, away from the computer and the drives: without that code it "
        "opens nothing. Make a new one when the recovery code or the drives change."
    )


def _day(slot: Slot, session: Session) -> str:
    return time_text(parse_time(slot.created), session.world.zone)[:10]


@key.command(help=_("Add a passphrase, or a new recovery code."))
@click.option("--passphrase-file", metavar="F", help=_("The new passphrase is the first line of this file."))
@click.option("--recovery-code", is_flag=True, help=_("Make a new recovery code, and show it once."))
@click.option("--recovery-code-file", metavar="OUT", help=_("Make a new recovery code, and write it to this new file."))
@pass_session
def add(session: Session, /, passphrase_file: str | None, recovery_code: bool, recovery_code_file: str | None) -> None:
    computer = session.computer
    wants_code = recovery_code or recovery_code_file is not None
    if wants_code and passphrase_file:
        raise contradiction(_("add a passphrase or a recovery code, not both at once"))
    if wants_code:
        with new_secret_file(recovery_code_file) as keep:
            change = key_job.add_recovery_code(computer, session.world, keep)
        code = change.code or ""
        if recovery_code_file is None:
            session.output.once(code)
        _result(session, change, code_text(recovery_code_file, code), shown_code(recovery_code_file, code))
        return
    new = _new_passphrase(session, passphrase_file)
    change = key_job.add_passphrase(computer, new, session.world)
    _result(session, change, (_("The passphrase is added, as key {id}.").format(id=change.slot.id),))


@key.command(help=_("Remove a key: KEY is its name in “kinebackup key list”, or the beginning of it."))
@click.argument("key_id", metavar="KEY")
@yes_option
@pass_session
def remove(session: Session, /, key_id: str, yes: bool) -> None:
    slot = key_job.slot_to_remove(session.computer, key_id)
    question = _("Remove the key {id} ({kind}, made on {day})? It will open the backups no more.")
    confirm(question.format(id=slot.id, kind=kind_text(slot.kind), day=_day(slot, session)), yes=yes)
    change = key_job.remove(session.computer, slot, session.world)
    _result(session, change, (_("The key {id} is removed.").format(id=slot.id),))


@key.command("change-passphrase", help=_("Put a new passphrase in the place of the old one."))
@click.argument("key_id", metavar="[KEY]", required=False)
@click.option("--new-passphrase-file", metavar="F", help=_("The new passphrase is the first line of this file."))
@click.option("--passphrase-file", metavar="F", help=_("The old one, where there are several and KEY is not given."))
@pass_session
def change_passphrase(
    session: Session, /, key_id: str | None, new_passphrase_file: str | None, passphrase_file: str | None
) -> None:
    computer = session.computer
    if new_passphrase_file is None and not can_ask():
        raise ConfigError(_("the new passphrase is missing"), _("give it in a file: --new-passphrase-file"))
    current = passphrase_from(passphrase_file, session.output) if passphrase_file else None
    old = key_job.passphrase_slot(computer, key_id, current)
    new = _new_passphrase(session, new_passphrase_file)
    change = key_job.change_passphrase(computer, old, new, session.world)
    _result(session, change, (_("The passphrase is changed; its key is now {id}.").format(id=change.slot.id),))


def _new_passphrase(session: Session, file: str | None) -> Passphrase:
    return new_passphrase_from(file, session.output) if file else ask_new_passphrase()


def _result(
    session: Session,
    change: KeyChange,
    lines: tuple[str, ...],
    extra: dict[str, object] | None = None,
) -> None:
    document = {
        "id": change.slot.id,
        "kind": change.slot.kind,
        "drives_updated": change.updated,
        "drives_waiting": change.waiting,
    }
    session.output.problems(change.problems)
    shown = document | {"problems": change.problems} | (extra or {})
    session.output.result(shown, lambda: "\n".join([*lines, *_waiting_text(change.waiting)]))


def _waiting_text(waiting: tuple[str, ...]) -> list[str]:
    if not waiting:
        return []
    text = _("Not yet on: {labels}. Until their next backup, these drives open with the keys that they had.")
    return [text.format(labels=", ".join(waiting))]
