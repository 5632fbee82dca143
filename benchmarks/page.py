"""docs/PERFORMANCE.md: the tables, and all that must be known to judge or repeat a run.

Owns: the words of that page. Does not know: how anything was measured. Neither the name of the computer nor a path
of it is written.
"""

import os
import platform
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from benchmarks.peers import Tool
from benchmarks.report import Grid, grids
from benchmarks.work_area import CacheState
from benchmarks.workloads import Results

_NOTES = Path(__file__).with_name("notes.md")
_CACHE_WORDS: dict[CacheState, str] = {
    "remounted": "cold: this filesystem was unmounted and mounted again before each run; programs stayed in memory",
    "dropped": "cold: the page cache of the whole computer was dropped before each run, programs included",
    "warm": "warm: nothing was dropped between runs",
}
_METHOD = """\
* The data sets are made by a seeded generator (`benchmarks/datasets.py`): invented letters (docx, odt, rtf, text),
  PDFs of which a fifth compresses, pictures that do not compress, copies of some of them, and a SQLite base (pages
  of 4096 bytes).
* Tools take turns: in each round each tool does the whole work, then the next tool, then the next round. Every run
  starts from the same cache state, with the tool's own cache as its previous run left it.
* A time is the command from start to end plus a `syncfs` of the target. Figures are medians; in brackets the
  fastest and the slowest round.
* *user + system* and *peak memory* are what the kernel counted for the command (`wait4`), for all tools in the same
  way: memory is that of the largest process, where a tool has several. It cannot show less than the 10 MB of the
  launcher.
* *written* is the size of all files of the target that are new or were written again; *size on drive* of all files.
  KineBackup's `reserve`, ballast that is given up when a drive is full, is in neither. *redundancy* is its `parity/`,
  in brackets as a share of all the rest.
* Every restored tree was compared with its source: contents, types, modes, owners, times, link targets. A
  difference fails the benchmark. SQLite bases, which KineBackup copies through SQLite's own backup, may differ in
  counters of their header; then every row was compared.
* `cp -a` neither encrypts, compresses nor checks. *walk* is a Python loop of `os.scandir` and `stat`: the least
  that looking for changes costs in Python.
* Each tool runs with its defaults; restic with its cache, borg with `repokey-blake2` and `--compression zstd,3`."""


@dataclass(frozen=True, slots=True)
class Circumstances:
    """Under which conditions a run took place; ``arguments`` are those of the command line, without paths."""

    tools: tuple[Tool, ...]
    arguments: tuple[str, ...]
    scale: float
    rounds: int
    filesystem: str
    cache: CacheState
    apart: bool
    day: date
    load: float


def document(results: Results, around: Circumstances) -> str:
    """The text of docs/PERFORMANCE.md."""
    targets, *works = grids(results, around.tools)
    parts = [
        "# Performance",
        "Written by `make bench`, not by hand; the notes at the end are kept in `benchmarks/notes.md`. Times are of one"
        " computer: only ratios travel.",
        *_warning(around),
        "## Targets",
        _markdown(targets),
        "## This run",
        _markdown(_facts(around)),
        f"Command: `{' '.join(('benchmarks/compare.py', *around.arguments))}`",
        *(f"**Failed:** {without_paths(failure)}" for failure in results.failures),
    ]
    for grid in works:
        parts += [f"## {grid.title}", _markdown(grid)]
    return "\n\n".join([*parts, "## How it was measured", _METHOD, _NOTES.read_text().strip()]) + "\n"


def without_paths(text: str) -> str:
    """``text`` on one line, with the paths of this computer left out."""
    return re.sub(r"(?<![\w.])/[^\s:'\"]+", "…", " ".join(text.split()))


def _warning(around: Circumstances) -> tuple[str, ...]:
    if around.scale == 1:
        return ()
    return (f"**Made at scale {around.scale:g}: the targets are for the full size, so this run does not judge them.**",)


def _facts(around: Circumstances) -> Grid:
    memory = re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())
    rows = (
        ("date", around.day.isoformat()),
        ("processor", f"{_processor()}, {len(os.sched_getaffinity(0))} cores"),
        ("memory", f"{int(memory[1]) / 1024**2:.0f} GiB" if memory else "unknown"),
        ("kernel", f"{platform.system()} {platform.release()}"),
        ("filesystem", around.filesystem + ("" if around.apart else "; sources and targets are both on it")),
        ("caches", _CACHE_WORDS[around.cache]),
        ("load before the run", f"{around.load:.1f}"),
        ("scale, rounds", f"{around.scale:g}, {around.rounds}"),
        *((tool.name, tool.version() or "not installed") for tool in around.tools),
    )
    return Grid("This run", ("", ""), rows)


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _markdown(grid: Grid) -> str:
    rules = ("---", *["---:"] * (len(grid.head) - 1))
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (grid.head, rules, *grid.rows))
