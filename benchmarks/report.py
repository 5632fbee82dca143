"""The tables of a benchmark, on the screen or anywhere else.

Owns: which rows a table has, and rounding. Does not know: how anything was measured, or the page that is written.
"""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from benchmarks.measure import Sample
from benchmarks.peers import Tool
from benchmarks.targets import OURS, judge
from benchmarks.workloads import WORKLOADS, Key, Results, StepName, WorkloadName

_STEPS: tuple[StepName, ...] = ("first", "no change", "updated", "restore", "check", "status", "help")
_STEP_NAMES: dict[StepName, str] = {
    "first": "first backup",
    "no change": "backup, nothing changed",
    "updated": "backup, 0.1 % of rows updated",
    "restore": "restore",
    "check": "full check",
    "status": "`kinebackup status`",
    "help": "`kinebackup --help`",
}
_WORK_NAMES: dict[WorkloadName, str] = {
    "practice": "Practice set",
    "small": "Small files",
    "database": "Database",
    "memory": "A million files",
    "one-folder": "A million files in one folder",
    "startup": "Start-up",
}


@dataclass(frozen=True, slots=True)
class Grid:
    """One table: a heading and rows of the same length."""

    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def grids(results: Results, tools: tuple[Tool, ...]) -> tuple[Grid, ...]:
    """All tables: the targets, then one for each work."""
    judged = tuple((o.target.work, o.target.wanted, o.figure, o.verdict) for o in judge(results))
    tables = [Grid("Targets", ("work", "target", "measured", ""), judged)]
    return (*tables, *(_workload_grid(work, results, tools) for work in WORKLOADS if _measured(work, results)))


def show(results: Results, tools: tuple[Tool, ...]) -> None:
    """Print all tables."""
    console = Console()
    if not console.is_terminal:
        console.width = 140  # in a log there is no edge to fit in
    for grid in grids(results, tools):
        table = Table(title=grid.title, title_justify="left")
        for number, heading in enumerate(grid.head):
            table.add_column(heading, justify="left" if number == 0 else "right")
        for row in grid.rows:
            table.add_row(*row)
        console.print(table)
    for failure in results.failures:
        console.print(f"FAILED: {failure}", markup=False, style="bold red")


def _measured(work: WorkloadName, results: Results) -> bool:
    return any(key.work == work for key in results.samples)


def _workload_grid(work: WorkloadName, results: Results, tools: tuple[Tool, ...]) -> Grid:
    census = results.census.get(work)
    size = f": {census.files:,} files, {census.size_bytes / 1e6:,.0f} MB" if census else ""
    rows: list[tuple[str, ...]] = []
    for step in _STEPS:
        cells = {tool.name: results.samples.get(Key(work, tool.name, step), []) for tool in tools}
        if any(cells.values()):
            rows += _step_rows(step, cells, {tool.name: tool.version() is not None for tool in tools})
    return Grid(f"{_WORK_NAMES[work]}{size}", ("", *(tool.name for tool in tools)), tuple(rows))


def _step_rows(step: StepName, cells: dict[str, list[Sample]], installed: dict[str, bool]) -> list[tuple[str, ...]]:
    def row(label: str, cell: Callable[[list[Sample]], str]) -> tuple[str, ...]:
        texts = (cell(samples) if samples else "—" for samples in cells.values())
        return (
            label,
            *(text if there else "not installed" for text, there in zip(texts, installed.values(), strict=True)),
        )

    rows = [row(f"{_STEP_NAMES[step]}, seconds", _seconds)]
    ours = cells.get(OURS)
    if ours:
        base = _median(ours, lambda sample: sample.wall_s)
        rows.append(row("… × KineBackup's time", lambda samples: f"{_median(samples, lambda s: s.wall_s) / base:.2f}"))
    rows.append(row("… of which sync", lambda samples: f"{_median(samples, lambda s: s.sync_s):.2f}"))
    rows.append(row("… user + system, seconds", lambda samples: f"{_median(samples, lambda s: s.cpu_s):.2f}"))
    rows.append(row("… peak memory, MB", lambda samples: f"{max(s.peak_bytes for s in samples) / 1e6:.0f}"))
    if any(sample.size_bytes for samples in cells.values() for sample in samples):
        rows.append(row("… written, MB", lambda samples: f"{_median(samples, lambda s: s.written_bytes) / 1e6:,.1f}"))
        rows.append(
            row("… size on drive, MB", lambda samples: f"{_median(samples, lambda s: s.size_bytes) / 1e6:,.1f}")
        )
    if any(sample.redundancy_bytes for samples in cells.values() for sample in samples):
        rows.append(row("… of which redundancy, MB", _redundancy))
    return rows


def _median(samples: list[Sample], of: Callable[[Sample], float]) -> float:
    return statistics.median(map(of, samples))


def _redundancy(samples: list[Sample]) -> str:
    """In brackets its share of what the drive would hold without it."""
    heals, all_ = (_median(samples, of) for of in (lambda s: s.redundancy_bytes, lambda s: s.size_bytes))
    return f"{heals / 1e6:,.1f} ({heals / (all_ - heals):.1%})"


def _seconds(samples: list[Sample]) -> str:
    walls = sorted(sample.wall_s for sample in samples)
    median = f"{statistics.median(walls):.2f}"
    return median if len(walls) == 1 else f"{median} ({walls[0]:.2f}–{walls[-1]:.2f})"
