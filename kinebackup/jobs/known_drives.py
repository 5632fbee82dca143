"""What can be done with a drive that need not be plugged in: looking it up, renaming it.

Owns: gathering what is remembered of it. Does not know: how it is shown.
"""

from dataclasses import dataclass, replace
from typing import Final

from kinebackup.config import Config
from kinebackup.jobs.enroll_job import check_label, refuse_taken_label
from kinebackup.jobs.practice import Practice
from kinebackup.jobs.status_job import DriveOverview, overview
from kinebackup.jobs.world import World
from kinebackup.store.records import Drive, Run
from kinebackup.store.state_db import StateDb

RUNS_SHOWN: Final = 10


@dataclass(frozen=True, slots=True)
class DriveDetails:
    """``runs``: the latest jobs on it, newest first; those that were cut off have no end."""

    overview: DriveOverview
    record: Drive
    runs: tuple[Run, ...]


def details(label: str, config: Config, world: World, *, plugged_in: bool) -> DriveDetails:
    """``plugged_in``: the daemon sees it. Raises ``NotFound`` with the list of the drives that are known."""
    found = overview(config, world, plugged_in=[label] if plugged_in else [])
    with StateDb(config.paths.state) as state:
        record = state.drive(label)
        runs = state.runs(limit=RUNS_SHOWN, repository=record.repository)
    one = next(drive for drive in found.drives if drive.repository == record.repository)
    return DriveDetails(one, record, runs)


def rename(old: str, new: str, practice: Practice) -> Drive:
    """Call the drive something else, on this computer; nothing on it changes.

    Raises ``NotFound``, ``ConfigError`` for a label that is taken or is none.
    """
    record = practice.state.drive(old)
    if new == old:
        return record
    check_label(new)
    refuse_taken_label(new, practice)
    renamed = replace(record, label=new)
    practice.state.update_drive(renamed)
    return renamed
