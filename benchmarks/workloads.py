"""The workloads: what is done with each data set, in which order, and which samples are kept.

Owns: the order of runs, and their samples. Does not know: how a table looks, or what the targets are.
Tools take turns: in each round every tool does the whole workload before the next round begins, so that a slow minute
of the computer hits all.
"""

import os
import shutil
import statistics
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from benchmarks import datasets
from benchmarks.database import update_rows
from benchmarks.measure import Command, Sample, ToolFailed, list_target, measure, run
from benchmarks.peers import Bench, Kinebackup, Tool
from benchmarks.trees import differences
from benchmarks.work_area import WorkArea

WorkloadName = Literal["practice", "small", "database", "memory", "one-folder", "startup"]
StepName = Literal["first", "no change", "updated", "restore", "check", "status", "help"]
WORKLOADS: tuple[WorkloadName, ...] = ("practice", "small", "database", "memory", "one-folder", "startup")
_UPDATED_SHARE = 0.001
_STARTUP_RUNS = 10
LogLine = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Key:
    """Whose figure it is, and of what."""

    work: WorkloadName
    tool: str
    step: StepName


@dataclass(slots=True)
class Results:
    """All samples, and everything that went wrong."""

    samples: dict[Key, list[Sample]] = field(default_factory=dict)
    census: dict[WorkloadName, datasets.Census] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def add(self, key: Key, sample: Sample) -> None:
        self.samples.setdefault(key, []).append(sample)

    def wall_s(self, key: Key) -> float | None:
        """Median of the wall times, or None where nothing was measured."""
        return statistics.median(sample.wall_s for sample in self.samples[key]) if key in self.samples else None

    def written_bytes(self, key: Key) -> float | None:
        return statistics.median(sample.written_bytes for sample in self.samples[key]) if key in self.samples else None

    def size_bytes(self, key: Key) -> float | None:
        return statistics.median(sample.size_bytes for sample in self.samples[key]) if key in self.samples else None

    def redundancy_percent(self, key: Key) -> float | None:
        """Of what the drive would hold without it."""
        samples = self.samples.get(key)
        if not samples:
            return None
        return statistics.median(100 * s.redundancy_bytes / (s.size_bytes - s.redundancy_bytes) for s in samples)

    def peak_bytes(self, work: WorkloadName, tool: str) -> int | None:
        """The largest of all the steps of a work."""
        peaks = [
            sample.peak_bytes
            for key, all_ in self.samples.items()
            if (key.work, key.tool) == (work, tool)
            for sample in all_
        ]
        return max(peaks, default=None)


@dataclass(frozen=True, slots=True)
class Turn:
    """One tool's turn at a workload."""

    work: WorkloadName
    tool: Tool
    bench: Bench
    area: WorkArea
    results: Results

    def key(self, step: StepName) -> Key:
        return Key(self.work, self.tool.name, step)

    @property
    def log(self) -> Path:
        return self.bench.private.with_name("log")

    def prepare(self) -> None:
        for command in self.tool.prepare(self.bench):
            run(command, self.log)

    def save(self, step: StepName, command: Command | None) -> None:
        """A backup: measured with its sync, and what it added to the target."""
        if command is None:
            return
        ballast = self.tool.ballast(self.bench)
        before = list_target(self.bench.target, ballast)
        self.area.reset_caches()
        sample = measure(command, self.log, self.bench.target)
        after = list_target(self.bench.target, ballast)
        redundancy = self.tool.redundancy(self.bench)
        sample = replace(
            sample,
            written_bytes=after.written_since(before),
            size_bytes=after.size_bytes(),
            redundancy_bytes=after.bytes_below(redundancy) if redundancy else 0,
        )
        self.results.add(self.key(step), sample)

    def restore(self, name: str) -> None:
        """A restore of everything, and the proof that it is everything."""
        destination = self.bench.target.with_name("restored")
        destination.mkdir()
        command = self.tool.restore(self.bench, name, destination)
        if command is not None:
            self.area.reset_caches()
            sample = measure(command, self.log, destination)
            found = differences(self.bench.source, self.tool.restored(self.bench, destination))
            if found:
                raise ToolFailed("\n  ".join(["the restored tree is not the source:", *found]))
            self.results.add(self.key("restore"), sample)
        shutil.rmtree(destination)

    def check(self) -> None:
        command = self.tool.check(self.bench)
        if command is not None:
            self.area.reset_caches()
            self.results.add(self.key("check"), measure(command, self.log))


@dataclass(frozen=True, slots=True)
class RunOptions:
    """``sources`` is where data sets are made, if not beside the targets."""

    scale: float
    rounds: int
    keep: bool
    sources: Path | None
    say: LogLine


def run_workload(
    work: WorkloadName, tools: tuple[Tool, ...], area: WorkArea, results: Results, options: RunOptions
) -> None:
    """Do one work with all tools; failures are recorded, the others go on."""
    tools = tuple(tool for tool in tools if tool.version() is not None)
    if work == "startup":
        tools = tuple(tool for tool in tools if isinstance(tool, Kinebackup))
    source = (options.sources or area.directory) / f"{work}-{options.scale:g}"
    if work != "startup":
        options.say(f"{work}: making the data set")
        results.census[work] = datasets.make(work, source, options.scale)
    gone: set[str] = set()
    for number in range(1 if work in ("memory", "one-folder", "startup") else options.rounds):
        for tool in tools:
            if tool.name not in gone:
                options.say(f"{work}: round {number + 1}, {tool.name}")
                try:
                    _take_turn(work, tool, source, area, results, number)
                except ToolFailed as failure:
                    results.failures.append(f"{work}, {tool.name}: {failure}")
                    gone.add(tool.name)  # it would fail again
    if not options.keep and work != "startup" and options.sources is None:
        shutil.rmtree(source)
        source.with_name(f"{source.name}.done").unlink()


def _take_turn(work: WorkloadName, tool: Tool, source: Path, area: WorkArea, results: Results, number: int) -> None:
    room = area.directory / "turn"
    shutil.rmtree(room, ignore_errors=True)
    bench = Bench(room / "source" if work in ("database", "startup") else source, room / "drive", room / "private")
    for directory in (bench.target, bench.private):
        directory.mkdir(parents=True)
    turn = Turn(work, tool, bench, area, results)
    try:
        match work:
            case "practice" | "small":
                _save_and_restore(turn)
            case "memory" | "one-folder":
                turn.prepare()
                turn.save("first", tool.backup(bench, "first"))
                turn.save("no change", tool.backup_again(bench, "again"))
            case "database":
                _follow_database(turn, source, number)
            case "startup":
                _start(turn)
    finally:
        shutil.rmtree(room)


def _save_and_restore(turn: Turn) -> None:
    turn.prepare()
    turn.save("first", turn.tool.backup(turn.bench, "first"))
    turn.save("no change", turn.tool.backup_again(turn.bench, "again"))
    turn.restore("first")
    turn.check()


def _follow_database(turn: Turn, source: Path, number: int) -> None:
    """Every tool sees the same base before, and the same rows changed after."""
    if turn.tool.backup(turn.bench, "first") is None:
        return
    subprocess.run(("cp", "-a", os.fspath(source), os.fspath(turn.bench.source)), check=True)
    turn.prepare()
    turn.save("first", turn.tool.backup(turn.bench, "first"))
    update_rows(turn.bench.source / "base.sqlite", _UPDATED_SHARE, f"update {number}")
    turn.save("updated", turn.tool.backup_again(turn.bench, "updated"))
    if turn.tool.backup_again(turn.bench, "updated") is not None:
        turn.restore("updated")


def _start(turn: Turn) -> None:
    """How long a person waits for an answer; the programs are in memory, as on the second call of a day."""
    assert isinstance(turn.tool, Kinebackup)
    turn.bench.source.mkdir()
    turn.prepare()
    commands: tuple[tuple[StepName, Command], ...] = (
        ("status", turn.tool.call(turn.bench, "status")),
        ("help", turn.tool.call(turn.bench, "--help")),
    )
    for step, command in commands:
        run(command, turn.log)
        for _ in range(_STARTUP_RUNS):
            turn.results.add(turn.key(step), measure(command, turn.log))
