"""Recognition of network file systems, on which locks and shared memory are unreliable.

Answers come from `/proc/self/mountinfo` (Linux): the mount with the longest mount point above the
path decides; of two at one point, the later hides the earlier. On other systems, and for file
systems not listed here, the answer is None: unknown.
"""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

_MOUNTINFO = Path("/proc/self/mountinfo")
_NETWORK = frozenset(
    {
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "ncpfs", "9p", "afs", "coda", "davfs"),
        *("ceph", "lustre", "gpfs", "beegfs", "orangefs", "pvfs2", "glusterfs", "panfs", "wekafs"),
        *("gfs2", "ocfs2", "vboxsf", "prl_fs"),
        *("fuse.sshfs", "fuse.glusterfs", "fuse.ceph", "fuse.ceph-fuse", "fuse.juicefs"),
        *("fuse.s3fs", "fuse.gcsfuse", "fuse.goofys", "fuse.mount-s3", "fuse.blobfuse"),
        *("fuse.blobfuse2", "fuse.rclone", "fuse.davfs", "fuse.curlftpfs", "fuse.gvfsd-fuse"),
        *("fuse.smbnetfs", "fuse.vmhgfs-fuse", "fuse.moosefs", "fuse.seaweedfs", "fuse.alluxio"),
    }
)
_OCTAL = re.compile(r"\\([0-7]{3})")
# In a line such as `36 35 98:0 /root /point rw,noatime shared:1 - nfs4 server:/export rw`, from 0.
_POINT_FIELD = 4


def network_filesystem(path: str | os.PathLike[str], *, mountinfo: str | None = None) -> str | None:
    """Return the type of the network file system that holds `path`; None if none or unknown.

    Args:
        path: May be missing; links are followed as far as they lead.
        mountinfo: Text to read instead of this system's own.
    """
    text = _read_mountinfo() if mountinfo is None else mountinfo
    real = PurePosixPath(os.path.realpath(path))
    best_length, best_type = -1, None
    for line in text.splitlines():
        left, separator, right = line.partition(" - ")
        fields, kinds = left.split(" "), right.split(" ")
        if not separator or len(fields) <= _POINT_FIELD:
            continue
        point = PurePosixPath(_OCTAL.sub(lambda code: chr(int(code[1], 8)), fields[_POINT_FIELD]))
        if len(point.parts) >= best_length and real.is_relative_to(point):
            best_length, best_type = len(point.parts), kinds[0]
    return best_type if best_type in _NETWORK else None


def _read_mountinfo() -> str:
    try:
        return _MOUNTINFO.read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        return ""
