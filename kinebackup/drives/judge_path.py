"""Judging a path of this computer, in one call: as a target, a restore destination or a source.

Owns: reading the facts and judging them together. Does not know: the rules (policy/), or how a fact is read (facts.py).
"""

import os
from collections.abc import Sequence

from kinebackup.drives.facts import HostFacts, cloud_at, gather_facts, read_host_facts, source_paths
from kinebackup.drives.system import System, this_system
from kinebackup.policy.exposure import judge_restore_destination, judge_source
from kinebackup.policy.target_facts import is_inside
from kinebackup.policy.targets import judge_target
from kinebackup.policy.verdicts import TargetWarning, Verdict


def judge_target_at(
    path: str,
    *,
    sources: Sequence[str],
    enrolled: bool,
    simulated: bool,
    allow_existing_files: bool,
    system: System | None = None,
) -> Verdict:
    """Whether a backup may be written at ``path``, a folder or a block device. Arguments: see ``judge_target``."""
    host = _host_facts(system)
    return judge_target(
        gather_facts(path, host=host),
        sources=source_paths(sources, host),
        enrolled=enrolled,
        simulated=simulated,
        allow_existing_files=allow_existing_files,
    )


def judge_restore_destination_at(path: str, *, system: System | None = None) -> Verdict:
    """Whether files may be restored to ``path``, which need not exist yet."""
    return judge_restore_destination(gather_facts(path, host=_host_facts(system)))


def judge_source_at(path: str, *, system: System | None = None) -> tuple[TargetWarning, ...]:
    """Warnings about a source: a cloud synchronises it, or a folder inside it."""
    host = _host_facts(system)
    own = judge_source(path, cloud_at(path, host))
    if own is not None:
        return (own,)
    places = source_paths([path], host)
    inner = [
        folder for folder in host.clouds if folder.certain and any(is_inside(folder.path, place) for place in places)
    ]
    warnings = (judge_source(folder.path, cloud_at(folder.path, host)) for folder in inner)
    return tuple(warning for warning in warnings if warning is not None)


def _host_facts(system: System | None) -> HostFacts:
    # HOME and XDG_CONFIG_HOME are the one thing about the computer that only the environment knows.
    return read_host_facts(system or this_system(os.environ))
