"""What can be done with the labels of drives, plugged in or not: checking one, choosing the only one, renaming.

Owns: the rules for labels and their errors. Does not know: where a drive is, or what is on it.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from kinebackup.errors import ConfigError, NotFound
from kinebackup.i18n import _
from kinebackup.state.records import Drive
from kinebackup.state.state_db import label_taken

if TYPE_CHECKING:  # keys take time to load, and commands that need none use this module too
    from kinebackup.practice.computer_keys import ComputerKeys


def check_label(label: str) -> None:
    """A label is a word on a sticker: short, and no path. Raises ``ConfigError``."""
    if not label.strip() or len(label) > 40 or "/" in label or not label.isprintable() or label.startswith("-"):
        raise ConfigError(
            _("{label} cannot be the label of a drive").format(label=repr(label)),
            _("choose a short word to write on a sticker, without /, for example CABINET"),
        )


def refuse_taken_label(label: str, computer: "ComputerKeys") -> None:
    """Raises ``ConfigError`` where another drive has it."""
    if any(record.label == label for record in computer.state.drives()):
        raise label_taken(label)


def only_label(plugged_in: Sequence[str], known: Sequence[str]) -> str:
    """The one drive that is plugged in, where the person named none.

    Raises ``ConfigError`` where the choice is the person's, ``NotFound`` where there is none.
    """
    if len(plugged_in) == 1:
        return plugged_in[0]
    if plugged_in:
        raise ConfigError(
            _("several drives are plugged in: {labels}").format(labels=", ".join(plugged_in)),
            _("say which one: --drive LABEL"),
        )
    if known:
        raise NotFound(_("no drive is plugged in"), _("plug in one of: {labels}").format(labels=", ".join(known)))
    raise NotFound(_("no drive has been enrolled yet"), _("prepare one with: kinebackup drive enroll"))


def is_for_daemon(name: str | None, records: Sequence[Drive]) -> bool:
    """Whether the daemon can work on the drive of that label, or without one, on any: never on a simulated one."""
    real = [record.label for record in records if not record.simulated]
    return name in real if name else bool(real)


def rename(old: str, new: str, computer: "ComputerKeys") -> Drive:
    """Call the drive something else, on this computer; nothing on it changes.

    Raises ``NotFound``, ``ConfigError`` for a label that is taken or is none.
    """
    record = computer.state.drive(old)
    if new == old:
        return record
    check_label(new)
    refuse_taken_label(new, computer)
    renamed = replace(record, label=new)
    computer.state.update_drive(renamed)
    return renamed
