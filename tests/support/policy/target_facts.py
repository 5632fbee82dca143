"""An enrolled-looking drive, a folder of this computer, and what clouds they may be in.

Owns: facts that tests vary by one field. Does not know: verdicts.
"""

from dataclasses import replace

from kinebackup.policy.target_facts import CloudMatch, DeviceFacts, TargetFacts

USB = DeviceFacts(
    number="8:17",
    node="/dev/sdb1",
    disks=("sdb",),
    usb=True,
    networked=False,
    removable=False,
    read_only=False,
    size_bytes=1_000,
    filesystem_uuid="6f1c",
    partition_uuid="0a1b",
    label="CABINET",
    serial="57",
    model="WD Elements",
    disk_sequence=17,
)
DRIVE = TargetFacts(
    requested="/media/kine/CABINET",
    path="/media/kine/CABINET",
    aliases=(),
    exists=True,
    is_directory=True,
    top_level=(),
    repository="absent",
    mount_point="/media/kine/CABINET",
    mount_kind="disk",
    filesystem="ext4",
    mount_source="/dev/sdb1",
    read_only=False,
    on_system_disk=False,
    device=USB,
    cloud=None,
    unclear=(),
    free_bytes=900,
    total_bytes=1_000,
)
FOLDER = replace(
    DRIVE,
    requested="/srv/essai",
    path="/srv/essai",
    mount_point="/",
    mount_source="/dev/sda2",
    on_system_disk=True,
    device=replace(USB, usb=False, disks=("sda",)),
)
DROPBOX = CloudMatch("Dropbox", "cloud", "/home/kine/Dropbox", "/home/kine/.dropbox/info.json", certain=True)
INSYNC = CloudMatch("Insync", "cloud", "/home/kine", "/home/kine/.config/Insync", certain=False)
NAS = CloudMatch("SMB", "network", "/mnt/nas", "cifs //nas/share", certain=True)
