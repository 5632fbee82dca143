"""``kinebackup snapshots`` and ``ls``: what backups a drive holds, and what is in one; forget.py removes some.

Owns: their options, tables and JSON documents. Does not know: how directories are read (jobs/browse.py).
"""

import stat as st
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

import click

from kinebackup.cli.commands.completion import snapshot_names
from kinebackup.cli.commands.forget import forget
from kinebackup.cli.reading import (
    drive_option,
    ended,
    header_option,
    headers_from,
    host_option,
    opened,
    readable,
    secret_options,
    time_of_ns,
)
from kinebackup.cli.secret_files import secret_from
from kinebackup.cli.session import Session, pass_session
from kinebackup.cli.terminal.gathered import Gathered
from kinebackup.cli.terminal.output import on_one_line
from kinebackup.cli.terminal.tables import LongTable, columns
from kinebackup.cli.terminal.words import SHORT_ID, moment_of_ns, size_text, time_text
from kinebackup.engine import Entry, NamedSnapshot, Snapshot, Visited, problem_of
from kinebackup.errors import ExitCode
from kinebackup.i18n import _, ngettext
from kinebackup.jobs.browse import Browser, Listing
from kinebackup.model import HealedFile, Problem
from kinebackup.practice.drive_faults import note_faults


@dataclass(frozen=True, slots=True)
class SnapshotItem:
    """A snapshot in JSON; ``problems`` is their number, ``incomplete`` that of the files which it lacks."""

    id: str
    sequence: int
    time: str
    drive: str
    host: str
    sources: tuple[str, ...]
    files: int
    bytes: int
    problems: int
    suspicious: bool
    incomplete: int


@dataclass(frozen=True, slots=True)
class SnapshotsDocument:
    snapshots: tuple[SnapshotItem, ...]
    problems: tuple[Problem, ...]
    healed: tuple[HealedFile, ...]


@dataclass(frozen=True, slots=True)
class EntryItem:
    """An entry in JSON; ``mode`` in octal, ``mtime`` UTC."""

    path: str
    type: str
    size: int
    mode: str
    owner: str
    group: str
    mtime: str | None
    target: str | None
    uncertain: bool


@dataclass(frozen=True, slots=True)
class LsDocument:
    snapshot: str
    drive: str
    entries: Gathered[Visited]
    problems: tuple[Problem, ...]
    healed: tuple[HealedFile, ...]


@dataclass(frozen=True, slots=True)
class OnDrive:
    """The snapshots of one drive, oldest first."""

    label: str
    known: Sequence[NamedSnapshot]


# -- snapshots -------------------------------------------------------------------------------------------------------


@click.group(invoke_without_command=True)
@click.option(
    "--before",
    type=click.DateTime(["%Y-%m-%d"]),
    metavar="DATE",
    help=_("Only the good ones before that day (YYYY-MM-DD): not suspicious, and no file is missing."),
)
@drive_option
@secret_options
@header_option
@click.pass_context
def snapshots(
    ctx: click.Context,
    before: datetime | None,
    drive: str | None,
    passphrase_file: str | None,
    recovery_code_file: str | None,
    header_from: str | None,
) -> int:
    if ctx.invoked_subcommand is not None:
        if any((before, drive, passphrase_file, recovery_code_file, header_from)):
            raise click.UsageError(_("the options of {command} stand after it").format(command=ctx.invoked_subcommand))
        return ExitCode.OK
    session: Session = ctx.obj
    secret = secret_from(passphrase_file, recovery_code_file, session.output)
    choice = readable(session, drive, secret, headers_from(header_from, session.output))
    listed: list[OnDrive] = []
    problems: list[Problem] = []
    healed: list[HealedFile] = []
    for candidate in choice.drives:
        with choice.unlocking.open(candidate) as found:
            files = found.repository.snapshots()
            day = before.replace(tzinfo=session.world.zone) if before else None
            listed.append(OnDrive(candidate.label, [n for n in files.readable if not day or _is_good_before(n, day)]))
            problems += (*found.problems, *map(problem_of, files.unreadable))
            healed += found.repository.healed
        note_faults(candidate.record, choice.unlocking.computer, session.world, healed=found.repository.healed)
    items = tuple(_snapshot_item(named, on.label) for on in listed for named in on.known)
    session.output.result(
        SnapshotsDocument(items, tuple(problems), tuple(healed)),
        lambda: _snapshots_words(listed, session.world.zone, chosen=before is not None),
    )
    return ended(session, tuple(problems), tuple(healed))


snapshots.add_command(forget)


def _is_good_before(named: NamedSnapshot, day: datetime) -> bool:
    taken = named.snapshot
    return taken.taken_at < day and not taken.suspicious and not taken.files_lost


def _snapshot_item(named: NamedSnapshot, label: str) -> SnapshotItem:
    taken = named.snapshot
    return SnapshotItem(
        id=named.id,
        sequence=taken.sequence,
        time=taken.time,
        drive=taken.drive or label,
        host=taken.host,
        sources=taken.sources,
        files=taken.counts.files,
        bytes=taken.counts.bytes,
        problems=taken.problems_in_all,
        suspicious=taken.suspicious,
        incomplete=taken.files_lost,
    )


def _snapshots_words(listed: Sequence[OnDrive], zone: tzinfo, *, chosen: bool) -> str:
    text = (
        _("The drive {label} holds no good backup before that day")
        if chosen
        else _("The drive {label} holds no backup yet")
    )
    empty = [text.format(label=on_one_line(on.label)) for on in listed if not on.known]
    rows = [_snapshot_row(named, on.label, zone) for on in listed for named in on.known]
    if not rows:
        return "\n".join(empty)
    heads = (_("SNAPSHOT"), _("DRIVE"), _("TIME"), _("COMPUTER"), _("FILES"), _("SIZE"), "")
    return "\n".join([columns([heads, *rows], right=(4, 5)), *empty])


def _snapshot_row(named: NamedSnapshot, label: str, zone: tzinfo) -> Sequence[str]:
    taken = named.snapshot
    notes = []
    if taken.suspicious:
        notes.append(_("suspicious: files were missing"))
    if taken.files_lost:
        count = taken.files_lost
        notes.append(ngettext("{count} file is missing", "{count} files are missing", count).format(count=count))
    if taken.problems:
        count = taken.problems_in_all
        notes.append(ngettext("{count} problem", "{count} problems", count).format(count=count))
    return (
        named.id[:SHORT_ID],
        on_one_line(taken.drive or label),
        time_text(taken.taken_at, zone),
        on_one_line(taken.host),
        str(taken.counts.files),
        size_text(taken.counts.bytes),
        ", ".join(notes),
    )


# -- ls --------------------------------------------------------------------------------------------------------------


@click.command(
    help=_("List what is in a backup: in its sources, or at PATH. SNAPSHOT is an id, its beginning, or “latest”.")
)
@click.argument("snapshot", shell_complete=snapshot_names)
@click.argument("path", required=False)
@click.option("--long", "-l", "detailed", is_flag=True, help=_("Also rights, owner, size and time."))
@click.option("--recursive", "-R", is_flag=True, help=_("Also what lies in the folders."))
@drive_option
@host_option
@secret_options
@header_option
@pass_session
def ls(
    session: Session,
    snapshot: str,
    path: str | None,
    detailed: bool,
    recursive: bool,
    drive: str | None,
    host: str,
    passphrase_file: str | None,
    recovery_code_file: str | None,
    header_from: str | None,
) -> int:
    secret = secret_from(passphrase_file, recovery_code_file, session.output)
    headers = headers_from(header_from, session.output)
    with opened(session, drive, secret, snapshot, host=host, headers=headers) as chosen:
        found = chosen.opened
        named = chosen.find_snapshot(snapshot)
        browser = Browser(found.repository, session.cancel)
        taken, zone = named.snapshot, session.world.zone if detailed else None
        words = None if detailed else lambda visited: _shown_name(visited, full_path=recursive)
        entries = session.output.gather(lambda visited: _entry_item(visited, taken), words)
        listings = browser.contents(taken, path, recursive=recursive)
        for number, listing in enumerate(listings):
            if len(listings) > 1:
                entries.say(("\n" if number else "") + f"{on_one_line(listing.path)}:")
            _gather(entries, listing, taken, full_paths=recursive, details_in=zone)
        label = found.drive.label
        healed = found.repository.healed
        problems = (*chosen.problems, *browser.problems)
    session.output.result(LsDocument(named.id, label, entries, problems, healed), lambda: entries.lines)
    return ended(session, problems, healed)


def _gather(
    entries: Gathered[Visited], listing: Listing, snapshot: Snapshot, *, full_paths: bool, details_in: tzinfo | None
) -> None:
    table = LongTable(right=(3,)) if details_in and entries.in_words else None
    before = entries.count
    for visited in listing.entries:
        entries.add(visited)
        if table is not None and details_in is not None:
            row = _detail_row(visited.entry, snapshot, details_in)
            table.add((*row, _shown_name(visited, full_path=full_paths)))
    if table is not None:
        for line in table.lines():
            entries.say(line)
    if entries.count == before:
        entries.say(_("(empty)"))


def _entry_item(visited: Visited, snapshot: Snapshot) -> EntryItem:
    entry = visited.entry
    return EntryItem(
        path=f"/{visited.path}",
        type=entry.type,
        size=entry.size,
        mode=f"{st.S_IMODE(entry.mode):04o}",
        owner=snapshot.users.get(str(entry.uid), str(entry.uid)),
        group=snapshot.groups.get(str(entry.gid), str(entry.gid)),
        mtime=time_of_ns(entry.mtime),
        target=entry.path_target if entry.type == "symlink" else None,
        uncertain=entry.uncertain,
    )


def _shown_name(visited: Visited, *, full_path: bool) -> str:
    entry = visited.entry
    shown = on_one_line(f"/{visited.path}" if full_path else entry.path_name)
    if entry.type == "dir":
        return f"{shown}/"
    if entry.type == "symlink":
        return f"{shown} -> {on_one_line(entry.path_target)}"
    return shown


def _detail_row(entry: Entry, snapshot: Snapshot, zone: tzinfo) -> Sequence[str]:
    kinds = {"file": st.S_IFREG, "dir": st.S_IFDIR, "symlink": st.S_IFLNK, "fifo": st.S_IFIFO, "char": st.S_IFCHR}
    moment = moment_of_ns(entry.mtime)
    return (
        st.filemode(kinds.get(entry.type, st.S_IFBLK) | st.S_IMODE(entry.mode)),
        on_one_line(snapshot.users.get(str(entry.uid), str(entry.uid))),
        on_one_line(snapshot.groups.get(str(entry.gid), str(entry.gid))),
        size_text(entry.size) if entry.type == "file" else "",
        time_text(moment, zone),
    )
