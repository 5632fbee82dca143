"""A folder that stands in the place of a file of the repository makes way for it.

Owns: how, and the name that it gets. Does not know: which file it is, or what is told.
"""

import errno
import os
from typing import Final

SET_ASIDE: Final = ".set-aside"
"""How the name ends that such a folder gets. It is none of the format, so readers pass over it."""


def make_way(directory: int, name: str) -> None:
    """Remove the folder where it is empty. What may be somebody's own is never deleted: it stays beside, renamed.

    ``directory``: an open one. Raises ``OSError``.
    """
    try:
        os.rmdir(name, dir_fd=directory)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        os.rename(name, f"{name}.{os.urandom(4).hex()}{SET_ASIDE}", src_dir_fd=directory, dst_dir_fd=directory)
