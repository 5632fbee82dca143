"""The engine: encrypted, deduplicated snapshots of folders in a repository, and proof that they come back.

Owns: this front door. Other packages import from here and from nowhere deeper (``make check`` proves it), so that what
lies behind can change. Does not know: USB, the desktop, the wall clock, the configuration.

A name is loaded when it is first asked for: ``kinebackup status`` loads no cipher.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kinebackup.engine.backup.backup import back_up, preview_backup
    from kinebackup.engine.backup.parent.changes import Changes, ChangesSince, TrackingResult
    from kinebackup.engine.backup.run import BackupRequest
    from kinebackup.engine.check.restore_test import RestoreTestRequest, restore_test
    from kinebackup.engine.check.verify import Budget, DriveChanged, Verification
    from kinebackup.engine.environment import Environment, Names
    from kinebackup.engine.findings import problem_of
    from kinebackup.engine.format import layout
    from kinebackup.engine.format.header import Header, encode_header
    from kinebackup.engine.format.kdf import Argon2Cost
    from kinebackup.engine.format.key_export import MAX_EXPORT_BYTES, recovery_only
    from kinebackup.engine.format.key_export import decode as decode_key_export
    from kinebackup.engine.format.key_export import encode as encode_key_export
    from kinebackup.engine.format.key_schedule import MasterKey
    from kinebackup.engine.format.keyring import (
        Keyring,
        MachineKey,
        Passphrase,
        RecoveryCode,
        Secret,
        Slot,
        kind_text,
        opens_without_computer,
        slot_name,
        slot_of_name,
    )
    from kinebackup.engine.format.keyring import check as check_keyring
    from kinebackup.engine.format.keyring import create as create_keyring
    from kinebackup.engine.format.keyring import merged as merge_keyrings
    from kinebackup.engine.format.keyring import unlock as unlock_keyring
    from kinebackup.engine.format.keyring import with_slot as add_slot
    from kinebackup.engine.format.keyring import without_slot as remove_slot
    from kinebackup.engine.format.recovery_code import create as create_recovery_code
    from kinebackup.engine.format.snapshot import NamedSnapshot, Snapshot, format_time, parse_time
    from kinebackup.engine.format.snapshot_order import Whose, newest_of_each
    from kinebackup.engine.format.tree import Copied, Entry, bounded_time, is_text, name_key
    from kinebackup.engine.metadata import Comparison, comparable
    from kinebackup.engine.prune.missing_snapshots import (
        NONE_MISSING,
        MissingSnapshots,
        find_missing_snapshots,
    )
    from kinebackup.engine.prune.prune import PruneRequest, preview_prune, prune_snapshots
    from kinebackup.engine.repair.repair import RepairRequest, repair_repository
    from kinebackup.engine.repository.blob_reader import BlobReader
    from kinebackup.engine.repository.condition import Condition
    from kinebackup.engine.repository.header_files import read_headers
    from kinebackup.engine.repository.index_files import forget_lost_files
    from kinebackup.engine.repository.lock import LockHolder
    from kinebackup.engine.repository.opening import LockedStore, lock_store, open_store
    from kinebackup.engine.repository.pack_writer import read_pack_table
    from kinebackup.engine.repository.redundancy.completing import complete_parity
    from kinebackup.engine.repository.removals import (
        Remover,
        remove_snapshots,
        sequences_of,
    )
    from kinebackup.engine.repository.repository import (
        LoadedRepository,
        LockedRepository,
        Repository,
        WritableRepository,
    )
    from kinebackup.engine.repository.snapshot_list import UnreadableRemoval
    from kinebackup.engine.repository.store import FolderStore, Store
    from kinebackup.engine.repository.tree_reader import TreeReader, Visited, Way
    from kinebackup.engine.restore.existing import Overwrite
    from kinebackup.engine.restore.incomplete import Lacking, find_lacking
    from kinebackup.engine.restore.orphans import find_orphans, folder_as_snapshot
    from kinebackup.engine.restore.restore import RestoreRequest, restore_snapshot
    from kinebackup.engine.source import (
        COMPANIONS,
        Border,
        Found,
        LinkRefused,
        Listing,
        LiveCopy,
        Looked,
        Source,
        is_database,
    )

_PLACE_OF = {
    "MAX_EXPORT_BYTES": "format.key_export:MAX_EXPORT_BYTES",
    "Argon2Cost": "format.kdf:Argon2Cost",
    "BackupRequest": "backup.run:BackupRequest",
    "BlobReader": "repository.blob_reader:BlobReader",
    "Border": "source:Border",
    "Budget": "check.verify:Budget",
    "COMPANIONS": "source:COMPANIONS",
    "Changes": "backup.parent.changes:Changes",
    "ChangesSince": "backup.parent.changes:ChangesSince",
    "Comparison": "metadata:Comparison",
    "Condition": "repository.condition:Condition",
    "Copied": "format.tree:Copied",
    "DriveChanged": "check.verify:DriveChanged",
    "Entry": "format.tree:Entry",
    "Environment": "environment:Environment",
    "FolderStore": "repository.store:FolderStore",
    "Found": "source:Found",
    "Header": "format.header:Header",
    "Keyring": "format.keyring:Keyring",
    "Lacking": "restore.incomplete:Lacking",
    "LinkRefused": "source:LinkRefused",
    "Listing": "source:Listing",
    "LiveCopy": "source:LiveCopy",
    "LoadedRepository": "repository.repository:LoadedRepository",
    "LockHolder": "repository.lock:LockHolder",
    "LockedRepository": "repository.repository:LockedRepository",
    "LockedStore": "repository.opening:LockedStore",
    "Looked": "source:Looked",
    "MachineKey": "format.keyring:MachineKey",
    "MasterKey": "format.key_schedule:MasterKey",
    "MissingSnapshots": "prune.missing_snapshots:MissingSnapshots",
    "NONE_MISSING": "prune.missing_snapshots:NONE_MISSING",
    "NamedSnapshot": "format.snapshot:NamedSnapshot",
    "Names": "environment:Names",
    "Overwrite": "restore.existing:Overwrite",
    "Passphrase": "format.keyring:Passphrase",
    "PruneRequest": "prune.prune:PruneRequest",
    "RecoveryCode": "format.keyring:RecoveryCode",
    "RepairRequest": "repair.repair:RepairRequest",
    "Remover": "repository.removals:Remover",
    "Repository": "repository.repository:Repository",
    "RestoreRequest": "restore.restore:RestoreRequest",
    "RestoreTestRequest": "check.restore_test:RestoreTestRequest",
    "Secret": "format.keyring:Secret",
    "Slot": "format.keyring:Slot",
    "Snapshot": "format.snapshot:Snapshot",
    "Source": "source:Source",
    "Store": "repository.store:Store",
    "TrackingResult": "backup.parent.changes:TrackingResult",
    "TreeReader": "repository.tree_reader:TreeReader",
    "UnreadableRemoval": "repository.snapshot_list:UnreadableRemoval",
    "Verification": "check.verify:Verification",
    "Visited": "repository.tree_reader:Visited",
    "Way": "repository.tree_reader:Way",
    "Whose": "format.snapshot_order:Whose",
    "WritableRepository": "repository.repository:WritableRepository",
    "add_slot": "format.keyring:with_slot",
    "back_up": "backup.backup:back_up",
    "bounded_time": "format.tree:bounded_time",
    "check_keyring": "format.keyring:check",
    "comparable": "metadata:comparable",
    "create_keyring": "format.keyring:create",
    "create_recovery_code": "format.recovery_code:create",
    "decode_key_export": "format.key_export:decode",
    "encode_header": "format.header:encode_header",
    "encode_key_export": "format.key_export:encode",
    "find_lacking": "restore.incomplete:find_lacking",
    "find_missing_snapshots": "prune.missing_snapshots:find_missing_snapshots",
    "find_orphans": "restore.orphans:find_orphans",
    "folder_as_snapshot": "restore.orphans:folder_as_snapshot",
    "complete_parity": "repository.redundancy.completing:complete_parity",
    "forget_lost_files": "repository.index_files:forget_lost_files",
    "format_time": "format.snapshot:format_time",
    "is_database": "source:is_database",
    "is_text": "format.tree:is_text",
    "kind_text": "format.keyring:kind_text",
    "layout": "format.layout",
    "lock_store": "repository.opening:lock_store",
    "merge_keyrings": "format.keyring:merged",
    "name_key": "format.tree:name_key",
    "newest_of_each": "format.snapshot_order:newest_of_each",
    "open_store": "repository.opening:open_store",
    "opens_without_computer": "format.keyring:opens_without_computer",
    "parse_time": "format.snapshot:parse_time",
    "preview_backup": "backup.backup:preview_backup",
    "preview_prune": "prune.prune:preview_prune",
    "problem_of": "findings:problem_of",
    "prune_snapshots": "prune.prune:prune_snapshots",
    "read_headers": "repository.header_files:read_headers",
    "read_pack_table": "repository.pack_writer:read_pack_table",
    "recovery_only": "format.key_export:recovery_only",
    "remove_slot": "format.keyring:without_slot",
    "remove_snapshots": "repository.removals:remove_snapshots",
    "repair_repository": "repair.repair:repair_repository",
    "restore_snapshot": "restore.restore:restore_snapshot",
    "restore_test": "check.restore_test:restore_test",
    "sequences_of": "repository.removals:sequences_of",
    "slot_name": "format.keyring:slot_name",
    "slot_of_name": "format.keyring:slot_of_name",
    "unlock_keyring": "format.keyring:unlock",
}


__all__ = [
    "COMPANIONS",
    "MAX_EXPORT_BYTES",
    "NONE_MISSING",
    "Argon2Cost",
    "BackupRequest",
    "BlobReader",
    "Border",
    "Budget",
    "Changes",
    "ChangesSince",
    "Comparison",
    "Condition",
    "Copied",
    "DriveChanged",
    "Entry",
    "Environment",
    "FolderStore",
    "Found",
    "Header",
    "Keyring",
    "Lacking",
    "LinkRefused",
    "Listing",
    "LiveCopy",
    "LoadedRepository",
    "LockHolder",
    "LockedRepository",
    "LockedStore",
    "Looked",
    "MachineKey",
    "MasterKey",
    "MissingSnapshots",
    "NamedSnapshot",
    "Names",
    "Overwrite",
    "Passphrase",
    "PruneRequest",
    "RecoveryCode",
    "Remover",
    "RepairRequest",
    "Repository",
    "RestoreRequest",
    "RestoreTestRequest",
    "Secret",
    "Slot",
    "Snapshot",
    "Source",
    "Store",
    "TrackingResult",
    "TreeReader",
    "UnreadableRemoval",
    "Verification",
    "Visited",
    "Way",
    "Whose",
    "WritableRepository",
    "add_slot",
    "back_up",
    "bounded_time",
    "check_keyring",
    "comparable",
    "complete_parity",
    "create_keyring",
    "create_recovery_code",
    "decode_key_export",
    "encode_header",
    "encode_key_export",
    "find_lacking",
    "find_missing_snapshots",
    "find_orphans",
    "folder_as_snapshot",
    "forget_lost_files",
    "format_time",
    "is_database",
    "is_text",
    "kind_text",
    "layout",
    "lock_store",
    "merge_keyrings",
    "name_key",
    "newest_of_each",
    "open_store",
    "opens_without_computer",
    "parse_time",
    "preview_backup",
    "preview_prune",
    "problem_of",
    "prune_snapshots",
    "read_headers",
    "read_pack_table",
    "recovery_only",
    "remove_slot",
    "remove_snapshots",
    "repair_repository",
    "restore_snapshot",
    "restore_test",
    "sequences_of",
    "slot_name",
    "slot_of_name",
    "unlock_keyring",
]

if not TYPE_CHECKING:  # else every name would seem to be here

    def __getattr__(name: str) -> object:
        """PEP 562: asked for a name that is not here yet."""
        if name not in _PLACE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        module_name, _colon, attribute = _PLACE_OF[name].partition(":")
        module = import_module(f"{__name__}.{module_name}")
        found = getattr(module, attribute) if attribute else module
        globals()[name] = found
        return found
