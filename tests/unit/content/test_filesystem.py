"""Which file system a path lies on, told from what the kernel says."""

from __future__ import annotations

import pytest

from ledger.content import filesystem
from ledger.content.filesystem import network_filesystem

MOUNTS = r"""
22 28 0:20 / /proc rw,nosuid shared:13 - proc proc rw
28 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 28 0:40 / /srv/data rw,relatime shared:20 - nfs4 server:/export rw,vers=4.2
41 40 8:1 / /srv/data/local rw,relatime shared:21 - xfs /dev/sda1 rw
42 28 0:42 / /home/ann/my\040share rw,relatime - cifs //nas/share rw
43 28 0:43 / /mnt/cluster rw - lustre 10.0.0.1@tcp:/scratch rw
44 28 0:44 / /mnt/ssh rw shared:3 master:2 - fuse.sshfs user@host: rw
45 28 0:45 / /mnt/vm rw - 9p host rw
46 28 0:46 / /mnt/twice rw - nfs server:/a rw
47 46 8:2 / /mnt/twice rw - ext4 /dev/sdb rw
48 28 0:47 / /mnt/fuse rw - fuse unknown rw
this line is not one of the kernel's
"""


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/does-not-exist/x", None),
        ("/srv/data", "nfs4"),
        ("/srv/data/project/.metaledger", "nfs4"),
        ("/srv/data/local/x", None),
        ("/srv/database/x", None),
        ("/home/ann/my share/x", "cifs"),
        ("/mnt/cluster/x", "lustre"),
        ("/mnt/ssh/x", "fuse.sshfs"),
        ("/mnt/vm", "9p"),
        ("/mnt/twice/x", None),
        ("/mnt/fuse/x", None),
    ],
)
def test_nearest_and_latest_mount_decides(path, expected):
    assert network_filesystem(path, mountinfo=MOUNTS) == expected


def test_link_into_a_network_file_system_is_followed(tmp_path):
    (tmp_path / "link").symlink_to("/srv/data/x")
    assert network_filesystem(tmp_path / "link", mountinfo=MOUNTS) == "nfs4"


def test_no_mounts_at_all_is_unknown():
    assert network_filesystem("/srv", mountinfo="") is None


def test_system_without_mountinfo_is_unknown(tmp_path, monkeypatch):
    monkeypatch.setattr(filesystem, "_MOUNTINFO", tmp_path / "gone")
    assert network_filesystem("/srv") is None


def test_what_the_system_says_is_read_where_nothing_is_given(tmp_path, monkeypatch):
    (tmp_path / "mountinfo").write_text(MOUNTS, encoding="utf-8")
    monkeypatch.setattr(filesystem, "_MOUNTINFO", tmp_path / "mountinfo")
    assert network_filesystem("/srv/data/x") == "nfs4"
