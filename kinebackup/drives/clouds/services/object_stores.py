"""Object stores mounted as folders: Amazon S3 and what speaks like it, Google Cloud Storage, Azure.

Owns: how they are mounted. Does not know: other services.
"""

from typing import Final

from kinebackup.drives.clouds.description import CloudService

SERVICES: Final = (
    CloudService("Amazon S3 (s3fs)", filesystems=frozenset({"fuse.s3fs"})),
    CloudService("Amazon S3 (goofys)", filesystems=frozenset({"fuse.goofys", "fuse.geesefs"})),
    CloudService("Amazon S3 (Mountpoint)", filesystems=frozenset({"fuse.mount-s3", "fuse.mountpoint-s3"})),
    CloudService("Google Cloud Storage", filesystems=frozenset({"fuse.gcsfuse"})),
    CloudService("Azure Blob Storage", filesystems=frozenset({"fuse.blobfuse", "fuse.blobfuse2"})),
    CloudService("JuiceFS", filesystems=frozenset({"fuse.juicefs"})),
)
