"""A text time has one way to be written.

Owns: what is read and what is refused. Does not know: who writes times.
"""

from datetime import UTC, datetime

import pytest

from kinebackup.engine.format.snapshot import format_time, parse_time
from kinebackup.errors import Damaged


def test_a_text_time_comes_back_as_the_moment_that_was_written() -> None:
    for moment in (datetime(2030, 1, 1, 17, 30, 0, 1, tzinfo=UTC), datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC)):
        found = parse_time(format_time(moment))
        assert (found, found.tzinfo) == (moment, UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2030-01-01",
        "2030-01-01T17:30:00Z",
        "2030-01-01T17:30:00.000001",
        "2030-01-01T17:30:00.000001+00:00",
        "2030-01-01 17:30:00.000001Z",
        "2030-01-01T17:30:00.000001Z\n",
        "2030-13-01T17:30:00.000001Z",
        "2030-02-30T17:30:00.000001Z",
        "2030-01-01T24:30:00.000001Z",
        "2030-01-01T17:30:60.000001Z",
        "0000-01-01T17:30:00.000001Z",
        "٢٠٣٠-01-01T17:30:00.000001Z",
    ],
)
def test_another_text_is_refused(text: str) -> None:
    with pytest.raises(Damaged):
        parse_time(text)
