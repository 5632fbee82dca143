"""The key export of a practice: made for a person to keep on paper, and read again where a drive lost its headers.

Owns: what goes into it, and that it is remembered. Does not know: its form (engine), or where it is written.
"""

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

from kinebackup.engine import encode_header, encode_key_export, format_time, recovery_only
from kinebackup.errors import ConfigError, NotFound
from kinebackup.i18n import _
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.key_sheet import note_export
from kinebackup.practice.world import World

_READERS: Final = ("recover.py", "FORMAT.md")


@dataclass(frozen=True, slots=True)
class Exported:
    """``text``: the export, byte for byte. ``labels``: the drives in it."""

    text: bytes
    generation: int
    labels: tuple[str, ...]
    digests: dict[str, str]


def export_keys(computer: ComputerKeys, world: World, *, practice: str = "") -> Exported:
    """``practice``: its name, which the sheet bears.

    Raises ``NotFound`` where no drive is enrolled, ``ConfigError`` without a recovery code, ``WrongKey``.
    """
    master = computer.master()
    ring = recovery_only(computer.keyring)
    if not ring.slots:
        raise ConfigError(
            _("there is no recovery code, and a key export holds nothing else: a passphrase could be guessed from it"),
            _("make one first: kinebackup key add --recovery-code"),
        )
    records = computer.state.drives()
    if not records:
        raise NotFound(_("no drive has been enrolled yet"), _("prepare one with: kinebackup drive enroll"))
    today = world.now().astimezone(world.zone).date()
    digests = {name: hashlib.sha256(_packaged(name)).hexdigest() for name in _READERS}
    drives = [
        (
            record.label,
            today.isoformat(),
            encode_header(ring, master, repository=record.repository, created=format_time(record.enrolled_at)),
        )
        for record in records
    ]
    return Exported(
        encode_key_export(drives, digests, practice), ring.generation, tuple(r.label for r in records), digests
    )


def remember_export(exported: Exported, computer: ComputerKeys, world: World) -> None:
    """It is in somebody's hands now."""
    slots = [slot.id for slot in computer.keyring.slots if slot.kind == "recovery"]
    today = world.now().astimezone(world.zone).date()
    repositories = [record.repository for record in computer.state.drives()]
    note_export(computer.state, today, exported.generation, slots, repositories)


def _packaged(name: str) -> bytes:
    return (resources.files("kinebackup.recover") / name).read_bytes()
