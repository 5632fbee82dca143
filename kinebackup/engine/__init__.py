"""The engine: encrypted, deduplicated snapshots of folders in a repository, and proof that they come back.

Owns: this front door. Other packages import from here and from nowhere deeper (``make check`` proves it), so that what
lies behind can change. Does not know: USB, the desktop, the wall clock, the configuration.

A name is loaded when it is first asked for: ``kinebackup status`` loads no cipher.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinebackup.engine.backup.backup import BackupRequest as BackupRequest
    from kinebackup.engine.backup.backup import Environment as Environment
    from kinebackup.engine.backup.backup import back_up as back_up
    from kinebackup.engine.backup.changes import Changes as Changes
    from kinebackup.engine.backup.changes import ChangesSince as ChangesSince
    from kinebackup.engine.backup.changes import TrackingResult as TrackingResult
    from kinebackup.engine.backup.source import Found as Found
    from kinebackup.engine.backup.source import LiveCopy as LiveCopy
    from kinebackup.engine.backup.source import Names as Names
    from kinebackup.engine.backup.source import Source as Source
    from kinebackup.engine.check.restore_test import RestoreTestRequest as RestoreTestRequest
    from kinebackup.engine.check.restore_test import restore_test as restore_test
    from kinebackup.engine.check.verify import Budget as Budget
    from kinebackup.engine.check.verify import Verification as Verification
    from kinebackup.engine.format import header as header
    from kinebackup.engine.format import keyring as keyring
    from kinebackup.engine.format import pack as pack
    from kinebackup.engine.format import recovery_code as recovery_code
    from kinebackup.engine.format.header import UnlockedHeader as UnlockedHeader
    from kinebackup.engine.format.kdf import Argon2Cost as Argon2Cost
    from kinebackup.engine.format.key_schedule import MasterKey as MasterKey
    from kinebackup.engine.format.key_schedule import RepositoryKeys as RepositoryKeys
    from kinebackup.engine.format.keyring import Keyring as Keyring
    from kinebackup.engine.format.keyring import MachineKey as MachineKey
    from kinebackup.engine.format.keyring import Passphrase as Passphrase
    from kinebackup.engine.format.keyring import RecoveryCode as RecoveryCode
    from kinebackup.engine.format.keyring import Secret as Secret
    from kinebackup.engine.format.keyring import Slot as Slot
    from kinebackup.engine.format.keyring import SlotKind as SlotKind
    from kinebackup.engine.format.keyring import kind_text as kind_text
    from kinebackup.engine.format.pack import path_of as path_of
    from kinebackup.engine.format.snapshot import NamedSnapshot as NamedSnapshot
    from kinebackup.engine.format.snapshot import Snapshot as Snapshot
    from kinebackup.engine.format.snapshot import format_time as format_time
    from kinebackup.engine.format.snapshot import parse_time as parse_time
    from kinebackup.engine.format.tree import Copied as Copied
    from kinebackup.engine.format.tree import Entry as Entry
    from kinebackup.engine.format.tree import is_text as is_text
    from kinebackup.engine.metadata import Comparison as Comparison
    from kinebackup.engine.metadata import comparable as comparable
    from kinebackup.engine.prune import prune_snapshots as prune_snapshots
    from kinebackup.engine.repository.index_files import forget_lost_files as forget_lost_files
    from kinebackup.engine.repository.lock import LockHolder as LockHolder
    from kinebackup.engine.repository.lock import WriterLock as WriterLock
    from kinebackup.engine.repository.references import listing_of as listing_of
    from kinebackup.engine.repository.repository import FOLDER as FOLDER
    from kinebackup.engine.repository.repository import HEADER_COPIES as HEADER_COPIES
    from kinebackup.engine.repository.repository import BlobReader as BlobReader
    from kinebackup.engine.repository.repository import Repository as Repository
    from kinebackup.engine.repository.repository import heal_header as heal_header
    from kinebackup.engine.repository.repository import read_header_copies as read_header_copies
    from kinebackup.engine.repository.repository import with_keyring as with_keyring
    from kinebackup.engine.repository.repository import write_header as write_header
    from kinebackup.engine.repository.store import FolderStore as FolderStore
    from kinebackup.engine.repository.store import Store as Store
    from kinebackup.engine.repository.tree_reader import TreeReader as TreeReader
    from kinebackup.engine.repository.tree_reader import Visited as Visited
    from kinebackup.engine.restore.restore import Overwrite as Overwrite
    from kinebackup.engine.restore.restore import RestoreRequest as RestoreRequest
    from kinebackup.engine.restore.restore import restore_snapshot as restore_snapshot

_MODULE_OF = {
    "Argon2Cost": "format.kdf",
    "BackupRequest": "backup.backup",
    "BlobReader": "repository.repository",
    "Budget": "check.verify",
    "Changes": "backup.changes",
    "ChangesSince": "backup.changes",
    "Comparison": "metadata",
    "Copied": "format.tree",
    "Entry": "format.tree",
    "Environment": "backup.backup",
    "FOLDER": "repository.repository",
    "FolderStore": "repository.store",
    "Found": "backup.source",
    "HEADER_COPIES": "repository.repository",
    "Keyring": "format.keyring",
    "LiveCopy": "backup.source",
    "LockHolder": "repository.lock",
    "MachineKey": "format.keyring",
    "MasterKey": "format.key_schedule",
    "NamedSnapshot": "format.snapshot",
    "Names": "backup.source",
    "Overwrite": "restore.restore",
    "Passphrase": "format.keyring",
    "RecoveryCode": "format.keyring",
    "Repository": "repository.repository",
    "RepositoryKeys": "format.key_schedule",
    "RestoreRequest": "restore.restore",
    "RestoreTestRequest": "check.restore_test",
    "Secret": "format.keyring",
    "Slot": "format.keyring",
    "SlotKind": "format.keyring",
    "Snapshot": "format.snapshot",
    "Source": "backup.source",
    "Store": "repository.store",
    "TrackingResult": "backup.changes",
    "TreeReader": "repository.tree_reader",
    "UnlockedHeader": "format.header",
    "Verification": "check.verify",
    "Visited": "repository.tree_reader",
    "WriterLock": "repository.lock",
    "back_up": "backup.backup",
    "comparable": "metadata",
    "forget_lost_files": "repository.index_files",
    "format_time": "format.snapshot",
    "header": "format.header",
    "heal_header": "repository.repository",
    "is_text": "format.tree",
    "keyring": "format.keyring",
    "kind_text": "format.keyring",
    "listing_of": "repository.references",
    "pack": "format.pack",
    "parse_time": "format.snapshot",
    "path_of": "format.pack",
    "prune_snapshots": "prune",
    "read_header_copies": "repository.repository",
    "recovery_code": "format.recovery_code",
    "restore_snapshot": "restore.restore",
    "restore_test": "check.restore_test",
    "with_keyring": "repository.repository",
    "write_header": "repository.repository",
}


def __getattr__(name: str) -> object:
    """PEP 562: asked for a name that is not here yet."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = import_module(f"{__name__}.{_MODULE_OF[name]}")
    found: object = getattr(module, name, module)
    globals()[name] = found
    return found
