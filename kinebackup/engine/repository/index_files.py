"""Bringing the index of a repository back in step with what is on the drive.

Owns: forgetting packs that are gone, and index files that cannot be read. Does not know: how it came to that, or how
lost content is saved again (the next backup does that by itself: what is in no sound pack counts as unknown).
"""

from collections.abc import Sequence

from kinebackup.engine.format.index import merge
from kinebackup.engine.format.keyring import Entropy
from kinebackup.engine.repository.committer import write_index
from kinebackup.engine.repository.repository import Repository
from kinebackup.model import Problem


def forget_lost_files(repository: Repository, load_problems: Sequence[Problem], entropy: Entropy) -> None:
    """After a backup: list only packs that are there, and drop index files that ``Repository.load`` found damaged.

    Nothing is lost by it: a pack that turns up again is known by its own table, and so is everything that a damaged
    index file listed. The caller holds the writer lock, and the run has listed all packs that no index file listed
    before.
    """
    bad = {problem.path for problem in load_problems if problem.path.startswith("index/")}
    gone = [problem for problem in load_problems if problem.kind == "missing" and problem.path.startswith("packs/")]
    if gone and not repository.hidden_folders:  # a folder that cannot be listed may hold them
        bad |= {f"index/{name}" for name in repository.list_names("index")}
        for plain in merge(repository.index.tables, repository.present):
            bad.discard(f"index/{write_index(repository, plain, entropy)}")
        for problem in gone:
            repository.store.remove(f"damaged/{problem.path.rpartition('/')[2]}")
    for path in bad:
        repository.store.remove(path)
    if bad:
        repository.store.sync_directories(["index"])
