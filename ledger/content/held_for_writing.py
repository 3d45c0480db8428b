"""The files that this process could be changing at this moment: no stamp tells of all it does.

A file that is mapped into memory for writing can change without a new time: the system notes a time
when a page is written first, and then not before the page went to the disk.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

_MAPS = Path("/proc/self/maps")
_OPEN = Path("/dev/fd")
# Rights of a mapping that is shared and may be written, then offset, device and inode.
_SHARED = re.compile(rb"^\S+ .w.s \S+ \S+ (\d+)", re.MULTILINE)


def inodes_held_for_writing() -> frozenset[int]:
    """Return the inodes of files that this process has open for writing, or maps for writing.

    The number alone: a file of another file system that has it too is only hashed once more. Where
    the system does not tell, there are none.
    """
    return frozenset((*_mapped(), *_opened()))


def _mapped() -> list[int]:
    try:
        return [int(inode) for inode in _SHARED.findall(_MAPS.read_bytes())]
    except OSError:
        return []


def _opened() -> list[int]:
    if sys.platform == "win32":
        return []
    import fcntl  # noqa: PLC0415  (not on every platform)

    found = []
    try:
        numbers = [int(name) for name in os.listdir(_OPEN)]  # noqa: PTH208 (names are numbers)
    except OSError:
        return []
    for number in numbers:
        try:
            if fcntl.fcntl(number, fcntl.F_GETFL) & os.O_ACCMODE != os.O_RDONLY:
                found.append(os.fstat(number).st_ino)
        except OSError:  # it was closed meanwhile
            continue
    return found
