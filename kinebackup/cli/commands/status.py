"""``kinebackup status``: one sentence, then the drives.

Owns: the command. Does not know: how the practice is judged. It opens no drive and reads no key, so that it answers at
once.

Root's answer comes from the state directory, plus what a running daemon is doing with each drive. Other users cannot
read that directory: unless they have a practice of their own, they get the daemon's answer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import click
import msgspec

from kinebackup.bus.query import drives_at_a_glance, status_from_daemon
from kinebackup.cli.session import Session, is_about_this_computer, pass_session
from kinebackup.cli.terminal.output import with_hint
from kinebackup.cli.terminal.overview import rows_of
from kinebackup.errors import KineError
from kinebackup.i18n import _
from kinebackup.jobs.status import DriveOverview, overview, source_notices
from kinebackup.texts.status import text_of


@click.command()
@pass_session
def status(session: Session, /) -> None:
    ours = is_about_this_computer(session)
    if ours and not session.world.is_root and (text := status_from_daemon()) is not None:
        session.output.result(json.loads(text), lambda: _words(session, _read(text)))
        return
    at_work = {drive.label: drive for drive in (drives_at_a_glance() if ours else None) or ()}
    plugged_in = {label for label, drive in at_work.items() if drive.plugged_in}
    found = overview(session.config, session.world, plugged_in=plugged_in)
    notices = source_notices(session.config, session.world)
    warnings = [(found.trouble.message, found.trouble.hint)] if found.trouble else []
    warnings += [(notice.message, notice.hint) for notice in (*found.notices, *notices)]
    assessment = found.assessment
    shown = _Shown(
        sentence=text_of(assessment.headline),
        more=[text_of(each) for each in assessment.more],
        warnings=[with_hint(message, hint) for message, hint in warnings],
        drives=found.drives,
        phases={label: drive.phase for label, drive in at_work.items()},
    )
    document = {
        "sentence": shown.sentence,
        "protected": assessment.protected,
        "simulation": assessment.simulation,
        "say": assessment.headline.code,
        "more": shown.more,
        "drives": [
            asdict(drive) | ({"phase": now.phase, "job": now.kind or None} if now else {})
            for drive in found.drives
            for now in [at_work.get(drive.label)]
        ],
        "warnings": [message for message, _hint in warnings],
    }
    session.output.result(document, lambda: _words(session, shown))


@dataclass(frozen=True, slots=True)
class _Shown:
    """What a person is shown, wherever it comes from. ``phases``: what the daemon does with each drive."""

    sentence: str
    more: Sequence[str]
    warnings: Sequence[str]
    drives: Sequence[DriveOverview]
    phases: Mapping[str, str]


class _DrivePhase(msgspec.Struct):
    label: str
    phase: str = ""


class _Document(msgspec.Struct):
    """The part of the daemon's document that is shown."""

    sentence: str
    more: list[str]
    warnings: list[str]
    drives: list[msgspec.Raw]


def _read(text: str) -> _Shown:
    """The daemon's document. Raises ``KineError`` where it is of another version."""
    try:
        document = msgspec.json.decode(text, type=_Document)
        phases = [msgspec.json.decode(drive, type=_DrivePhase) for drive in document.drives]
        drives = [msgspec.json.decode(drive, type=DriveOverview) for drive in document.drives]
    except msgspec.MsgspecError as error:
        raise KineError(
            _("the KineBackup service is of another version than this command"),
            _("restart it: systemctl restart kinebackup"),
        ) from error
    return _Shown(
        document.sentence, document.more, document.warnings, drives, {each.label: each.phase for each in phases}
    )


def _words(session: Session, shown: _Shown) -> str:
    parts = [f"{shown.sentence}."]
    parts += [f"  · {each}." for each in shown.more]
    parts += [f"  ! {each}" for each in shown.warnings]
    table = rows_of(shown.drives, session.world.zone, shown.phases)
    return "\n".join([*parts, "", table] if table else parts)
