"""Who runs a command: the system user that the kernel remembers from the login.

The login's user id (`/proc/self/loginuid`) stays through `sudo` and `su`; where no login set one it is the
user of the process, and under `sudo` the one who called it. Whoever is root can pretend to be anybody:
two approvals prove two people only as far as root is not shared.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path

UNSET = 2**32 - 1


def operator() -> str:
    """The name of the system user who runs this command; the number where it has no name."""
    uid = _login_uid()
    if uid is None:
        caller = os.environ.get("SUDO_UID", "")
        uid = int(caller) if os.getuid() == 0 and caller.isdecimal() else os.getuid()
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"


def _login_uid(path: Path = Path("/proc/self/loginuid")) -> int | None:
    try:
        uid = int(path.read_text())
    except (OSError, ValueError):
        return None
    return None if uid == UNSET else uid
