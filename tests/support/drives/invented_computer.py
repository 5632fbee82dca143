"""A computer made of real files, for the tests of drives/.

Owns: the fake /proc, /sys, /dev, /etc and homes. Does not know: what is expected of them.
"""

from dataclasses import dataclass, field
from pathlib import Path

from kinebackup.drives.system import System

ROOT_MOUNT = "20 1 8:2 / / rw,relatime shared:1 - ext4 /dev/sda2 rw"
USB_PATH = "devices/pci0000:00/0000:00:14.0/usb2/2-1/2-1:1.0/host6/target6:0:0/6:0:0:0/block/sdb"
SATA_PATH = "devices/pci0000:00/0000:00:17.0/ata1/host0/target0:0:0/0:0:0:0/block/sda"


@dataclass
class InventedComputer:
    """A practice PC: /dev/sda2 on SATA is the root, the user kine has a home, and nothing else is there."""

    root: Path
    mounts: list[str] = field(default_factory=lambda: [ROOT_MOUNT])

    @property
    def system(self) -> System:
        return System(str(self.root))

    def file(self, path: str, text: str = "") -> Path:
        place = self.directory(str(Path(path).parent)) / Path(path).name
        place.write_text(text)
        return place

    def directory(self, path: str) -> Path:
        place = self.root / path.lstrip("/")
        place.mkdir(parents=True, exist_ok=True)
        return place

    def link(self, path: str, target: str) -> None:
        place = self.directory(str(Path(path).parent)) / Path(path).name
        place.symlink_to(target)

    def mount(self, *lines: str) -> None:
        self.mounts += lines
        self.file("/proc/self/mountinfo", "".join(f"{line}\n" for line in self.mounts))
        for line in lines:
            self.directory(line.split()[4].replace("\\040", " "))

    def add_disk(self, path: str, number: str, *, partition: str, partition_number: str, usb: bool = False) -> None:
        """A disk with one partition, at this path of /sys; ``usb`` gives the ancestors that a USB bridge has."""
        self.file(f"/sys/{path}/size", "3907029168\n")
        self.file(f"/sys/{path}/removable", "0\n")
        self.file(f"/sys/{path}/ro", "0\n")
        self.file(f"/sys/{path}/dev", f"{number}\n")
        self.file(f"/sys/{path}/diskseq", "17\n")
        self.file(f"/sys/{path}/uevent", f"DEVNAME={Path(path).name}\nDEVTYPE=disk\n")
        self.file(f"/sys/{path}/{partition}/partition", "1\n")
        self.file(f"/sys/{path}/{partition}/size", "3907026944\n")
        self.file(f"/sys/{path}/{partition}/ro", "0\n")
        self.file(f"/sys/{path}/{partition}/dev", f"{partition_number}\n")
        self.file(f"/sys/{path}/{partition}/uevent", f"DEVNAME={partition}\nDEVTYPE=partition\n")
        self.link(f"/sys/dev/block/{number}", f"../../{path}")
        self.link(f"/sys/dev/block/{partition_number}", f"../../{path}/{partition}")
        self.link(f"/sys/class/block/{Path(path).name}", f"../../{path}")
        self.link(f"/sys/class/block/{partition}", f"../../{path}/{partition}")
        self.file(f"/dev/{partition}")
        self.file(f"/dev/{Path(path).name}")
        if usb:
            interface = path.split("/host")[0]
            self.link(f"/sys/{interface}/subsystem", "/sys/bus/usb")
            self.link(f"/sys/{Path(interface).parent}/subsystem", "/sys/bus/usb")
            self.file(f"/sys/{Path(interface).parent}/serial", "575834314435\n")
            self.link(f"/sys/{path}/device", "../..")
            self.file(f"/sys/{path}/device/vendor", "WD      \n")
            self.file(f"/sys/{path}/device/model", "Elements 2621   \n")

    def plug_in_usb(self, mount_point: str = "/media/kine/CABINET", *, options: str = "rw,nosuid,nodev") -> None:
        self.add_disk(USB_PATH, "8:16", partition="sdb1", partition_number="8:17", usb=True)
        escaped = mount_point.replace(" ", "\\040")
        self.mount(f"40 20 8:17 / {escaped} {options} shared:9 - ext4 /dev/sdb1 rw")

    def add_user(self, line: str) -> None:
        place = self.root / "etc/passwd"
        place.write_text(f"{place.read_text()}{line}\n")
        self.directory(line.split(":")[5])


def practice_computer(tmp_path: Path) -> InventedComputer:
    computer = InventedComputer(tmp_path / "computer")
    computer.file("/etc/passwd", "root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n")
    computer.directory("/root")
    computer.add_user("kine:x:1000:1000:Kine,,,:/home/kine:/bin/bash")
    computer.add_disk(SATA_PATH, "8:0", partition="sda2", partition_number="8:2")
    computer.mount()
    return computer
