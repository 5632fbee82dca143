"""``kinebackup check-target``: may a backup be written there, and if not, why.

Owns: the command and its words. Does not know: the rules. It works without a configuration or a key; with what this
user can read of them, the answer is more exact.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.output import hint_text, with_hint
from kinebackup.errors import ConfigError, ExitCode, KineError
from kinebackup.i18n import _
from kinebackup.jobs.judge_target import CheckedTarget, check_target

if TYPE_CHECKING:
    from kinebackup.state.records import Drive


@click.command("check-target", help=_("Say whether backups may be written to a folder or a device, and why not."))
@click.argument("path")
@pass_session
def command(session: Session, /, path: str) -> int:
    known = _known(session)
    found = check_target(path, sources=known.sources, drives=known.drives, system=session.world.system)
    verdict = found.verdict
    document = {
        "verdict": verdict.verdict,
        "reason": verdict.reason,
        "service": verdict.service or (found.facts.cloud.service if found.facts.cloud else "") or None,
        "facts": found.facts,
        "message": verdict.message,
        "hint": verdict.hint,
        "drive": found.known.label if found.known else None,
        "notices": verdict.warnings,
    }
    session.output.result(document, lambda: _text(found))
    return ExitCode.OK if verdict.accepted else ExitCode.TARGET_REFUSED


@dataclass(frozen=True, slots=True)
class _Known:
    """What this user may know of the practice."""

    sources: Sequence[str] = ()
    drives: "Sequence[Drive]" = ()


def _known(session: Session) -> _Known:
    from kinebackup.state.state_db import StateDb

    try:
        config = session.config
    except ConfigError:
        if session.config_path is not None:  # it was asked for by name
            raise
        return _Known()
    sources = [str(source.path) for source in config.sources]
    try:
        with StateDb(config.paths.state) as state:
            return _Known(sources, state.drives() if state.exists else ())
    except (KineError, OSError):  # it belongs to root
        return _Known(sources)


def _text(found: CheckedTarget) -> str:
    verdict, facts = found.verdict, found.facts
    if not verdict.accepted:
        lines = [_("REFUSED: {message}").format(message=verdict.message)]
        if verdict.service:
            lines.append("  " + _("service: {service}").format(service=verdict.service))
        lines.append("  " + hint_text(verdict.hint))
    elif found.known is not None and found.known.simulated:
        text = _("Accepted: {path} is the simulated drive {label}.")
        lines = [text.format(path=facts.path, label=found.known.label)]
    elif found.known is not None:
        text = _("Accepted: {path} is the drive {label} of the practice.")
        lines = [text.format(path=facts.path, label=found.known.label)]
    else:
        text = _("Accepted: {path} is a USB drive that can be enrolled.")
        lines = [text.format(path=facts.path)]
        if not facts.mount_point:
            lines.append("  " + _("What is on it is looked at when it is enrolled: files of others refuse it then."))
        lines.append("  " + _("Next: kinebackup drive enroll {path} --label L --place cabinet").format(path=facts.path))
    lines += [f"  ! {with_hint(notice.message, notice.hint)}" for notice in verdict.warnings]
    return "\n".join(lines)
