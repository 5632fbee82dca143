"""The engine: encrypted, deduplicated snapshots of folders in a repository, and proof that they come back.

Owns: this front door. Other packages import from here and from nowhere deeper (``make check`` proves it), so that what
lies behind can change. Does not know: USB, the desktop, the wall clock, the configuration.

A name is loaded when it is first asked for: ``kinebackup status`` loads no cipher.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinebackup.engine.backup.backup import BackupRequest as BackupRequest
    from kinebackup.engine.backup.backup import back_up as back_up
    from kinebackup.engine.backup.backup import preview_backup as preview_backup
    from kinebackup.engine.backup.changes import Changes as Changes
    from kinebackup.engine.backup.changes import ChangesSince as ChangesSince
    from kinebackup.engine.backup.changes import TrackingResult as TrackingResult
    from kinebackup.engine.backup.source import Found as Found
    from kinebackup.engine.backup.source import LiveCopy as LiveCopy
    from kinebackup.engine.backup.source import Source as Source
    from kinebackup.engine.check.restore_test import RestoreTestRequest as RestoreTestRequest
    from kinebackup.engine.check.restore_test import restore_test as restore_test
    from kinebackup.engine.check.verify import Budget as Budget
    from kinebackup.engine.check.verify import Verification as Verification
    from kinebackup.engine.environment import Environment as Environment
    from kinebackup.engine.environment import Names as Names
    from kinebackup.engine.format import keyring as keyring
    from kinebackup.engine.format import layout as layout
    from kinebackup.engine.format import recovery_code as recovery_code
    from kinebackup.engine.format.header import Header as Header
    from kinebackup.engine.format.kdf import Argon2Cost as Argon2Cost
    from kinebackup.engine.format.key_schedule import MasterKey as MasterKey
    from kinebackup.engine.format.keyring import Keyring as Keyring
    from kinebackup.engine.format.keyring import MachineKey as MachineKey
    from kinebackup.engine.format.keyring import Passphrase as Passphrase
    from kinebackup.engine.format.keyring import RecoveryCode as RecoveryCode
    from kinebackup.engine.format.keyring import Secret as Secret
    from kinebackup.engine.format.keyring import Slot as Slot
    from kinebackup.engine.format.keyring import SlotKind as SlotKind
    from kinebackup.engine.format.keyring import kind_text as kind_text
    from kinebackup.engine.format.keyring import slot_name as slot_name
    from kinebackup.engine.format.keyring import slot_of_name as slot_of_name
    from kinebackup.engine.format.snapshot import NamedSnapshot as NamedSnapshot
    from kinebackup.engine.format.snapshot import Snapshot as Snapshot
    from kinebackup.engine.format.snapshot import format_time as format_time
    from kinebackup.engine.format.snapshot import parse_time as parse_time
    from kinebackup.engine.format.tree import Copied as Copied
    from kinebackup.engine.format.tree import Entry as Entry
    from kinebackup.engine.format.tree import is_text as is_text
    from kinebackup.engine.metadata import Comparison as Comparison
    from kinebackup.engine.metadata import comparable as comparable
    from kinebackup.engine.prune import preview_prune as preview_prune
    from kinebackup.engine.prune import prune_snapshots as prune_snapshots
    from kinebackup.engine.repository.blob_reader import BlobReader as BlobReader
    from kinebackup.engine.repository.condition import Condition as Condition
    from kinebackup.engine.repository.findings import healed_header_copy as healed_header_copy
    from kinebackup.engine.repository.findings import problem_of as problem_of
    from kinebackup.engine.repository.header_files import read_headers as read_headers
    from kinebackup.engine.repository.index_files import forget_lost_files as forget_lost_files
    from kinebackup.engine.repository.inventory import MissingPack as MissingPack
    from kinebackup.engine.repository.lock import LockHolder as LockHolder
    from kinebackup.engine.repository.opening import LockedStore as LockedStore
    from kinebackup.engine.repository.opening import lock_store as lock_store
    from kinebackup.engine.repository.opening import open_store as open_store
    from kinebackup.engine.repository.pack_writer import read_pack_table as read_pack_table
    from kinebackup.engine.repository.repository import LoadedRepository as LoadedRepository
    from kinebackup.engine.repository.repository import LockedRepository as LockedRepository
    from kinebackup.engine.repository.repository import Repository as Repository
    from kinebackup.engine.repository.repository import UnreadableSnapshot as UnreadableSnapshot
    from kinebackup.engine.repository.repository import WritableRepository as WritableRepository
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
    "BlobReader": "repository.blob_reader",
    "Budget": "check.verify",
    "Changes": "backup.changes",
    "ChangesSince": "backup.changes",
    "Comparison": "metadata",
    "Condition": "repository.condition",
    "Copied": "format.tree",
    "Entry": "format.tree",
    "Environment": "environment",
    "FolderStore": "repository.store",
    "Found": "backup.source",
    "Keyring": "format.keyring",
    "LiveCopy": "backup.source",
    "LoadedRepository": "repository.repository",
    "LockHolder": "repository.lock",
    "LockedRepository": "repository.repository",
    "MachineKey": "format.keyring",
    "MasterKey": "format.key_schedule",
    "MissingPack": "repository.inventory",
    "NamedSnapshot": "format.snapshot",
    "Names": "environment",
    "Overwrite": "restore.restore",
    "Passphrase": "format.keyring",
    "RecoveryCode": "format.keyring",
    "Repository": "repository.repository",
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
    "UnreadableSnapshot": "repository.repository",
    "Verification": "check.verify",
    "Visited": "repository.tree_reader",
    "WritableRepository": "repository.repository",
    "back_up": "backup.backup",
    "comparable": "metadata",
    "forget_lost_files": "repository.index_files",
    "format_time": "format.snapshot",
    "healed_header_copy": "repository.findings",
    "is_text": "format.tree",
    "keyring": "format.keyring",
    "kind_text": "format.keyring",
    "layout": "format.layout",
    "lock_store": "repository.opening",
    "open_store": "repository.opening",
    "parse_time": "format.snapshot",
    "preview_backup": "backup.backup",
    "preview_prune": "prune",
    "problem_of": "repository.findings",
    "prune_snapshots": "prune",
    "read_headers": "repository.header_files",
    "read_pack_table": "repository.pack_writer",
    "recovery_code": "format.recovery_code",
    "restore_snapshot": "restore.restore",
    "restore_test": "check.restore_test",
    "LockedStore": "repository.opening",
    "Header": "format.header",
    "slot_name": "format.keyring",
    "slot_of_name": "format.keyring",
}


if not TYPE_CHECKING:  # else every name would seem to be here

    def __getattr__(name: str) -> object:
        """PEP 562: asked for a name that is not here yet."""
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module = import_module(f"{__name__}.{_MODULE_OF[name]}")
        found = getattr(module, name, module)
        globals()[name] = found
        return found
