"""Sources can lie: a drive that is not mounted, a folder that was emptied, a link that leads elsewhere.

Owns: comparing each source with what the last good snapshot had of it, by the path that is configured, and the words
for it. Does not know: single files, or how sources are scanned.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from kinebackup.engine.backup.run import BackupRun
from kinebackup.engine.backup.stats import BackupStats
from kinebackup.engine.format.snapshot import escaped
from kinebackup.engine.source import LinkRefused, Source
from kinebackup.i18n import _, ngettext
from kinebackup.model import Problem


@dataclass(frozen=True, slots=True)
class _Before:
    """A source as the last good snapshot has it: how many files, and where they lay."""

    files: int
    place: str


def judge_sources(run: BackupRun, stats: BackupStats, missing: Mapping[str, OSError]) -> bool:
    """Report each source that is missing, empty, shrunken or another one; whether the snapshot is suspicious.

    ``missing``: why, by the path that is configured.
    """
    before = _last_good(run)
    doubts: list[Problem] = []
    for source in run.request.sources:
        path, old = source.configured, before.get(escaped(source.configured))
        count = stats.files_by_source.get(source.path, 0)
        if path in missing:
            stats.files_lost += max(old.files if old else 0, 1)
            doubts.append(Problem("source-missing", path, _missing_text(missing[path])))
            continue
        if old is not None and old.place != escaped(source.path):
            doubts.append(Problem("source-moved", path, _moved_text(source, old.place)))
        if count == 0:
            doubts.append(Problem("source-empty", path, _("the folder has no file in it")))
        elif old is not None and count < old.files * run.request.shrink_share:
            text = ngettext(
                "{count} file is left of {old}; confirm with --accept-shrink if this is meant",
                "{count} files are left of {old}; confirm with --accept-shrink if this is meant",
                count,
            )
            doubts.append(Problem("source-shrunk", path, text.format(count=count, old=old.files)))
    if run.request.accept_shrink:  # confirmed; a missing source is still worth a word each time
        doubts = [p for p in doubts if p.kind == "source-missing"]
    for problem in doubts:
        stats.problems.append(problem)
        run.monitor.problem(problem)
    return (bool(doubts) or stats.files_gone > 0) and not run.request.accept_shrink


def _last_good(run: BackupRun) -> dict[str, _Before]:
    """Of each source that this computer has ever saved, by its configured path."""
    found: dict[str, _Before] = {}
    for named in reversed(run.repository.snapshots().readable):
        snapshot = named.snapshot
        if snapshot.machine == run.request.machine and not snapshot.suspicious:
            for path, files, place in zip(snapshot.sources, snapshot.files_by_source, snapshot.places, strict=False):
                found.setdefault(path, _Before(files, place))
    return found


def _missing_text(error: OSError) -> str:
    if isinstance(error, LinkRefused):
        return _(
            "the link {link} leads to {target}, which does not belong to the link's owner; it is not followed"
        ).format(link=error.link, target=error.target)
    return _("the folder is not there, or cannot be opened")


def _moved_text(source: Source, before: str) -> str:
    return _("it is now {target}, and was {before}; confirm with --accept-shrink if this is meant").format(
        target=source.path, before=before
    )
