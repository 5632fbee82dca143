"""A pytest plugin for CI: a test that was skipped proved nothing, so only expected reasons may skip one.

Owns: turning other skips into failures. Does not know: the reasons; they stand in the file that ``--allowed-skips``
names, one a line, each the beginning of a reason; ``#`` begins a comment.
"""

from collections.abc import Generator
from pathlib import Path

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--allowed-skips", type=Path, required=True, help="file of reasons to skip a test")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and isinstance(report.longrepr, tuple):
        reason = report.longrepr[2].removeprefix("Skipped: ")
        if not reason.startswith(_allowed(item.config.getoption("--allowed-skips"))):
            report.outcome = "failed"
            report.longrepr = f"skipped for a reason that is not in the list of allowed ones: {reason}"
    return report


def _allowed(path: Path) -> tuple[str, ...]:
    lines = (line.split("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return tuple(line for line in lines if line)
