"""Build the Debian package (``make deb``): ``dist/kinebackup_VERSION_amd64.deb``.

Owns: what lies where in the package. Does not know: which libraries come along (wheels.py), or what is done on the
computer where it is installed (packaging/postinst and its siblings).

Two builds of the same files make the same bytes: names sorted, owners, rights and times set here, one time for all.
"""

import argparse
import gzip
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from kinebackup import __version__
from tools import wheels

ROOT = Path(__file__).parent.parent
HOME = "opt/kinebackup"
_DOC = "usr/share/doc/kinebackup"
_SCRIPTS = ("postinst", "prerm", "postrm")
_SHELLS = {
    "bash": "usr/share/bash-completion/completions/kinebackup",
    "zsh": "usr/share/zsh/vendor-completions/_kinebackup",
    "fish": "usr/share/fish/vendor_completions.d/kinebackup.fish",
}
_EXECUTABLE = frozenset({"usr/bin/kinebackup", *(f"DEBIAN/{script}" for script in _SCRIPTS)})
_MAINTAINER = "KineBackup maintainers <maintainers@kinebackup.invalid>"


@dataclass(frozen=True, slots=True)
class Piece:
    """One file of the project and where it goes."""

    source: str
    target: str
    packed: bool = False  # by gzip, as Debian's policy asks for (12.1, 12.3)


PIECES = (
    Piece("packaging/kinebackup", "usr/bin/kinebackup"),
    Piece("systemd/kinebackup.service", "usr/lib/systemd/system/kinebackup.service"),
    Piece("systemd/kinebackup-agent.service", "usr/lib/systemd/user/kinebackup-agent.service"),
    Piece("systemd/kinebackup-agent.desktop", "etc/xdg/autostart/kinebackup-agent.desktop"),
    Piece("systemd/org.kinebackup.Daemon1.conf", "usr/share/dbus-1/system.d/org.kinebackup.Daemon1.conf"),
    Piece("systemd/org.kinebackup.policy", "usr/share/polkit-1/actions/org.kinebackup.policy"),
    Piece("docs/man/kinebackup.1", "usr/share/man/man1/kinebackup.1.gz", packed=True),
    Piece("packaging/copyright", f"{_DOC}/copyright"),
    Piece("README.md", f"{_DOC}/README.md"),
    Piece("config.example.toml", f"{_DOC}/config.example.toml"),
    Piece("docs/FORMAT.md", f"{_DOC}/FORMAT.md.gz", packed=True),
    Piece("CHANGELOG.md", f"{_DOC}/changelog.gz", packed=True),
)


def build(target: Path, version: str, epoch: int) -> Path:
    """Build the package into the folder ``target``; returns its file. ``epoch``: the time of all its files, in s."""
    tree = ROOT / "build" / f"deb-{os.getpid()}"
    shutil.rmtree(tree, ignore_errors=True)
    try:
        _fill(tree, version, epoch)
        target.mkdir(parents=True, exist_ok=True)
        package = target / f"kinebackup_{version}_amd64.deb"
        _pack(tree, package, epoch)
        return package
    finally:
        shutil.rmtree(tree, ignore_errors=True)


def _fill(tree: Path, version: str, epoch: int) -> None:
    for piece in PIECES:
        _write(tree / piece.target, (ROOT / piece.source).read_bytes(), packed=piece.packed)
    for shell, path in _SHELLS.items():
        _write(tree / path, _completion(shell))
    _write(tree / _DOC / "changelog.Debian.gz", _debian_changelog(version, epoch), packed=True)
    _environment(tree / HOME)
    _control(tree, version)


def _write(target: Path, data: bytes, *, packed: bool = False) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(gzip.compress(data, mtime=0) if packed else data)


def _environment(home: Path) -> None:
    """A virtual environment for each of the Pythons at once, and in ``lib/shared`` what runs on all of them.

    The interpreter is the computer's own, by a link: it takes ``lib/pythonX.Y/site-packages`` of the version it is.
    """
    _write(home / "pyvenv.cfg", b"home = /usr/bin\ninclude-system-site-packages = false\n")
    shared = home / "lib" / "shared"
    shutil.copytree(ROOT / "kinebackup", shared / "kinebackup", ignore=shutil.ignore_patterns("__pycache__", "*.po"))
    for python in wheels.PYTHONS:
        _write(_site(home, python) / "shared.pth", b"../../shared\n")
    for wheel in wheels.fetch():
        with zipfile.ZipFile(wheel.path) as archive:
            archive.extractall(_site(home, wheel.python) if wheel.python else shared)
    (home / "bin").mkdir()
    for name in ("python3", *(f"python{python}" for python in wheels.PYTHONS)):
        (home / "bin" / name).symlink_to(f"/usr/bin/{name}")


def _site(home: Path, python: str) -> Path:
    return home / "lib" / f"python{python}" / "site-packages"


def _completion(shell: str) -> bytes:
    command = [sys.executable, "-m", "kinebackup", "completion", shell]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603 - this project's program


def _debian_changelog(version: str, epoch: int) -> bytes:
    when = format_datetime(datetime.fromtimestamp(epoch, UTC))
    stanza = f"kinebackup ({version}) stable; urgency=medium\n\n  * See changelog.gz.\n\n -- {_MAINTAINER}  {when}\n"
    return stanza.encode()


def _control(tree: Path, version: str) -> None:
    control = tree / "DEBIAN"
    size_kib = sum((path.lstat().st_size + 1023) // 1024 for path in _files(tree))
    text = (ROOT / "packaging" / "control").read_text("utf-8")
    fields = {"@VERSION@": version, "@SIZE@": str(size_kib), "@MAINTAINER@": _MAINTAINER}
    for sign, value in fields.items():
        text = text.replace(sign, value)
    settings = sorted(f"/{path.relative_to(tree)}\n" for path in _files(tree / "etc"))
    _write(control / "md5sums", _md5sums(tree))
    _write(control / "control", text.encode())
    _write(control / "conffiles", "".join(settings).encode())
    _write(control / "triggers", (ROOT / "packaging" / "triggers").read_bytes())
    for script in _SCRIPTS:
        _write(control / script, (ROOT / "packaging" / script).read_bytes())


def _md5sums(tree: Path) -> bytes:
    """For ``dpkg --verify``, which knows no other digest: it finds accidents, not forgers."""
    names = [f"{path.relative_to(tree)}" for path in _files(tree) if not path.is_relative_to(tree / "etc")]
    return subprocess.run(["/usr/bin/md5sum", *names], cwd=tree, stdout=subprocess.PIPE, check=True).stdout  # noqa: S603


def _files(tree: Path) -> Iterator[Path]:
    return (
        path
        for path in sorted(tree.rglob("*"))
        if path.is_file() and not path.is_symlink() and "DEBIAN" not in path.parts
    )


def _pack(tree: Path, package: Path, epoch: int) -> None:
    for path in (tree, *tree.rglob("*")):
        os.utime(path, (epoch, epoch), follow_symlinks=False)
        if path.is_symlink():
            continue
        executable = path.is_dir() or str(path.relative_to(tree)) in _EXECUTABLE
        path.chmod(0o755 if executable else 0o644)
    # One thread: with more of them, xz cuts the file into other blocks.
    command = ["dpkg-deb", "--build", "--root-owner-group", "-Zxz", "--threads-max=1", str(tree), str(package)]
    subprocess.run(  # noqa: S603 - dpkg-deb on the tree that was made above
        command, env=os.environ | {"SOURCE_DATE_EPOCH": str(epoch)}, stdout=subprocess.DEVNULL, check=True
    )


def _time_of_sources() -> int:
    """What the caller wishes (reproducible-builds.org), else the time of the last commit."""
    if wished := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(wished)
    command = ["git", "-C", str(ROOT), "log", "-1", "--format=%ct"]
    return int(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)  # noqa: S603


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "dist", help="the folder to put the package into")
    parser.add_argument("--debian-version", default=__version__, help="another version, to try an upgrade")
    arguments = parser.parse_args()
    package = build(arguments.output, arguments.debian_version, _time_of_sources())
    sys.stdout.write(f"{package}\n")


if __name__ == "__main__":
    main()
