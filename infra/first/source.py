"""Copies the project into the state folder, so that everything runs from there and the clone may go away."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

# Without git (a release archive) these are left out.
_NOT_SOURCE = {".git", ".venv", ".build", "__pycache__", "node_modules", ".mypy_cache", ".ruff_cache"}


def listed_files(root: Path) -> list[str]:
    """Files git tracks or would add, relative to the root; without git, all but caches."""
    if (root / ".git").exists() and shutil.which("git"):
        found = subprocess.run(
            [
                *("git", "-c", f"safe.directory={root}", "-C", str(root)),
                *("ls-files", "-z", "--cached", "--others", "--exclude-standard"),
            ],
            capture_output=True,
            check=True,
        )
        names = found.stdout.decode().split("\0")
    else:
        names = [
            str(path.relative_to(root))
            for path in root.rglob("*")
            if not _NOT_SOURCE & set(path.relative_to(root).parts) and not path.is_dir()
        ]
    return sorted(name for name in set(names) if name and (root / name).is_file())


def copy_source(root: Path, target: Path) -> int:
    """Make `target` hold exactly the project's files, readable by all, written by none but root.

    Returns:
        How many files were written or removed; 0 when nothing differed.
    """
    names = listed_files(root)
    changed = sum(_copy(root / name, target / name) for name in names)
    wanted = set(names)
    for path in sorted(target.rglob("*"), reverse=True):
        name = str(path.relative_to(target))
        if "__pycache__" in path.parts:
            continue
        if not path.is_dir() and name not in wanted:
            path.unlink()
            changed += 1
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()
    return changed


def source_digest(source: Path) -> str:
    """One name for the code the services run: a hash over paths and contents."""
    total = hashlib.sha256()
    for path in sorted(source.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and "tests" not in path.parts:
            total.update(f"{path.relative_to(source)}\0".encode() + path.read_bytes() + b"\0")
    return total.hexdigest()[:16]


def _copy(origin: Path, target: Path) -> bool:
    mode = 0o755 if os.access(origin, os.X_OK) and origin.stat().st_mode & 0o100 else 0o644
    content = origin.read_bytes()
    if target.is_file() and not target.is_symlink() and target.read_bytes() == content:
        if target.stat().st_mode & 0o777 == mode:
            return False
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        fresh = target.with_name(target.name + ".new")
        fresh.write_bytes(content)
        fresh.replace(target)
    target.chmod(mode)
    return True
