"""Two drives of one practice, and a repair of one of them.

Owns: building both, breaking one beyond the reach of parity, calling the repair. Does not know: what is expected.
"""

import contextlib
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from support.engine.drives import Drive, Seen, back_up, edit_patients, enroll, loaded, make_patients, seen, writable
from support.engine.with_parity import victims
from support.ways import ways_to

from kinebackup.engine.repair.repair import RepairRequest, repair_repository
from kinebackup.engine.repository.store import Store
from kinebackup.model import CancelToken, Monitor, RepairReport, SeenSnapshot, SilentMonitor


@dataclass(frozen=True)
class TwoDrives:
    """Both hold a first and a second state of the source. ``held``: what each backup of ``drive`` must restore to."""

    source: Path
    drive: Drive
    other: Drive
    held: dict[str, dict[str, Seen]]


def two_drives(folder: Path, *, keeps_parity: bool = True) -> TwoDrives:
    """Saved twice each, as a practice does it that rotates its drives. Both have the same lists: made again where
    another program has meanwhile changed a folder on the way to the source, as /tmp.
    """
    for attempt in itertools.count():
        place = folder / f"attempt-{attempt}"
        place.mkdir()
        before = ways_to(place)
        made = _two_drives(place, keeps_parity=keeps_parity)
        if ways_to(place) == before:
            return made
    raise AssertionError("there is always one more attempt")


def _two_drives(folder: Path, *, keeps_parity: bool) -> TwoDrives:
    source = make_patients(folder / "patients")
    drive = enroll(folder / "drive", keeps_parity=keeps_parity)
    other = enroll(folder / "other", seed="other", practice=drive, keeps_parity=keeps_parity)
    held: dict[str, dict[str, Seen]] = {}
    for edit in (False, True):
        if edit:
            edit_patients(source)
        held[str(back_up(drive, source).snapshot)] = seen(source)
        back_up(other, source)
    return TwoDrives(source, drive, other, held)


def break_beyond_parity(drive: Drive, kind: str) -> list[Path]:
    """Each file of that kind has one wrong byte in its middle, and no parity file; which ones these are."""
    broken = victims(drive, kind)
    for path in broken:
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 0x10
        path.write_bytes(data)
        (drive.root / "parity" / path.name[:2] / f"{path.name}.xor").unlink(missing_ok=True)
    return broken


def repaired(
    drive: Drive,
    other: Drive | None = None,
    *,
    store: Store | None = None,
    other_store: Store | None = None,
    known_only: bool = False,
    remembered: Sequence[SeenSnapshot] = (),
    cancel: CancelToken | None = None,
    monitor: Monitor | None = None,
) -> RepairReport:
    """A repair of the drive, with what the other one has where one is given."""
    with contextlib.ExitStack() as stack:
        giving = stack.enter_context(loaded(other, other_store)) if other is not None else None
        repository = stack.enter_context(writable(drive, store))
        request = RepairRequest("A", "B" if other else None, giving, known_only, remembered)
        return repair_repository(
            repository, request, drive.world(), cancel=cancel or CancelToken(), monitor=monitor or SilentMonitor()
        )
