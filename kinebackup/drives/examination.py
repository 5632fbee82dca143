"""Judging a real place, in one call.

Owns: gathering and judging together, for the command line and the daemon. Does not know: the rules (policy/targets.py),
nor how a fact is found (facts.py).
"""

import os
from collections.abc import Sequence

from kinebackup.drives.facts import Surroundings, cloud_at, gather, look_around, source_places
from kinebackup.drives.system import System, this_system
from kinebackup.policy.targets import TargetWarning, Verdict, is_inside, judge, judge_restore_destination, judge_source


def examine(
    path: str,
    *,
    sources: Sequence[str],
    enrolled: bool,
    simulated: bool,
    allow_existing_files: bool,
    system: System | None = None,
) -> Verdict:
    """Whether a backup may be written at ``path``, a folder or a block device. See ``judge`` for the arguments."""
    around = _around(system)
    return judge(
        gather(path, around=around),
        sources=source_places(sources, around),
        enrolled=enrolled,
        simulated=simulated,
        allow_existing_files=allow_existing_files,
    )


def examine_restore_destination(path: str, *, system: System | None = None) -> Verdict:
    """Whether files may be restored to ``path``, which need not exist yet."""
    return judge_restore_destination(gather(path, around=_around(system)))


def examine_source(path: str, *, system: System | None = None) -> tuple[TargetWarning, ...]:
    """What is to be said about a source: that a cloud has it already, or has a folder inside it."""
    around = _around(system)
    own = judge_source(path, cloud_at(path, around))
    if own is not None:
        return (own,)
    places = source_places([path], around)
    inner = [
        folder for folder in around.clouds if folder.certain and any(is_inside(folder.path, place) for place in places)
    ]
    notices = (judge_source(folder.path, cloud_at(folder.path, around)) for folder in inner)
    return tuple(notice for notice in notices if notice is not None)


def _around(system: System | None) -> Surroundings:
    # HOME and XDG_CONFIG_HOME are the one thing about the computer that only the environment knows.
    return look_around(system or this_system(os.environ))
