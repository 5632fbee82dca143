"""Whether the key export that somebody keeps still fits: which recovery codes and drives were in the last one.

Owns: remembering it beside the keys of today. Does not know: what an export holds, or how a drive is opened. Status
asks here, and reads no key.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

from kinebackup.i18n import _
from kinebackup.policy.verdicts import TargetWarning
from kinebackup.state.state_db import StateDb

_NOW: Final = "recovery-slots"
_SHEET: Final = "key-export"


@dataclass(frozen=True, slots=True)
class KeySheet:
    """The last key export, and the day of it. ``overtaken``: other recovery codes open the drives now. ``lacking``:
    labels of drives that were enrolled after it."""

    exported_on: str
    generation: int
    overtaken: bool
    lacking: tuple[str, ...]

    @property
    def fits(self) -> bool:
        return not self.overtaken and not self.lacking


def note_recovery_slots(state: StateDb, slots: Sequence[str]) -> None:
    """Which recovery codes open the drives from now on, by the ids of their slots."""
    state.store_value(_NOW, json.dumps(sorted(slots)))


def note_export(state: StateDb, on: date, generation: int, slots: Sequence[str], repositories: Sequence[str]) -> None:
    """A key export was made of these."""
    note_recovery_slots(state, slots)
    made = {"on": on.isoformat(), "generation": generation, "slots": sorted(slots), "repositories": list(repositories)}
    state.store_value(_SHEET, json.dumps(made))


def last_sheet(state: StateDb) -> KeySheet | None:
    """None where none was ever made on this computer."""
    written = state.stored_value(_SHEET)
    if written is None:
        return None
    made, now = json.loads(written), state.stored_value(_NOW)
    return KeySheet(
        exported_on=made["on"],
        generation=made["generation"],
        overtaken=now is not None and json.loads(now) != made["slots"],
        lacking=tuple(drive.label for drive in state.drives() if drive.repository not in made["repositories"]),
    )


def sheet_notices(state: StateDb) -> tuple[TargetWarning, ...]:
    """What a person is to be told of the sheet that they keep."""
    sheet = last_sheet(state)
    if sheet is None or sheet.fits:
        return ()
    day = sheet.exported_on
    if sheet.overtaken:
        text = _("the key export of {day} is older than the recovery code: it fits no more").format(day=day)
        return (TargetWarning(text, _("make a new one with: kinebackup key export; then destroy the old one")),)
    text = _("the key export of {day} lacks these drives: {labels}").format(day=day, labels=", ".join(sheet.lacking))
    return (TargetWarning(text, _("make a new one with: kinebackup key export; then destroy the old one")),)
