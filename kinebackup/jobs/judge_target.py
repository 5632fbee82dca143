"""Whether backups may be written to a place, as a question only.

Owns: recognising an enrolled drive, which is judged as such. Does not know: the rules, or how the answer is shown.
Nothing is mounted and nothing is written.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from kinebackup.drives.facts import gather_facts, read_host_facts, source_paths
from kinebackup.drives.system import System
from kinebackup.policy.target_facts import TargetFacts
from kinebackup.policy.targets import judge_target
from kinebackup.policy.verdicts import Verdict
from kinebackup.state.records import Drive


@dataclass(frozen=True, slots=True)
class CheckedTarget:
    """``known`` is the enrolled drive that the place seems to be; only its header would prove it."""

    verdict: Verdict
    facts: TargetFacts
    known: Drive | None


def check_target(path: str, *, sources: Sequence[str], drives: Sequence[Drive], system: System) -> CheckedTarget:
    """Judge a folder or a device, which need not be mounted."""
    host = read_host_facts(system)
    facts = gather_facts(path, host=host)
    known = next((drive for drive in drives if _is(drive, facts)), None)
    verdict = judge_target(
        facts,
        sources=source_paths(sources, host),
        enrolled=known is not None,
        simulated=known is not None and known.simulated,
        allow_existing_files=False,
        may_mount=True,
    )
    return CheckedTarget(verdict, facts, known)


def _is(drive: Drive, facts: TargetFacts) -> bool:
    if drive.simulated:
        return drive.folder == facts.path
    return facts.device is not None and bool(drive.fs_uuid) and drive.fs_uuid == facts.device.filesystem_uuid
