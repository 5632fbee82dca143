"""How often a process opens each file of a repository that is named after its content.

Owns: counting, where Python tells it of each open. Does not know: whose files they are, or how often is right.
"""

import contextlib
import os
import sys
from collections import Counter
from collections.abc import Iterator

from kinebackup.engine.format.layout import is_file_name

_counting: list[Counter[str]] = []


def _note(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" and _counting and isinstance(arguments[0], str):
        name = os.path.basename(arguments[0])
        if is_file_name(name):
            for counter in _counting:
                counter[name] += 1


sys.addaudithook(_note)  # for good: Python has no way to take one back


@contextlib.contextmanager
def counted_opens() -> Iterator[Counter[str]]:
    """By name, each file that any thread of this process opens meanwhile: to read it, or to drop it from memory."""
    counter: Counter[str] = Counter()
    _counting.append(counter)
    try:
        yield counter
    finally:
        _counting.remove(counter)
