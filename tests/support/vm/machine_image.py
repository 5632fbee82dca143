"""The virtual machine's disk: Debian with systemd, udev, udisks and a person who is no administrator.

Owns: what is in it, building it once, and finding it again. Does not know: KineBackup, which the tests install there.

It is built from the package sources of the computer that runs the tests, and kept in a cache under a name made of all
that goes into it.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from support.packaging.package_sources import codename, package_sources

PACKAGES: Final = (
    *("linux-image-amd64", "kmod", "systemd", "systemd-sysv", "libpam-systemd", "udev", "dbus", "tzdata", "procps"),
    *("udisks2", "polkitd", "python3", "util-linux", "mount", "fdisk", "sqlite3", "psmisc"),
    *("e2fsprogs", "dosfstools", "exfatprogs", "cryptsetup"),
    "?name(^libblockdev-crypto[0-9]+$)",  # lets udisks unlock; its name has a number that differs between releases
)
_LEFT_OUT: Final = (
    *("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*", "/usr/share/info/*"),
    *(f"/lib/modules/*/kernel/{part}/*" for part in ("drivers/gpu", "drivers/media", "drivers/net", "sound")),
)
_SIZE: Final = "3G"  # sparse; the practice's files and KineBackup come on top of half a gigabyte
_KEPT: Final = 2  # of each: this one, and that of another branch

PERSON: Final = "marie"

_AGENT: Final = Path(__file__).with_name("guest_agent.py")
_AGENT_UNIT: Final = """\
[Unit]
Description=what the tests ask for
[Service]
ExecStart=/usr/bin/python3 -u /usr/local/lib/guest_agent.py
Restart=always
[Install]
WantedBy=multi-user.target
"""
# The person sits at the desktop: polkit lets her mount drives. There is no desktop here, so a rule says so.
_AT_THE_DESKTOP: Final = f"""\
polkit.addRule(function (action, subject) {{
    if (subject.user == "{PERSON}" && action.id.indexOf("org.freedesktop.udisks2.") == 0) return polkit.Result.YES;
}});
"""
_INITRAMFS: Final = "MODULES=list\nCOMPRESS=lz4\n"
_MODULES: Final = "virtio_pci\nvirtio_blk\next4\ncrc32c\n"


@dataclass(frozen=True, slots=True)
class Image:
    """A bootable system: its disk is never written to, machines lay their own on top."""

    disk: Path
    kernel: Path
    initrd: Path


def find_or_build() -> Image:
    """The image, from the cache if nothing that goes into it has changed."""
    directory = cache_directory() / f"image-{_fingerprint()}"
    if not directory.is_dir():
        _build(directory)
    directory.touch()
    forget_old("image-*")
    return Image(directory / "disk.img", directory / "vmlinuz", directory / "initrd.img")


def with_package(image: Image, package: Path) -> Image:
    """The same with a Debian package installed: natively, which takes seconds instead of minutes."""
    digest = hashlib.sha256(str(image.disk.parent).encode() + package.read_bytes()).hexdigest()[:16]
    disk = cache_directory() / f"installed-{digest}.img"
    if not disk.exists():
        building = disk.with_suffix(f".{os.getpid()}")
        _run("cp", "--sparse=always", str(image.disk), str(building))
        with tempfile.TemporaryDirectory(prefix="disk-") as where:
            _run("mount", "-o", "loop", str(building), where)
            try:
                shutil.copyfile(package, Path(where) / "root/kinebackup.deb")
                _run("chroot", where, "dpkg", "--install", "/root/kinebackup.deb")
            finally:
                _run("umount", where)
        for laid_on_an_earlier_one in cache_directory().glob(f"ready-{disk.stem}-*"):
            shutil.rmtree(laid_on_an_earlier_one)
        building.rename(disk)
    disk.touch()
    forget_old("installed-*.img")
    return Image(disk, image.kernel, image.initrd)


def forget_old(pattern: str) -> None:
    """Of what the cache holds under names like this, the newest two stay."""
    found = sorted(cache_directory().glob(pattern), key=lambda each: each.stat().st_mtime)
    for old in found[:-_KEPT]:
        shutil.rmtree(old) if old.is_dir() else old.unlink()


def cache_directory() -> Path:
    """Where images and packages of earlier runs are."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "kinebackup-vm"


def _fingerprint() -> str:
    parts = (codename(), Path(__file__).read_text("utf-8"), _AGENT.read_text("utf-8"))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def _build(directory: Path) -> None:
    directory.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=directory.parent, prefix="building-") as temporary:
        place = Path(temporary)
        root, made = place / "root", place / "made"
        made.mkdir()
        _bootstrap(root)
        _settle(root)
        for name in ("vmlinuz", "initrd.img"):
            (found,) = (root / "boot").glob(f"{name}-*")
            shutil.copyfile(found, made / name)
        _run("truncate", "--size", _SIZE, str(made / "disk.img"))
        _run("mke2fs", "-q", "-t", "ext4", "-d", str(root), str(made / "disk.img"))
        made.rename(directory)


def _bootstrap(root: Path) -> None:
    left_out = [f"--dpkgopt=path-exclude={pattern}" for pattern in _LEFT_OUT]
    # Before the kernel is installed, so that the right initial file system is made, and only once.
    folders = 'mkdir -p "$1/etc/initramfs-tools/conf.d" "$1/usr/share/initramfs-tools/modules.d"'
    write = (
        f'printf "{_INITRAMFS!r}" > "$1/etc/initramfs-tools/conf.d/vm"; '
        f'printf "{_MODULES!r}" > "$1/usr/share/initramfs-tools/modules.d/vm"'
    ).replace("'", "")
    _run(
        "mmdebstrap",
        "--quiet",
        "--variant=apt",
        "--mode=root",
        "--format=directory",
        f"--include={','.join(PACKAGES)}",
        *left_out,
        f"--setup-hook={folders}; {write}",
        codename(),
        str(root),
        "-",
        given=package_sources(),
    )


def _settle(root: Path) -> None:
    _run("chroot", str(root), "useradd", "--create-home", "--shell", "/bin/bash", PERSON)
    _write(root / "usr/local/lib/guest_agent.py", _AGENT.read_text("utf-8"))
    _write(root / "etc/systemd/system/guest-agent.service", _AGENT_UNIT)
    _write(root / "etc/polkit-1/rules.d/49-at-the-desktop.rules", _AT_THE_DESKTOP)
    _write(root / "etc/hostname", "cabinet\n")
    _write(root / "etc/hosts", "127.0.0.1 localhost cabinet\n")
    _write(root / "etc/fstab", "/dev/vda / ext4 errors=remount-ro 0 1\n")
    (root / "etc/localtime").unlink(missing_ok=True)
    (root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe/Paris")
    (root / "var/log/journal").mkdir(exist_ok=True)
    _run("systemctl", f"--root={root}", "--quiet", "enable", "guest-agent.service")
    tired = (
        "apt-daily.timer",
        "apt-daily-upgrade.timer",
        "e2scrub_all.timer",
        "fstrim.timer",
        "dpkg-db-backup.timer",
        "e2scrub_reap.service",
    )
    _run("systemctl", f"--root={root}", "--quiet", "mask", *tired, "getty@.service", "serial-getty@.service")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _run(*command: str, given: str = "") -> None:
    done = subprocess.run(command, input=given, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")
