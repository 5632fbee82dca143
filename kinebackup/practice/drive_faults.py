"""What runs found wrong on a drive, in this computer's memory: whether it is growing old.

Owns: what of a report is a fault of the drive. Does not know: what follows from it (policy/ageing.py), or the words.

What is not there and cannot be had again was deleted by somebody: a drive that grows old damages files. The texts for
people do not count either, for people change them.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from kinebackup.engine import layout
from kinebackup.model import HealedFile, Health, Problem
from kinebackup.policy.ageing import FaultKind, judge_health
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.world import World
from kinebackup.state.records import Drive

WRITING: Final = layout.TMP
"""In the place of a file: the drive did not take what was written."""

_OWN: Final = tuple(f"{name}/" for name in layout.DIRECTORIES if name not in (layout.DAMAGED, layout.TMP))


def faults_in(healed: Iterable[HealedFile], problems: Iterable[Problem]) -> dict[str, FaultKind]:
    """The files of the repository that are wrong. A problem may name a file of the practice: that is never kept."""
    found: dict[str, FaultKind] = {each.path: "healable" for each in healed}
    for problem in problems:
        if problem.kind == "damaged" and _is_ours(problem.path):
            found[problem.path] = "healable" if problem.healable else "lost"
    return found


def _is_ours(path: str) -> bool:
    return path in layout.HEADER_COPIES or path.startswith(_OWN)


def note_faults(
    record: Drive | None,
    computer: ComputerKeys | None,
    world: World,
    *,
    healed: Sequence[HealedFile] = (),
    problems: Sequence[Problem] = (),
    refused: bool = False,
) -> None:
    """Remember what a run met, where this computer knows the drive."""
    if computer is None or record is None:
        return
    found = faults_in(healed, problems) | ({WRITING: "refused"} if refused else {})
    mended = [each.path for each in healed if each.rewritten]
    computer.state.faults.record(record.repository, found.items(), mended, world.now())


def health_of(record: Drive | None, computer: ComputerKeys | None, world: World) -> Health | None:
    """None for a drive that this computer does not know."""
    if computer is None or record is None:
        return None
    return judge_health(computer.state.faults.of(record.repository), now=world.now(), zone=world.zone)
