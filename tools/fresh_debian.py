"""``make test`` and ``make demo`` on a Debian that has nothing of ours: what a contributor meets on the first day.

Owns: building the Debian in a folder, with ``git make python3-venv`` and no more; its /tmp, which is 2 GB of memory as
Debian 13 has it; running there, as root. Does not know: what is tested.

The folder is a plain chroot: its ``/`` is no mount point. pip is told what it is told here, so that it finds the
packages where this computer finds them.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from support.packaging.package_sources import main_archive

ROOT = Path(__file__).resolve().parent.parent
TMP_SIZE = "2G"
_PACKAGES = "git,make,python3-venv"
_WORK = "/srv/kinebackup"
# Nothing of it outlives the namespace: the kernel unmounts all of it, and ends what still runs.
_ENTER = f"""
root=$1; shift
for name in proc sys dev; do mkdir -p "$root/$name"; done
mount -t proc proc "$root/proc"
mount -t sysfs -o ro sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o size={TMP_SIZE},mode=1777 tmpfs "$root/tmp"
for path in $BORROWED; do
    if [ -d "$path" ]; then mkdir -p "$root$path"; else mkdir -p "$root${{path%/*}}"; touch "$root$path"; fi
    mount --bind "$path" "$root$path"
done
unset BORROWED
chroot "$root" sh -euc "cd {_WORK}; $*" && ended=0 || ended=$?
df --human-readable --output=used,size "$root/tmp" | sed 's/^/left in \\/tmp: /' >&2
exit $ended
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("suite", help="trixie (Debian 13), bookworm (12), testing …")
    parser.add_argument("--run", default="make test && make demo", help="the commands to run there")
    parser.add_argument("--limit-s", type=int, default=1800, help="end them after so many seconds")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="kinebackup-fresh-", dir="/var/tmp") as folder:
        build(Path(folder), chosen.suite)
        copy_work(Path(folder))
        return run(Path(folder), chosen.run, limit_s=chosen.limit_s)


def build(folder: Path, suite: str) -> None:
    """Install that Debian. One whose lists have expired is no worse for this."""
    options = ["--quiet", "--variant=minbase", "--aptopt=Acquire::Check-Valid-Until false", f"--include={_PACKAGES}"]
    subprocess.run(  # noqa: S603 - fixed arguments, and the suite that the contributor named
        ["/usr/bin/mmdebstrap", *options, "--skip=output/dev", suite, str(folder), "-"],
        input=main_archive(suite),
        text=True,
        check=True,
    )


def copy_work(folder: Path) -> None:
    """What git knows of, and what is new: as a clone would be if all were committed."""
    listed = ["/usr/bin/git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, check=True, capture_output=True).stdout  # noqa: S603 - fixed arguments
    there = folder / _WORK.lstrip("/")
    there.mkdir(parents=True)
    pack = ["/usr/bin/tar", "-C", str(ROOT), "--null", "--files-from=-", "--ignore-failed-read", "-c"]
    packed = subprocess.run(pack, input=names, check=True, capture_output=True).stdout  # noqa: S603 - as above
    subprocess.run(["/usr/bin/tar", "-C", str(there), "-x"], input=packed, check=True)  # noqa: S603 - as above


def run(folder: Path, commands: str, *, limit_s: int) -> int:
    """Run them there, in mounts and processes of their own. 124 where the time was up, as timeout(1) has it."""
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_") or name.endswith(_NETWORK)}
    settings = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LC_ALL": "C.UTF-8",
        "BORROWED": " ".join(_borrowed(pip)),
    }
    enter = ["/usr/bin/unshare", "--mount", "--pid", "--fork", "--kill-child", "--propagation=private"]
    command = ["/usr/bin/timeout", str(limit_s), *enter, "/bin/sh", "-euc", _ENTER, "sh", str(folder), commands]
    return subprocess.run(command, env=pip | settings, check=False, stdin=subprocess.DEVNULL).returncode  # noqa: S603


# Names of settings by which programs reach the network: http_proxy, SSL_CERT_FILE, …
_NETWORK = ("_proxy", "_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


def _borrowed(settings: dict[str, str]) -> list[str]:
    """Files of this computer that the network needs, and those that pip's own settings name."""
    named = [word for value in settings.values() for word in value.split() if word.startswith("/")]
    usual = ["/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs", "/etc/pip.conf", "/etc/xdg/pip", "/root/.config/pip"]
    found = dict.fromkeys(path for path in (*usual, *named) if os.path.exists(path))
    # One that lies in another of them comes with it.
    return [path for path in found if not any(path.startswith(f"{other}/") for other in found)]


if __name__ == "__main__":
    sys.exit(main())
