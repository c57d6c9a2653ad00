"""Gives everything up but one home: its top folder is the root of all names, its owner the user."""

from __future__ import annotations

import ctypes
import os
import resource
import sys

PR_SET_NO_NEW_PRIVS = 38
MEMORY = 1 << 30
FILES = 64


def confine(top: int, uid: int) -> None:
    """Lock this process into a folder, as a user; there is no way back.

    Links, absolute ones too, end inside; what they lead to is what their owner could open anyway.

    Args:
        top: descriptor of the home's top folder.
        uid: of the home's owner.
    """
    no_new_privileges = ctypes.CDLL(None).prctl
    os.fchdir(top)
    os.chroot(".")
    os.chdir("/")
    os.closerange(3, 1 << 16)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    no_new_privileges(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # From here on every path is the owner's: nothing may be loaded from one.
    sys.path.clear()
    sys.meta_path.clear()
    sys.path_hooks.clear()
    os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (FILES, FILES))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
