"""What can be done with a drive that need not be plugged in: looking it up, renaming it.

Owns: gathering what is remembered of it. Does not know: how it is shown.
"""

from collections.abc import Sequence
from dataclasses import replace

from kinebackup.errors import ConfigError
from kinebackup.i18n import _
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.state.records import Drive


def check_label(label: str) -> None:
    """A label is a word on a sticker: short, and no path. Raises ``ConfigError``."""
    if not label.strip() or len(label) > 40 or "/" in label or not label.isprintable() or label.startswith("-"):
        raise ConfigError(
            _("{label} cannot be the label of a drive").format(label=repr(label)),
            _("choose a short word to write on a sticker, without /, for example CABINET"),
        )


def refuse_taken_label(label: str, computer: ComputerKeys) -> None:
    """Raises ``ConfigError`` where another drive has it."""
    if any(record.label == label for record in computer.state.drives()):
        raise ConfigError(
            _('a drive with the label "{label}" is enrolled already').format(label=label),
            _("choose another label with --label, or forget that drive: kinebackup drive forget {label}").format(
                label=label
            ),
        )


def is_for_daemon(name: str | None, records: Sequence[Drive]) -> bool:
    """Whether the daemon can work on the drive of that label, or without one, on any: never on a simulated one."""
    real = [record.label for record in records if not record.simulated]
    return name in real if name else bool(real)


def rename(old: str, new: str, computer: ComputerKeys) -> Drive:
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
