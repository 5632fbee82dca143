"""A freshly installed Debian in a folder, to try the package on.

Owns: making one, and running commands in it, without any network. Does not know: the package.
"""

import subprocess
from dataclasses import dataclass
from pathlib import Path

from support.packaging.package_sources import main_archive

# All that the package needs is there already, so that nothing need be downloaded to install it.
_INCLUDED = "apt,python3,udev,dbus,fdisk,mount,tzdata,e2fsprogs,systemd"
_ENTER = """
root=$1; shift
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
exec chroot "$root" "$@"
"""


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said on both streams."""

    code: int
    said: str


@dataclass(frozen=True, slots=True)
class FreshDebian:
    """``root`` is the folder that is its ``/``."""

    root: Path

    def run(self, *command: str | Path, **environment: str) -> Ended:
        """Run a command there as root, with mounts and network devices of its own: none that leads anywhere."""
        settings = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
        # The computer of the tests has a proxy or not; this one has no network at all.
        done = subprocess.run(
            ["unshare", "--mount", "--net", "--propagation=private", "sh", "-euc", _ENTER, "sh", self.root, *command],
            env=settings | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return Ended(done.returncode, done.stdout)

    def must(self, *command: str | Path) -> str:
        """The same for a command that must succeed; returns what it said."""
        done = self.run(*command)
        assert done.code == 0, done.said
        return done.said

    def path(self, inside: str) -> Path:
        """Where a file of that computer lies on this one."""
        return self.root / inside.lstrip("/")

    def write(self, inside: str, text: str = "") -> None:
        """Put a file there."""
        self.path(inside).parent.mkdir(parents=True, exist_ok=True)
        self.path(inside).write_text(text, "utf-8")

    def install(self, package: Path) -> str:
        """As the practice does: ``apt install ./kinebackup_….deb``."""
        self.path("/srv").joinpath(package.name).write_bytes(package.read_bytes())
        return self.must("apt-get", "install", "--yes", "--no-install-recommends", f"/srv/{package.name}")


def make_debian(folder: Path, suite: str) -> FreshDebian:
    """Install a small Debian into ``folder``, from where this computer has its own packages."""
    subprocess.run(
        ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={_INCLUDED}", suite, folder, "-"],
        input=main_archive(suite),
        text=True,
        check=True,
    )
    return FreshDebian(folder)
