"""Numbers and drives as people read them: sizes, durations, dates; where a drive is kept, and what it is called.

Owns: units, roundings, and the words that several commands have for a drive. Does not know: what is counted.
"""

from datetime import UTC, datetime, timedelta, tzinfo

from kinebackup.i18n import _, ngettext
from kinebackup.model import Place

SHORT_ID = 12  # digits of a snapshot's id that are shown; any that are unique may be typed
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def size_text(size_bytes: int) -> str:
    """Decimal units, as on the label of a drive; three significant digits at most."""
    if size_bytes < 1000:
        return _("{number} B").format(number=size_bytes)
    units = (_("{number} kB"), _("{number} MB"), _("{number} GB"), _("{number} TB"))
    value = float(size_bytes)
    unit = units[0]
    for unit in units:  # noqa: B007 - the last unit is for everything larger
        value /= 1000
        if value < 999.5:
            break
    digits = 0 if value >= 99.5 else 1
    return unit.format(number=f"{value:.{digits}f}".replace(".", _(".")))


def duration_text(duration_s: float) -> str:
    """Seconds below a minute, then minutes, then hours."""
    seconds = round(duration_s)
    if seconds < 1:
        return _("less than a second")
    if seconds < 60:
        return _("{seconds} s").format(seconds=seconds)
    if seconds < 3600:
        return _("{minutes} min {seconds} s").format(minutes=seconds // 60, seconds=seconds % 60)
    return _("{hours} h {minutes} min").format(hours=seconds // 3600, minutes=seconds % 3600 // 60)


def time_text(moment: datetime | None, zone: tzinfo) -> str:
    """Day and time where the practice is; a dash where there is none."""
    return "–" if moment is None else moment.astimezone(zone).strftime(_("%Y-%m-%d %H:%M"))


def moment_of_ns(mtime_ns: int) -> datetime | None:
    """The UTC moment so many nanoseconds after 1970, or None where no calendar reaches."""
    try:
        return _EPOCH + timedelta(microseconds=mtime_ns // 1000)
    except OverflowError:
        return None


def files_text(count: int) -> str:
    """So many files."""
    return ngettext("{count} file", "{count} files", count).format(count=count)


def place_text(place: Place) -> str:
    """Where a drive is kept."""
    return {"cabinet": _("practice"), "domicile": _("home")}[place]


def presence_text(present: bool) -> str:
    """Where a drive is now."""
    return _("plugged in") if present else _("away")


def name_text(label: str, *, simulated: bool) -> str:
    """What a drive is called; who tries KineBackup out must not take a folder for a drive."""
    return _("{label} (simulation)").format(label=label) if simulated else label


def can_unplug_text(label: str) -> str:
    """Nobody writes to the drive any more."""
    return _("You can unplug the drive {label}.").format(label=label)


def sticker_text(label: str) -> str:
    """What to do with a new label."""
    return _("Write {label} on a sticker on the drive.").format(label=label)
