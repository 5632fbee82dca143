"""The places at which a restore sets attributes.

Owns: the system calls, which never follow a link. Does not know: which attributes there are (``engine/metadata.py``).
"""

import base64
import errno
import os
from typing import Final

import msgspec

ACL: Final = "system.posix_acl_access"
DEFAULT_ACL: Final = "system.posix_acl_default"
_ABSENT: Final = frozenset({errno.ENODATA, errno.EOPNOTSUPP})


class Opened(msgspec.Struct, eq=False):
    """An open file or directory. ``inherits_acl``: the folder it was made in gives what is made there a list."""

    fd: int
    inherits_acl: bool = False

    def owner(self) -> tuple[int, int]:
        stat = os.fstat(self.fd)
        return stat.st_uid, stat.st_gid

    def chown(self, uid: int, gid: int) -> None:
        os.fchown(self.fd, uid, gid)

    def chmod(self, mode: int) -> None:
        os.fchmod(self.fd, mode)

    def set_mtime(self, mtime_ns: int) -> None:
        os.utime(self.fd, ns=(mtime_ns, mtime_ns))

    def set_xattr(self, name: str, text: str) -> None:
        os.setxattr(self.fd, name, base64.b64decode(text))

    def remove_xattr(self, name: str) -> None:
        """It need not be there."""
        remove_xattr(self.fd, name)


class Node(Opened):
    """A fifo or a device, held without being opened (O_PATH): what has its name meanwhile does not matter."""

    @property
    def _path(self) -> str:
        return f"/proc/self/fd/{self.fd}"

    def chown(self, uid: int, gid: int) -> None:
        os.chown(self._path, uid, gid)

    def chmod(self, mode: int) -> None:
        os.chmod(self._path, mode)

    def set_mtime(self, mtime_ns: int) -> None:
        os.utime(self._path, ns=(mtime_ns, mtime_ns))

    def set_xattr(self, name: str, text: str) -> None:
        os.setxattr(self._path, name, base64.b64decode(text))

    def remove_xattr(self, name: str) -> None:
        remove_xattr(self._path, name)


class Link(msgspec.Struct, eq=False):
    """A symbolic link, which has no mode: a name in an open directory."""

    directory: int
    name: str

    def chown(self, uid: int, gid: int) -> None:
        os.chown(self.name, uid, gid, dir_fd=self.directory, follow_symlinks=False)

    def set_mtime(self, mtime_ns: int) -> None:
        os.utime(self.name, ns=(mtime_ns, mtime_ns), dir_fd=self.directory, follow_symlinks=False)

    def set_xattr(self, name: str, text: str) -> None:
        path = f"/proc/self/fd/{self.directory}/{self.name}"
        os.setxattr(path, name, base64.b64decode(text), follow_symlinks=False)


Place = Opened | Link


def remove_xattr(where: int | str, name: str) -> None:
    """Of an open file or a path; it need not be there. Raises ``OSError``."""
    try:
        os.removexattr(where, name)
    except OSError as error:
        if error.errno not in _ABSENT:
            raise


def has_default_acl(fd: int) -> bool:
    """Whether what is made in an open directory gets an access control list from it."""
    try:
        return bool(os.getxattr(fd, DEFAULT_ACL))
    except OSError:
        return False
