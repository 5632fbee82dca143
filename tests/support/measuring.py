"""Branch coverage of processes that a test gives an environment of its own.

Owns: what ``make coverage`` has them told. Does not know: what is measured, or where it is kept (pyproject.toml).
"""

import os


def measuring() -> dict[str, str]:
    """The settings of coverage.py; none in a run that measures nothing."""
    return {name: value for name, value in os.environ.items() if name.startswith("COVERAGE_")}
