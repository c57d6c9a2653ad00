"""Folders of runs in work: one for each process that runs playbooks, swept away when that process is gone."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path

NEW_S = 60  # a folder is made before it is locked


class RunFolders:
    """This process's folder under `root`. Locked as long as the process lives."""

    def __init__(self, root: Path) -> None:
        """Args: the instance's folder of runs; made here."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
        self._lock = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        for other in root.iterdir():
            if other != self.folder and _is_left_over(other):
                shutil.rmtree(other, ignore_errors=True)

    def make(self, name: str) -> Path:
        """A folder for one run, readable by nobody else."""
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.folder))

    def close(self) -> None:
        """Everything of this process goes."""
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)


def _is_left_over(folder: Path) -> bool:
    try:
        lock = os.open(folder / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return folder.exists() and time.time() - folder.stat().st_mtime > NEW_S
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(lock)
    return True
