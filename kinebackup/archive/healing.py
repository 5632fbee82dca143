"""Bringing the index of a repository back in step with what is on the drive.

Owns: forgetting packs that are gone, and index files that cannot be read. Does not know: how it came to that, or how lost
content is saved again (the next backup does that by itself: what is in no sound pack counts as unknown).
"""

from kinebackup.archive.committer import write_index
from kinebackup.archive.index import merge
from kinebackup.archive.keyring import Entropy
from kinebackup.archive.repository import Repository
from kinebackup.errors import Damaged, NotFound


def forget_lost_files(repository: Repository, entropy: Entropy) -> bool:
    """After a backup: list only packs that are there, and drop index files that are damaged; whether there was any.

    Nothing is lost by it: a pack that turns up again is known by its own table, and so is everything that a damaged index
    file listed. The caller holds the writer lock, and the run has listed all packs that no index file listed before.
    """
    bad = [name for name in repository.list_names("index") if not _is_readable(repository, name)]
    listed = {pack.name for table in repository.index.tables for pack in table.packs}
    gone = listed - repository.present.keys()
    if not bad and not gone:
        return False
    old = repository.list_names("index")
    written = {write_index(repository, plain, entropy) for plain in merge(repository.index.tables, repository.present)}
    for name in old:
        if name not in written:
            repository.store.remove(f"index/{name}")
    repository.store.sync_directories(["index"])
    return True


def _is_readable(repository: Repository, name: str) -> bool:
    from kinebackup.model import FileName

    try:
        repository.read_index_file(FileName(name))
    except (Damaged, NotFound):
        return False
    return True
