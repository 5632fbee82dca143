"""Rows of the state database as values, and back.

Owns: how times, drives and runs are stored. Does not know: queries.
"""

import json
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from kinebackup.state.records import Drive, Run, RunCounts

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def us_of_time(time: datetime) -> int:
    return (time - _EPOCH) // timedelta(microseconds=1)


def time_of_us(us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=us)


def row_of_drive(drive: Drive) -> tuple[object, ...]:
    return (
        drive.label,
        drive.place,
        drive.simulated,
        drive.repository,
        us_of_time(drive.enrolled_at),
        drive.header_generation,
        drive.folder,
        drive.fs_uuid,
        drive.part_uuid,
        drive.serial,
        drive.model,
    )


def drive_of_row(row: tuple[Any, ...]) -> Drive:
    label, place, simulated, repository, enrolled_us, *rest = row
    return Drive(label, place, bool(simulated), repository, time_of_us(enrolled_us), *rest)


def run_of_row(row: tuple[Any, ...]) -> Run:
    id_, repository, kind, started_us, ended_us, result, snapshot, counts = row
    ended = None if ended_us is None else time_of_us(ended_us)
    return Run(id_, repository, kind, time_of_us(started_us), ended, result, snapshot, _counts(json.loads(counts)))


def _counts(written: dict[str, int]) -> RunCounts:
    """The counts that an older or newer KineBackup recorded, as far as this one knows them."""
    return RunCounts(**{each.name: written[each.name] for each in fields(RunCounts) if each.name in written})
