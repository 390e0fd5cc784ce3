"""Runs a command as the account `nobody`, because Postgres refuses to run as root.

The command keeps one right of root, to read and pass through any folder (CAP_DAC_READ_SEARCH), so
that a checkout below /root works and no folder's permissions have to be opened. Linux only.
Usage: python as_nobody.py UID GID COMMAND ...
"""

import ctypes
import os
import sys

PR_SET_KEEPCAPS = 8
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Sets(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


def main() -> None:
    """Become nobody and run the command."""
    uid, gid, command = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0)
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    mask = 1 << CAP_DAC_READ_SEARCH
    sets = (_Sets * 2)(_Sets(mask, mask, mask), _Sets(0, 0, 0))
    # Where the container withholds the right, both calls fail and only open folders can be reached.
    if libc.capset(ctypes.byref(_Header(CAPABILITY_VERSION_3, 0)), sets) == 0:
        libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_DAC_READ_SEARCH, 0, 0)
    os.execv(command[0], command)  # noqa: S606  (that is its purpose)


if __name__ == "__main__":
    main()
