"""The drives in one table.

Owns: its columns and words. Does not know: where the facts come from.
"""

from collections.abc import Mapping, Sequence
from datetime import tzinfo

from kinebackup.cli.terminal.tables import columns
from kinebackup.cli.terminal.words import place_text, presence_text, time_text
from kinebackup.i18n import _
from kinebackup.jobs.status import DriveOverview, Overview
from kinebackup.policy.phases import Phase
from kinebackup.policy.rotation import Freshness


def drive_rows(found: Overview, zone: tzinfo) -> str:
    """One line for each drive below a heading; empty where there is none."""
    return rows_of(found.drives, zone, {})


def rows_of(drives: Sequence[DriveOverview], zone: tzinfo, phases: Mapping[str, str]) -> str:
    """The same, with what the daemon does with each drive: labels and phases (``policy.phases.Phase``)."""
    if not drives:
        return ""
    rows = [_row(drive, zone, phases.get(drive.label, "")) for drive in drives]
    return columns([[name for name, _value in rows[0]], *([value for _name, value in row] for row in rows)])


def whereabouts(drive: DriveOverview, phase: str = "") -> tuple[tuple[str, str], ...]:
    """Where it is kept and where it is now: names and values."""
    now = phase_text(phase) or presence_text(drive.present)
    return (_("Kept at"), place_text(drive.place)), (_("Now"), now)


def last_jobs(drive: DriveOverview, zone: tzinfo) -> tuple[tuple[str, str], ...]:
    """When each kind of job last went well: names and values."""
    return (
        (_("Last backup"), time_text(drive.last_backup, zone)),
        (_("Last verification"), time_text(drive.last_verify, zone)),
        (_("Last restore test"), time_text(drive.last_restore_test, zone)),
    )


def _row(drive: DriveOverview, zone: tzinfo, phase: str) -> tuple[tuple[str, str], ...]:
    return (
        (_("Drive"), drive.label),
        *whereabouts(drive, phase),
        *last_jobs(drive, zone),
        ("", " · ".join(_remarks(drive))),
    )


def phase_text(phase: str) -> str:
    """Empty for a phase that adds nothing to the drive being here or away, and for one of a newer daemon."""
    texts = {
        Phase.ABSENT: "",
        Phase.APPEARED: "",
        Phase.MOUNTING: _("being opened"),
        Phase.AUTHENTICATING: _("being opened"),
        Phase.BACKING_UP: _("backup running"),
        Phase.VERIFYING: _("being checked"),
        Phase.TESTING: _("restore test running"),
        Phase.PRUNING: _("being tidied up"),
        Phase.REPAIRING: _("being repaired"),
        Phase.STOPPING: _("being finished"),
        Phase.UNMOUNTING: _("being finished"),
        Phase.POWERING_OFF: _("being finished"),
        Phase.STUCK: _("in use, do not unplug"),
        Phase.SAFE: _("can be unplugged"),
        Phase.REFUSED: _("refused"),
    }
    return next((text for known, text in texts.items() if known == phase), "")


def _remarks(drive: DriveOverview) -> list[str]:
    remarks = []
    if drive.simulated:
        remarks.append(_("simulation"))
    if drive.failed_check or drive.backups_missing:
        remarks.append(_("DAMAGED"))
    if drive.health == "replace":
        remarks.append(_("to be replaced"))
    if drive.freshness is Freshness.STALE:
        remarks.append(_("out of date"))
    return remarks
