"""The drives in one table.

Owns: its columns and words. Does not know: where the facts come from.
"""

from datetime import tzinfo

from kinebackup.cli.tables import columns
from kinebackup.cli.words import time_text
from kinebackup.i18n import _
from kinebackup.jobs.status_job import DriveOverview, Overview
from kinebackup.policy.rotation import Freshness


def drive_rows(found: Overview, zone: tzinfo) -> str:
    """One line for each drive below a heading; empty where there is none."""
    if not found.drives:
        return ""
    head = (
        _("Drive"),
        _("Kept at"),
        _("Now"),
        _("Last backup"),
        _("Last verification"),
        _("Last restore test"),
        "",
    )
    return columns([head, *(_row(drive, zone) for drive in found.drives)])


def _row(drive: DriveOverview, zone: tzinfo) -> tuple[str, ...]:
    return (
        drive.label,
        {"cabinet": _("practice"), "domicile": _("home")}[drive.place],
        _("plugged in") if drive.present else _("away"),
        time_text(drive.last_backup, zone),
        time_text(drive.last_verify, zone),
        time_text(drive.last_restore_test, zone),
        " · ".join(_remarks(drive)),
    )


def _remarks(drive: DriveOverview) -> list[str]:
    remarks = []
    if drive.simulated:
        remarks.append(_("simulation"))
    if drive.failed_check:
        remarks.append(_("DAMAGED"))
    if drive.freshness is Freshness.STALE:
        remarks.append(_("out of date"))
    return remarks
