"""The speeds and sizes that KineBackup means to reach, and whether it does.

Owns: the list of targets. Does not know: how anything was measured. A figure that was not measured is "not
measured", never a guess.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from benchmarks.workloads import Key, Results, StepName, WorkloadName

Verdict = Literal["met", "missed", "not measured"]
OURS = "kinebackup"
_MB = 1_000_000


@dataclass(frozen=True, slots=True)
class Target:
    """``measure`` gives the figure; it is good when at least (``at_least``) or at most ``limit``."""

    work: str
    wanted: str
    limit: float
    at_least: bool
    unit: str
    measure: Callable[[Results], float | None]


@dataclass(frozen=True, slots=True)
class Outcome:
    """A target and what was measured for it."""

    target: Target
    measured: float | None

    @property
    def verdict(self) -> Verdict:
        if self.measured is None:
            return "not measured"
        good = self.measured >= self.target.limit if self.target.at_least else self.measured <= self.target.limit
        return "met" if good else "missed"

    @property
    def figure(self) -> str:
        return "—" if self.measured is None else f"{self.measured:.2f} {self.target.unit}"


def ratio(above: float | None, below: float | None) -> float | None:
    """``above / below`` where both were measured."""
    return above / below if above is not None and below else None


def _speed_over(peer: str, work: WorkloadName, step: StepName) -> Callable[[Results], float | None]:
    """How many times faster than ``peer`` KineBackup is."""
    return lambda results: ratio(results.wall_s(Key(work, peer, step)), results.wall_s(Key(work, OURS, step)))


def _peak(work: WorkloadName) -> Callable[[Results], float | None]:
    return lambda results: ratio(results.peak_bytes(work, OURS), _MB)


def _seconds(step: StepName) -> Callable[[Results], float | None]:
    return lambda results: results.wall_s(Key("startup", OURS, step))


def _time_of_walk(results: Results) -> float | None:
    return ratio(results.wall_s(Key("small", OURS, "no change")), results.wall_s(Key("small", "walk", "no change")))


def _database_bytes(results: Results) -> float | None:
    updated: tuple[WorkloadName, StepName] = ("database", "updated")
    ours, theirs = (results.written_bytes(Key(updated[0], tool, updated[1])) for tool in (OURS, "restic"))
    return ratio(ours, theirs)


def _size_over_restic(results: Results) -> float | None:
    ours, theirs = (results.size_bytes(Key("practice", tool, "first")) for tool in (OURS, "restic"))
    return ratio(ours, theirs)


def _redundancy(results: Results) -> float | None:
    return results.redundancy_percent(Key("practice", OURS, "first"))


_FIRST, _SMALL_AGAIN = "first backup, practice set", "no-change backup, 300k files"

TARGETS = (
    Target(_FIRST, "≥ 2.5 × restic's speed", 2.5, True, "×", _speed_over("restic", "practice", "first")),
    Target(_FIRST, "≥ 3 × borg's speed", 3, True, "×", _speed_over("borg", "practice", "first")),
    Target(_FIRST, "≥ 1 × cp -a's speed", 1, True, "×", _speed_over("cp -a", "practice", "first")),
    Target(_SMALL_AGAIN, "≤ 2 × a bare Python walk's time", 2, False, "×", _time_of_walk),
    Target(_SMALL_AGAIN, "≥ 3 × restic's speed", 3, True, "×", _speed_over("restic", "small", "no change")),
    Target(
        "first backup, 300k files", "≥ 1.5 × restic's speed", 1.5, True, "×", _speed_over("restic", "small", "first")
    ),
    Target(
        "restore, practice set", "≥ 1.5 × restic's speed", 1.5, True, "×", _speed_over("restic", "practice", "restore")
    ),
    Target(
        "verify --full, practice set", "≥ 2 × restic's speed", 2, True, "×", _speed_over("restic", "practice", "check")
    ),
    Target("database, 0.1 % of rows updated", "≤ ⅓ of the bytes restic writes", 1 / 3, False, "×", _database_bytes),
    Target("peak memory, practice set", "≤ 150 MB", 150, False, "MB", _peak("practice")),
    Target("peak memory, 1 M files", "≤ 250 MB", 250, False, "MB", _peak("memory")),
    Target("peak memory, 1 M files in one folder", "≤ 250 MB", 250, False, "MB", _peak("one-folder")),
    Target("size on drive, practice set", "≤ restic's", 1, False, "×", _size_over_restic),
    Target("redundancy, practice set", "≤ 7 % of the rest", 7, False, "%", _redundancy),
    Target("kinebackup status", "≤ 0.25 s", 0.25, False, "s", _seconds("status")),
    Target("kinebackup --help", "≤ 0.25 s", 0.25, False, "s", _seconds("help")),
)


def judge(results: Results) -> tuple[Outcome, ...]:
    """Every target with its figure."""
    return tuple(Outcome(target, target.measure(results)) for target in TARGETS)
