"""Whether there is room for what a stack writes. supervisord drops lines without a word where a disk is full, and a
program goes on running: so whoever looks at a stack is told (docs/decisions/0040-no-room.md).
"""

from __future__ import annotations

import os

#: bytes, and files; below that, writing fails or is about to
_BYTES, _FILES = 131_072, 4
#: folders of `.devstack` that may lie on disks of their own
_PLACES = ("logs", "data", "")


def shortage(folder: str) -> str:
    """What lacks room, in words; "" where there is enough. folder: `.devstack` of a project."""
    for name in _PLACES:
        place = f"{folder}/{name}".rstrip("/")
        try:
            info = os.statvfs(place)
        except OSError:
            continue
        lost = "log lines are lost" if name == "logs" else "nothing can be written"
        if info.f_blocks and info.f_bavail * info.f_frsize < _BYTES:
            return f"the disk of {place} is full: {lost} (df -h {place})"
        if info.f_files and info.f_favail < _FILES:
            return f"the disk of {place} has no inode left: {lost} (df -i {place})"
    return ""
