"""The two places at which a restore sets attributes.

Owns: the system calls, which never follow a link. Does not know: which attributes there are (``engine/metadata.py``).
"""

import base64
import os
from dataclasses import dataclass


@dataclass(slots=True, eq=False)
class Opened:
    """An open file or directory."""

    fd: int

    def chown(self, uid: int, gid: int) -> None:
        os.fchown(self.fd, uid, gid)

    def chmod(self, mode: int) -> None:
        os.fchmod(self.fd, mode)

    def set_mtime(self, mtime_ns: int) -> None:
        os.utime(self.fd, ns=(mtime_ns, mtime_ns))

    def set_xattr(self, name: str, text: str) -> None:
        os.setxattr(self.fd, name, base64.b64decode(text))


@dataclass(slots=True, eq=False)
class Named:
    """A name in an open directory; a link is not followed."""

    directory: int
    name: str

    def chown(self, uid: int, gid: int) -> None:
        os.chown(self.name, uid, gid, dir_fd=self.directory, follow_symlinks=False)

    def chmod(self, mode: int) -> None:
        os.chmod(self.name, mode, dir_fd=self.directory)

    def set_mtime(self, mtime_ns: int) -> None:
        os.utime(self.name, ns=(mtime_ns, mtime_ns), dir_fd=self.directory, follow_symlinks=False)

    def set_xattr(self, name: str, text: str) -> None:
        path = f"/proc/self/fd/{self.directory}/{self.name}"
        os.setxattr(path, name, base64.b64decode(text), follow_symlinks=False)


Place = Opened | Named
