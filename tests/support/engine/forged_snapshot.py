"""Snapshots that no backup would make, sealed with the right keys.

Owns: putting blobs, a tree and a snapshot on a drive by hand. Does not know: what is wrong with them.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec
from support.engine.drives import MACHINE, Drive, loaded, writable

from kinebackup.engine.format import snapshot, tree
from kinebackup.engine.format.constants import Kind
from kinebackup.engine.format.layout import snapshot_path
from kinebackup.engine.format.snapshot import Counts, Snapshot
from kinebackup.engine.format.tree import Entry
from kinebackup.engine.repository.files import write_file
from kinebackup.engine.repository.pack_pipeline import PackPipeline
from kinebackup.model import CancelToken, FileName


def an_entry(name: str, contents: Sequence[bytes], drive: Drive, **more: object) -> Entry:
    """A file of these blobs, to be given to ``forge`` with them."""
    with loaded(drive) as repository:
        ids = [repository.keys.blob_id(Kind.DATA, data).hex() for data in contents]
    values: dict[str, object] = {"size": sum(map(len, contents)), "mode": 0o600, "mtime": 1, "ctime": 1, "blobs": ids}
    return Entry(name=name, type="file", **(values | more))  # type: ignore[arg-type] # members by name


def forge(drive: Drive, folder: Path, entries: Sequence[Entry], blobs: Sequence[bytes], **members: object) -> FileName:
    """A snapshot in which the folder holds these entries, with these members of its own. Returns its id."""
    with writable(drive) as repository:
        packer = PackPipeline(repository, drive.dice, read_back=True, cancel=CancelToken())

        def put(kind: Kind, data: bytes) -> str:
            blob_id = repository.keys.blob_id(kind, data)
            if repository.index.claim(blob_id):
                packer.put(kind, blob_id, data)
            return blob_id.hex()

        for data in blobs:
            put(Kind.DATA, data)
        ids = [put(Kind.TREE, plain) for plain in tree.encode(entries)]
        for part in reversed(folder.parts[1:]):
            ids = [
                put(Kind.TREE, tree.encode([Entry(name=part, type="dir", mode=0o700, mtime=0, ctime=0, tree=ids)])[0])
            ]
        packer.finish()
        made = Snapshot(
            sequence=1 + max((s.snapshot.sequence for s in repository.snapshots().readable), default=0),
            time=snapshot.format_time(drive.calendar.next_day()),
            host="forger",
            machine=MACHINE,
            sources=(str(folder),),
            root=tuple(ids),
            counts=Counts(files=len(entries), dirs=1, others=0, bytes=0),
        )
        made = msgspec.structs.replace(made, **members)
        name, sealed = snapshot.seal(made, repository.keys, drive.dice(32))
        write_file(repository.store, snapshot_path(name), sealed)
        return name
