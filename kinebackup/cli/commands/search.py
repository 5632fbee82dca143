"""``kinebackup find`` and ``diff``: one file in all backups, and two backups side by side.

Owns: their options, words and JSON documents. Does not know: how snapshots are searched and compared
(jobs/browse.py).
"""

from collections import Counter
from dataclasses import dataclass
from datetime import tzinfo

import click

from kinebackup.cli.commands.completion import snapshot_names
from kinebackup.cli.reading import (
    drive_option,
    ended,
    header_option,
    headers_from,
    host_option,
    opened,
    secret_options,
    time_of_ns,
)
from kinebackup.cli.secret_files import secret_from
from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.gathered import Gathered
from kinebackup.cli.terminal.output import on_one_line, with_detail
from kinebackup.cli.terminal.words import SHORT_ID, size_text, time_text
from kinebackup.engine import problem_of
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.browse import Browser, Change, ChangeKind, Match
from kinebackup.model import HealedFile, Problem

_SIGNS: dict[ChangeKind, str] = {"added": "+", "removed": "-", "changed": "~", "metadata": "."}


@dataclass(frozen=True, slots=True)
class VersionItem:
    """A content of a file in JSON: in these snapshots, taken between ``first`` and ``last``."""

    size: int
    mtime: str | None
    first: str
    last: str
    snapshots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MatchItem:
    path: str
    type: str
    first: str
    last: str
    versions: tuple[VersionItem, ...]


@dataclass(frozen=True, slots=True)
class FindDocument:
    pattern: str
    drive: str
    snapshots_searched: int
    files: Gathered[Match]
    problems: tuple[Problem, ...]
    healed: tuple[HealedFile, ...]


@dataclass(frozen=True, slots=True)
class DiffDocument:
    """``a`` and ``b`` are snapshot ids; the numbers count ``changes`` by kind."""

    a: str
    b: str
    drive: str
    added: int
    removed: int
    changed: int
    metadata: int
    changes: Gathered[Change]
    problems: tuple[Problem, ...]
    healed: tuple[HealedFile, ...]


# -- find ------------------------------------------------------------------------------------------------------------


@click.command(
    help=_(
        "Find files and folders by name in all backups. PATTERN is a glob such as 'Dupont*' for names, or '*/radios/*' "
        "for paths; upper and lower case are alike."
    )
)
@click.argument("pattern")
@drive_option
@host_option
@secret_options
@header_option
@pass_session
def find(
    session: Session,
    pattern: str,
    drive: str | None,
    host: str,
    passphrase_file: str | None,
    recovery_code_file: str | None,
    header_from: str | None,
) -> int:
    secret = secret_from(passphrase_file, recovery_code_file, session.output)
    headers = headers_from(header_from, session.output)
    with opened(session, drive, secret, host=host, headers=headers) as chosen:
        found = chosen.opened
        files = found.repository.snapshots()
        known = chosen.whose.among(files.readable)
        browser = Browser(found.repository, session.cancel)
        zone = session.world.zone
        matches = session.output.gather(_match_item, lambda match: _match_words(match, zone))
        for match in browser.search(known, pattern):
            matches.add(match)
        label = found.drive.label
        healed = found.repository.healed
        problems = (*chosen.problems, *map(problem_of, files.unreadable), *browser.problems)
    document = FindDocument(pattern, label, len(known), matches, problems, healed)
    session.output.result(document, lambda: matches.lines if matches.count else _nothing_words(pattern, len(known)))
    return ended(session, problems, healed)


def _match_item(match: Match) -> MatchItem:
    holding = [named for version in match.versions for named in version.snapshots]
    times = sorted(named.snapshot.time for named in holding)
    versions = tuple(
        VersionItem(
            size=version.size,
            mtime=time_of_ns(version.mtime_ns),
            first=version.snapshots[0].snapshot.time,
            last=version.snapshots[-1].snapshot.time,
            snapshots=tuple(named.id for named in version.snapshots),
        )
        for version in match.versions
    )
    return MatchItem(match.path, match.type, times[0], times[-1], versions)


def _nothing_words(pattern: str, searched: int) -> str:
    text = ngettext(
        "Nothing is called {pattern} in {count} backup",
        "Nothing is called {pattern} in {count} backups",
        searched,
    ).format(pattern=pattern, count=searched)
    if not any(sign in pattern for sign in "*?["):
        text += "\n" + _("Part of a name is found with stars: '*{pattern}*'").format(pattern=pattern)
    return text


def _match_words(match: Match, zone: tzinfo) -> str:
    lines = [on_one_line(match.path) + ("/" if match.type == "dir" else "")]
    for version in match.versions:
        count = len(version.snapshots)
        where = ngettext("in {count} backup", "in {count} backups", count).format(count=count)
        first, last = version.snapshots[0], version.snapshots[-1]
        when = time_text(first.snapshot.taken_at, zone)
        if count > 1:
            when = _("{first} to {last}").format(first=when, last=time_text(last.snapshot.taken_at, zone))
        size = f"{size_text(version.size)}, " if match.type == "file" else ""
        lines.append(f"    {size}{with_detail(where, when)}  ({last.id[:SHORT_ID]})")
    return "\n".join(lines)


# -- diff ------------------------------------------------------------------------------------------------------------


@click.command(help=_("Show what changed from backup A to backup B."))
@click.argument("a", shell_complete=snapshot_names)
@click.argument("b", shell_complete=snapshot_names)
@drive_option
@host_option
@secret_options
@header_option
@pass_session
def diff(
    session: Session,
    a: str,
    b: str,
    drive: str | None,
    host: str,
    passphrase_file: str | None,
    recovery_code_file: str | None,
    header_from: str | None,
) -> int:
    secret = secret_from(passphrase_file, recovery_code_file, session.output)
    headers = headers_from(header_from, session.output)
    with opened(session, drive, secret, a, b, host=host, headers=headers) as chosen:
        found = chosen.opened
        before, after = chosen.find_snapshot(a), chosen.find_snapshot(b)
        browser = Browser(found.repository, session.cancel)
        changes = session.output.gather(lambda change: change, _change_words)
        counts: Counter[ChangeKind] = Counter()
        for change in browser.compare(before.snapshot, after.snapshot):
            counts[change.kind] += 1
            changes.add(change)
        label = found.drive.label
        healed = found.repository.healed
        problems = (*chosen.problems, *browser.problems)
    document = DiffDocument(
        a=before.id,
        b=after.id,
        drive=label,
        added=counts["added"],
        removed=counts["removed"],
        changed=counts["changed"],
        metadata=counts["metadata"],
        changes=changes,
        problems=problems,
        healed=healed,
    )
    summary = _("{added} added, {removed} removed, {changed} changed, {metadata} with other rights or times only")
    changes.say(
        summary.format(
            added=document.added, removed=document.removed, changed=document.changed, metadata=document.metadata
        )
    )
    session.output.result(document, lambda: changes.lines)
    return ended(session, problems, healed)


def _change_words(change: Change) -> str:
    line = f"{_SIGNS[change.kind]} {on_one_line(change.path)}" + ("/" if change.type == "dir" else "")
    before, after = change.size_before, change.size_after
    if change.kind == "changed" and before is not None and after is not None:
        line += f"  ({size_text(before)} → {size_text(after)})"
    elif change.kind == "added" and after is not None:
        line += f"  ({size_text(after)})"
    return line
