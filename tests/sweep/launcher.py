"""Starts a command whose system calls that change something are told to a listener before they are made.

Run as `python -I launcher.py SOCKET WORDS...`; imports nothing but the standard library. The filter is a program for
the kernel (seccomp(2), SECCOMP_FILTER_FLAG_NEW_LISTENER); its descriptor goes to whoever holds the other end of the
socket. Whatever the command starts has the filter too: the listener must live as long as any of them.
"""

from __future__ import annotations

import ctypes
import os
import platform
import socket
import struct
import sys

_CALLS = {
    "x86_64": (0xC000003E, 317, {
        "rename": 82, "renameat": 264, "renameat2": 316, "unlink": 87, "unlinkat": 263, "rmdir": 84, "mkdir": 83,
        "mkdirat": 258, "link": 86, "linkat": 265, "symlink": 88, "symlinkat": 266, "fsync": 74, "fdatasync": 75,
        "truncate": 76, "ftruncate": 77, "execve": 59,
    }),
    "aarch64": (0xC00000B7, 277, {
        "renameat": 38, "renameat2": 276, "unlinkat": 35, "mkdirat": 34, "linkat": 37, "symlinkat": 36, "fsync": 82,
        "fdatasync": 83, "truncate": 45, "ftruncate": 46, "execve": 221,
    }),
}  # fmt: skip
ARCHITECTURE, _SECCOMP, CALLS = _CALLS[platform.machine()]
#: of linux/bpf_common.h, linux/seccomp.h and linux/prctl.h
_LOAD, _EQUALS, _RETURN = 0x20, 0x15, 0x06
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_SET_MODE_FILTER, _NEW_LISTENER, _NO_NEW_PRIVILEGES = 1, 8, 38


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))


def _filter() -> bytes:
    """Calls of another architecture, and all that aren't listed, pass."""
    numbers = tuple(CALLS.values())
    lines = [(_LOAD, 0, 0, 4), (_EQUALS, 0, len(numbers) + 1, ARCHITECTURE), (_LOAD, 0, 0, 0)]
    lines += [(_EQUALS, len(numbers) - index, 0, number) for index, number in enumerate(numbers)]
    lines += [(_RETURN, 0, 0, _ALLOW), (_RETURN, 0, 0, _NOTIFY)]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def install() -> int:
    """From now on this process and its children are heard; returns the listener."""
    library = ctypes.CDLL(None, use_errno=True)
    code = _filter()
    buffer = ctypes.create_string_buffer(code, len(code))
    program = _Program(len(code) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    if os.geteuid() != 0:
        library.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    found = library.syscall(_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER, ctypes.byref(program))
    if found < 0:
        raise OSError(ctypes.get_errno(), "no filter for system calls can be installed")
    return int(found)


def main(words: list[str]) -> None:
    with socket.socket(fileno=int(words[0])) as line:
        listener = install()
        socket.send_fds(line, [b"."], [listener])
    os.close(listener)
    os.execvp(words[1], words[1:])  # noqa: S606 - this very process becomes the command


if __name__ == "__main__":
    main(sys.argv[1:])
