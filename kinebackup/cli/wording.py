"""Sizes, moments and columns as a person reads them.

Owns: units, the local time of day, alignment, in the current language. Does not know: what is being told.
"""

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from kinebackup.i18n import _

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def size_text(size_bytes: int) -> str:
    """A size with at most one decimal, in powers of 1000 as drives are sold: ``4.2 GB``."""
    if size_bytes < 1000:
        return _("{number} B").format(number=size_bytes)
    tenths, unit = 0, ""
    for power, name in enumerate((_("kB"), _("MB"), _("GB"), _("TB")), 1):
        tenths, unit = (size_bytes * 10 + 1000**power // 2) // 1000**power, name
        if tenths < 10_000:
            break
    if tenths >= 100:
        return f"{(tenths + 5) // 10} {unit}"
    return _("{whole}.{tenth} {unit}").format(whole=tenths // 10, tenth=tenths % 10, unit=unit)


def duration_text(seconds: float) -> str:
    """A duration as precise as it matters: ``0.4 s``, ``12 s``, ``3 min 5 s``, ``1 h 12 min``."""
    tenths = round(seconds * 10)
    if tenths < 100:
        return _("{whole}.{tenth} {unit}").format(whole=tenths // 10, tenth=tenths % 10, unit="s")
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def moment_text(moment: datetime) -> str:
    """A moment in this computer's time: ``2026-11-24 18:03``, the same in both languages, and sorted by reading."""
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def moment_of_ns(mtime_ns: int) -> datetime | None:
    """The UTC moment so many nanoseconds after 1970, or None where no calendar reaches."""
    try:
        return _EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError:
        return None


def columns(rows: Sequence[Sequence[str]], *, right: Sequence[int] = ()) -> str:
    """Rows as lines with aligned columns; those numbered in ``right`` end where the others of their column end."""
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)] if rows else []
    lines = []
    for row in rows:
        cells = [
            " " * (width - _width(cell)) + cell if number in right else cell + " " * (width - _width(cell))
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def _width(text: str) -> int:
    """Columns of a terminal that a text takes: accents that stand alone take none, East Asian letters two."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)
