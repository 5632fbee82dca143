"""Changing the practice's key slots, here and on the drives.

Owns: taking in newer slots of present drives first, and handing the change on. Does not know: how a secret was typed
or is shown.

The master key stays the same: a removed passphrase still opens a drive that has not been updated, and copies of old
headers.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from kinebackup.engine import (
    Keyring,
    MasterKey,
    Passphrase,
    RecoveryCode,
    Slot,
    add_slot,
    create_recovery_code,
    format_time,
    remove_slot,
    unlock_keyring,
)
from kinebackup.errors import ConfigError, KineError, NotFound
from kinebackup.i18n import _
from kinebackup.model import Problem
from kinebackup.practice.access import present_drives, update_keyring
from kinebackup.practice.computer_keys import ComputerKeys
from kinebackup.practice.world import World


@dataclass(frozen=True, slots=True)
class KeyChange:
    """``waiting``: drives that are updated at their next backup. ``code``: a new recovery code, to be shown once.
    ``problems``: what drives that are plugged in showed of their own keys."""

    slot: Slot
    updated: tuple[str, ...]
    waiting: tuple[str, ...]
    problems: tuple[Problem, ...]
    code: str | None = None


def own_slot(computer: ComputerKeys) -> Slot:
    """The slot of this computer. Raises ``WrongKey`` where it was removed."""
    return unlock_keyring(computer.keyring, computer.machine_key)[1]


def waiting_drives(computer: ComputerKeys) -> tuple[str, ...]:
    """Labels of the drives whose header has older slots than this computer."""
    generation = computer.keyring.generation
    return tuple(drive.label for drive in computer.state.drives() if drive.header_generation < generation)


def add_passphrase(computer: ComputerKeys, passphrase: Passphrase, world: World) -> KeyChange:
    """One more passphrase. Raises ``ConfigError`` where there is no room for it."""
    master = computer.master()
    told = _sync_present_drives(computer, world)
    ring, slot = _with_passphrase(computer.keyring, master, passphrase, world)
    return _save_and_sync(computer, ring, slot, world, told)


def add_recovery_code(computer: ComputerKeys, world: World, keep: Callable[[str], None]) -> KeyChange:
    """A new recovery code beside the others; ``keep`` puts it where it is safe before it counts."""
    master = computer.master()
    told = _sync_present_drives(computer, world)
    code = create_recovery_code(world.entropy)
    ring, slot = add_slot(
        computer.keyring, master, RecoveryCode.of(code), entropy=world.entropy, created=format_time(world.now())
    )
    keep(code)
    return _save_and_sync(computer, ring, slot, world, told, code)


def slot_to_remove(computer: ComputerKeys, name: str) -> Slot:
    """The slot whose id begins so. Raises ``NotFound``, or ``ConfigError`` for one that must stay."""
    after = remove_slot(computer.keyring, name)
    slot = next(slot for slot in computer.keyring.slots if slot not in after.slots)
    if slot == own_slot(computer):
        raise ConfigError(
            _("this is the key of this computer, which could then make no backup any more"),
            _("remove it from another computer of the practice, once this one is given away"),
        )
    return slot


def remove(computer: ComputerKeys, slot: Slot, world: World) -> KeyChange:
    """Raises ``ConfigError`` where it is the last one that works without a computer."""
    computer.master()
    told = _sync_present_drives(computer, world)
    return _save_and_sync(computer, remove_slot(computer.keyring, slot.id), slot, world, told)


def passphrase_slot(computer: ComputerKeys, name: str | None, current: Passphrase | None) -> Slot:
    """Which passphrase is meant: the one of that id, the one that ``current`` opens, or the only one there is.

    Raises ``NotFound``, ``WrongKey``, or ``ConfigError`` where several are possible.
    """
    if current is not None:
        return unlock_keyring(computer.keyring, current)[1]
    slots = [slot for slot in computer.keyring.slots if slot.kind == "passphrase"]
    found = [slot for slot in slots if slot.id.startswith(name)] if name else slots
    if len(found) == 1:
        return found[0]
    listing = ", ".join(f"{slot.id} ({slot.created[:10]})" for slot in slots)
    if not slots:
        raise NotFound(_("there is no passphrase among the keys"), _("add one with: kinebackup key add"))
    if name:
        raise NotFound(
            _("no single passphrase is called {name}").format(name=repr(name)),
            _("the passphrases are: {listing}").format(listing=listing),
        )
    raise ConfigError(
        _("there are several passphrases: {listing}").format(listing=listing), _("say which one is to be changed")
    )


def change_passphrase(computer: ComputerKeys, old: Slot, passphrase: Passphrase, world: World) -> KeyChange:
    """Put the new passphrase in the place of the old one, in one generation."""
    master = computer.master()
    told = _sync_present_drives(computer, world)
    ring, slot = _with_passphrase(computer.keyring, master, passphrase, world)
    without = remove_slot(ring, old.id)
    return _save_and_sync(computer, without, slot, world, told)


def _with_passphrase(ring: Keyring, master: MasterKey, passphrase: Passphrase, world: World) -> tuple[Keyring, Slot]:
    return add_slot(ring, master, passphrase, entropy=world.entropy, created=format_time(world.now()), cost=world.cost)


def _sync_present_drives(computer: ComputerKeys, world: World) -> list[Problem]:
    """A drive may bring slots that another computer added: the change must build on them, not replace them."""
    told: list[Problem] = []
    for drive in present_drives(computer, world):
        with suppress(KineError):  # it is reported as one that waits
            told += update_keyring(drive, computer, world)
    return told


def _save_and_sync(
    computer: ComputerKeys,
    ring: Keyring,
    slot: Slot,
    world: World,
    told: Sequence[Problem],
    code: str | None = None,
) -> KeyChange:
    computer.save_keyring(ring)
    problems = tuple(dict.fromkeys((*told, *_sync_present_drives(computer, world))))
    waiting = waiting_drives(computer)
    updated = tuple(drive.label for drive in computer.state.drives() if drive.label not in waiting)
    return KeyChange(slot, updated, waiting, problems, code)
