"""Folders of another computer: no clouds, but no offline copy either.

Owns: how they are mounted. Does not know: who runs the other computer.
"""

import re
from typing import Final

from kinebackup.drives.clouds.description import CloudService

SERVICES: Final = (
    CloudService("sshfs", "network", frozenset({"fuse.sshfs"})),
    CloudService(
        "SMB", "network", frozenset({"cifs", "smb3", "smbfs", "fuse.smbnetfs", "fuse.smb"}), re.compile(r"//[^/]")
    ),
    CloudService(
        "NFS",
        "network",
        frozenset({"nfs", "nfs4", "fuse.fuse-nfs"}),
        re.compile(r"([\w.@-]+|\[[0-9a-fA-F:]+\]):/(?!/)"),  # host:/export; a URL has two slashes
    ),
    CloudService("AFP", "network", frozenset({"fuse.afpfs", "afpfs", "fuse.afpfs-ng"})),
    CloudService("AFS", "network", frozenset({"afs", "openafs"})),
    CloudService("9p", "network", frozenset({"9p", "fuse.9pfs"})),
    CloudService("Ceph", "network", frozenset({"ceph", "fuse.ceph", "fuse.ceph-fuse"})),
    CloudService("GlusterFS", "network", frozenset({"fuse.glusterfs", "glusterfs"})),
    CloudService("Lustre", "network", frozenset({"lustre"})),
    CloudService("OCFS2, GFS2, GPFS", "network", frozenset({"gfs2", "gpfs", "ocfs2"})),
    CloudService("OrangeFS", "network", frozenset({"orangefs", "pvfs2"})),
    CloudService("Coda, NCP", "network", frozenset({"coda", "ncpfs"})),
    CloudService("FTP", "network", frozenset({"fuse.curlftpfs"})),
    CloudService("IPFS", "network", frozenset({"fuse.ipfs"})),
    CloudService(
        "VirtualBox, VMware, Parallels", "network", frozenset({"vboxsf", "fuse.vmhgfs-fuse", "vmhgfs", "prl_fs"})
    ),
    CloudService("MTP", "network", frozenset({"fuse.jmtpfs", "fuse.simple-mtpfs", "fuse.go-mtpfs", "fuse.ifuse"})),
)
