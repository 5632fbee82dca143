"""What this computer holds of the practice: its key ring, its own key, its memory.

Owns: the files of the state directory. Does not know: drives, sources, or how a secret was typed.

``keyring.json`` holds wrapped keys only, the same as each drive's header; ``machine.key`` is the one secret, and only
this user may read it. With both, the daemon works without asking; without them, the passphrase or the recovery code
opens every drive.
"""

import contextlib
import os
from pathlib import Path

import msgspec

from kinebackup.engine import (
    Keyring,
    MachineKey,
    MasterKey,
    Passphrase,
    RecoveryCode,
    add_slot,
    check_keyring,
    create_keyring,
    create_recovery_code,
    format_time,
    unlock_keyring,
)
from kinebackup.errors import ConfigError, Damaged, KineError, WrongKey
from kinebackup.i18n import _
from kinebackup.practice.key_sheet import note_recovery_slots
from kinebackup.practice.world import World
from kinebackup.state.database_errors import disk_trouble
from kinebackup.state.state_db import StateDb, not_set_up

KEYRING = "keyring.json"
MACHINE_KEY = "machine.key"
MACHINE_ID = "machine-id"
MIN_PASSPHRASE = 12  # ANSSI and the profession's guide ask for at least 12 characters


class ComputerKeys:
    """An initialised state directory."""

    def __init__(self, directory: Path, keyring: Keyring, machine_key: MachineKey, machine: str) -> None:
        self.directory = directory
        self.keyring = keyring
        self.machine_key = machine_key
        self.machine = machine
        self.state = StateDb(directory)

    @classmethod
    def open(cls, directory: Path) -> "ComputerKeys":
        """Raises ``NotFound`` where nothing was initialised, ``Damaged`` where its files cannot be used."""
        try:
            ring = (directory / KEYRING).read_bytes()
            machine_key = bytes.fromhex((directory / MACHINE_KEY).read_text("ascii").strip())
            machine = (directory / MACHINE_ID).read_text("ascii").strip()
        except FileNotFoundError:
            raise not_set_up() from None
        except OSError as error:
            raise KineError(
                _("the files of KineBackup cannot be read ({reason})").format(reason=error.strerror),
                _("run the command as the user who set it up, or as root"),
            ) from None
        except ValueError:
            raise Damaged(_("this computer's key file is damaged"), _join_hint()) from None
        try:
            keyring = msgspec.json.decode(ring, type=Keyring)
            check_keyring(keyring)
        except (msgspec.MsgspecError, UnicodeDecodeError, Damaged):
            raise Damaged(_("this computer's key ring is damaged"), _join_hint()) from None
        return cls(directory, keyring, MachineKey(machine_key), machine)

    @classmethod
    def create(cls, directory: Path, passphrase: Passphrase, world: World) -> tuple["ComputerKeys", str]:
        """A new practice, and its recovery code, which is shown once and kept nowhere."""
        _prepare(directory)
        code = create_recovery_code(world.entropy)
        machine_key = MachineKey(world.entropy(32))
        _master, keyring = create_keyring(
            [passphrase, RecoveryCode.of(code), machine_key],
            entropy=world.entropy,
            created=format_time(world.now()),
            cost=world.cost,
        )
        return cls._write(directory, keyring, machine_key, world), code

    @classmethod
    def join(cls, directory: Path, master: MasterKey, keyring: Keyring, world: World) -> "ComputerKeys":
        """Make this computer one of a practice that exists: its key ring gains a slot for this computer."""
        refuse_if_set_up(directory)
        machine_key = MachineKey(world.entropy(32))
        wider, _slot = add_slot(keyring, master, machine_key, entropy=world.entropy, created=format_time(world.now()))
        _prepare(directory)
        return cls._write(directory, wider, machine_key, world)

    @classmethod
    def _write(cls, directory: Path, keyring: Keyring, machine_key: MachineKey, world: World) -> "ComputerKeys":
        machine = world.entropy(16).hex()
        _write_private(directory / MACHINE_KEY, machine_key.reveal().hex().encode("ascii") + b"\n")
        _write_private(directory / MACHINE_ID, machine.encode("ascii") + b"\n")
        if not StateDb(directory).exists:  # there is one where an earlier attempt was interrupted
            StateDb.create(directory)
        computer = cls(directory, keyring, machine_key, machine)
        computer.save_keyring(keyring)  # last: its presence is what makes the practice exist
        return computer

    def save_keyring(self, keyring: Keyring) -> None:
        """Keep another generation of the key ring. Raises ``DiskTrouble``: then the one before is still there."""
        _write_private(self.directory / KEYRING, msgspec.json.encode(keyring))
        self.keyring = keyring
        with contextlib.suppress(KineError):  # it is for status alone, and the ring is what counts
            note_recovery_slots(self.state, [slot.id for slot in keyring.slots if slot.kind == "recovery"])

    def is_among(self, keyring: Keyring) -> bool:
        """Whether this computer's own key opens that ring."""
        try:
            unlock_keyring(keyring, self.machine_key)
        except (WrongKey, Damaged):
            return False
        return True

    def master(self) -> MasterKey:
        """The master key, by this computer's own slot. Raises ``WrongKey`` where that slot was removed."""
        try:
            return unlock_keyring(self.keyring, self.machine_key)[0]
        except WrongKey:
            raise removed_from_ring() from None


def removed_from_ring() -> WrongKey:
    """Another computer of the practice has put this one out."""
    return WrongKey(
        _("this computer's key has been removed from the key ring"),
        _("open the drive with --passphrase-file or --recovery-code-file, or add this computer again"),
    )


def is_short(passphrase: Passphrase) -> bool:
    """Whether somebody who has the drive could find it by trying. An accented letter is one character."""
    return len(passphrase.reveal().decode("utf-8", "surrogateescape")) < MIN_PASSPHRASE


def new_passphrase(text: str) -> Passphrase:
    """Raises ``ConfigError`` for one that is too short."""
    passphrase = Passphrase.of(text)
    if is_short(passphrase):
        raise ConfigError(
            _("the passphrase is too short: it needs at least {count} characters").format(count=MIN_PASSPHRASE),
            _("several words that do not belong together are long, and easy to remember"),
        )
    return passphrase


def refuse_if_set_up(directory: Path) -> None:
    """Raises ``KineError`` where a practice exists: its keys are never overwritten."""
    if exists(directory):
        raise KineError(
            _("KineBackup is already set up on this computer"),
            _("its keys are never overwritten; see: kinebackup status"),
        )


def _join_hint() -> str:
    return _("move the state directory away and run: kinebackup init --join DRIVE")


def exists(directory: Path) -> bool:
    """Whether a practice was set up in that state directory."""
    return (directory / KEYRING).exists()


def _prepare(directory: Path) -> None:
    refuse_if_set_up(directory)
    with StateDb(directory) as memory:
        if memory.exists and memory.drives():
            raise Damaged(_("this computer knows drives, but its key ring is gone"), _join_hint())
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
    except OSError as error:
        raise KineError(
            _("the state directory cannot be made ({reason})").format(reason=error.strerror),
            _("check [paths] state in the configuration"),
        ) from None


def _write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, whole or not at all. Raises ``DiskTrouble``."""
    temporary = path.with_name(path.name + ".new")
    try:
        _write_anew(temporary, data)
        temporary.replace(path)
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise disk_trouble(path, error) from error


def _write_anew(temporary: Path, data: bytes) -> None:
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
        os.fsync(fd)
    finally:
        os.close(fd)
