"""The benchmark's command line: ``make bench``, or ``.venv/bin/python benchmarks/compare.py``.

Owns: options, and the order of things. Does not know: tools, workloads or tables.
"""

import argparse
import os
import signal
import sys
from contextlib import AbstractContextManager
from datetime import datetime
from pathlib import Path

_PROJECT = Path(__file__).resolve().parent.parent
if os.fspath(_PROJECT) not in sys.path:
    sys.path.insert(0, os.fspath(_PROJECT))  # run as a script, Python looks only beside the script

from benchmarks.page import Circumstances, document  # noqa: E402  (after the path above)
from benchmarks.peers import OtherKinebackup, Tool, all_tools  # noqa: E402  (after the path above)
from benchmarks.report import show  # noqa: E402  (after the path above)
from benchmarks.work_area import WorkArea, WorkAreaFailed, folder, ramdisk  # noqa: E402  (after the path above)
from benchmarks.workloads import WORKLOADS, Results, RunOptions, WorkloadName, run_workload  # noqa: E402  (after the path above)

DEFAULT_TOOLS = ("kinebackup", "restic", "borg", "cp -a", "walk")
_PATH_OPTIONS = {"dir": "DIR", "sources": "DIR", "peers": "DIR", "other": "DIR", "output": "FILE"}


def parse(arguments: list[str]) -> argparse.Namespace:
    """The options; raises ``SystemExit`` as argparse does."""
    parser = argparse.ArgumentParser(description="compare KineBackup with restic, borg and cp on the same data")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the data sets; 1 is about 4 GB (default 1)")
    parser.add_argument(
        "--only", type=_workloads, default=WORKLOADS, help=f"workloads, joined by commas: {','.join(WORKLOADS)}"
    )
    parser.add_argument(
        "--tools", type=_words, default=DEFAULT_TOOLS, help="these tools, joined by commas; no-read-back must be named"
    )
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each work (default 3; memory takes 1)")
    parser.add_argument("--dir", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--sources", type=Path, help="where to make the data sets, if not beside the targets")
    parser.add_argument("--ramdisk", metavar="SIZE", help="work on an ext4 image of this size in memory, as 12G (root)")
    parser.add_argument("--warm", action="store_true", help="do not empty caches between runs")
    parser.add_argument("--peers", type=Path, help="folder with restic and borg, looked in before PATH")
    parser.add_argument("--other", type=Path, help="another checkout of KineBackup, which takes turns with this one")
    parser.add_argument("--output", type=Path, help="page to write, such as docs/PERFORMANCE.md (default: none)")
    parser.add_argument("--keep", action="store_true", help="keep the data sets, for another run with the same --dir")
    options = parser.parse_args(arguments)
    if options.ramdisk and options.dir:
        parser.error("--ramdisk and --dir exclude each other")
    return options


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split(","))


def _workloads(text: str) -> tuple[WorkloadName, ...]:
    unknown = set(_words(text)).difference(WORKLOADS)
    if unknown:
        raise argparse.ArgumentTypeError(f"unknown: {', '.join(sorted(unknown))} (known: {', '.join(WORKLOADS)})")
    return tuple(work for work in WORKLOADS if work in _words(text))


def described(options: argparse.Namespace) -> tuple[str, ...]:
    """The arguments that repeat this run, with this computer's paths replaced by a word."""
    words: list[str] = []
    for name, value in vars(options).items():
        if name in _PATH_OPTIONS and value is not None:
            words += [f"--{name}", _PATH_OPTIONS[name]]
        elif value is True:
            words.append(f"--{name}")
        elif isinstance(value, tuple) and value not in (WORKLOADS, DEFAULT_TOOLS):
            words += [f"--{name}", ",".join(value)]
        elif isinstance(value, str | int | float) and not isinstance(value, bool):
            words += [f"--{name}", f"{value:g}" if isinstance(value, float) else str(value)]
    return tuple(words)


def main(arguments: list[str]) -> int:
    """Run the benchmark; 1 if a tool failed or a restored tree was wrong."""
    options = parse(arguments)
    # Without this a terminated benchmark would leave its mount and loop device behind.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names = (*options.tools, OtherKinebackup.name)
    tools = tuple(tool for tool in all_tools(options.peers, options.other) if tool.name in names)
    load = os.getloadavg()[0]
    results = Results()
    try:
        with _work_area(options) as area:
            around = Circumstances(
                tools=tools,
                arguments=described(options),
                scale=options.scale,
                rounds=options.rounds,
                filesystem=area.filesystem,
                cache=area.cache,
                apart=options.sources is not None,
                day=datetime.now().astimezone().date(),
                load=load,
            )
            _introduce(area, tools)
            _run(options, tools, area, results)
    except WorkAreaFailed as error:
        print(f"benchmark: error: {error}", file=sys.stderr)
        return 2
    show(results, tools)
    if options.output is not None:
        options.output.write_text(document(results, around))
    return 1 if results.failures else 0


def _work_area(options: argparse.Namespace) -> AbstractContextManager[WorkArea]:
    if options.ramdisk:
        return ramdisk(options.ramdisk, warm=options.warm)
    return folder(options.dir, warm=options.warm, keep=options.keep)


def _introduce(area: WorkArea, tools: tuple[Tool, ...]) -> None:
    print(f"filesystem: {area.filesystem}; caches: {area.cache}")
    for tool in tools:
        print(f"{tool.name}: {tool.version() or 'not installed'}")


def _run(options: argparse.Namespace, tools: tuple[Tool, ...], area: WorkArea, results: Results) -> None:
    run = RunOptions(
        scale=options.scale,
        rounds=options.rounds,
        keep=options.keep,
        sources=options.sources,
        say=lambda text: print(f"{datetime.now().astimezone():%H:%M:%S} {text}", flush=True),
    )
    for work in options.only:
        run_workload(work, tools, area, results, run)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
