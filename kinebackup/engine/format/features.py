"""What a later version of the format has that this program may lack (FORMAT.md §1).

Owns: which features are known, and the words for one that is not. Does not know: where they are named.
"""

from collections.abc import Collection, Iterable
from typing import Final

from kinebackup.errors import NeedsNewer
from kinebackup.i18n import _

KNOWN: Final[frozenset[str]] = frozenset()
"""Version 1 as it began needs none."""


def check_reading(needed: Iterable[str], known: Collection[str] = KNOWN) -> None:
    """Raises ``NeedsNewer`` where the drive has something that this program would misread."""
    if text := unknown(needed, known):
        raise NeedsNewer(
            _("this drive needs a newer version of KineBackup to be read ({features})").format(features=text),
            _("install the newest KineBackup, or use recover.py from the drive"),
        )


def check_writing(needed: Iterable[str], known: Collection[str] = KNOWN) -> None:
    """Raises ``NeedsNewer`` where this program would make something wrong by writing; it may read."""
    if text := unknown(needed, known):
        raise not_to_be_written(
            _("this drive needs a newer version of KineBackup to be written to ({features})").format(features=text)
        )


def not_to_be_written(reason: str) -> NeedsNewer:
    """What is raised for a drive that this program can read, at least in part, and must leave as it is."""
    return NeedsNewer(reason, _("install the newest KineBackup on this computer; meanwhile everything can be restored"))


def together(needed: Iterable[Iterable[str]]) -> tuple[str, ...]:
    """All that one of them names, once."""
    return tuple(sorted({name for names in needed for name in names}))


def unknown(needed: Iterable[str], known: Collection[str] = KNOWN) -> str:
    """Those that are not known, for people; empty where all are. They come from a drive, and are shown as text."""
    return ", ".join(sorted(ascii(name)[1:-1][:64] for name in needed if name not in known))
