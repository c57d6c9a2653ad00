"""JupyterLab's wheels, fetched with pip by hash into a cache; the machine's pip settings apply."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path

from images.desktop.errors import BuildFailed

# Debian bookworm has glibc 2.36 and Python 3.11.
_GLIBC_MINORS = (34, 31, 28, 27, 26, 24, 17, 12, 5)
_PLATFORMS = [f"manylinux_2_{minor}_x86_64" for minor in _GLIBC_MINORS]
_OLD_NAMES = ["manylinux2014_x86_64", "manylinux2010_x86_64", "manylinux1_x86_64", "linux_x86_64"]


def fetch_wheels(lock: Path, cache: Path) -> Path:
    """Bring the wheels of a requirements lock into a folder of their own.

    Args:
        lock: requirements with `--hash` on every line.
        cache: the cache; the folder inside it is named after the lock's content.

    Returns:
        The folder, complete.

    Raises:
        BuildFailed: a wheel could not be had or has another hash.
    """
    folder = cache / hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    done = folder / ".complete"
    if done.is_file():
        return folder
    folder.mkdir(parents=True, exist_ok=True)
    platforms = [part for name in [*_PLATFORMS, *_OLD_NAMES] for part in ("--platform", name)]
    result = subprocess.run(
        [
            *(*_pip(cache), "download", "--quiet", "--no-deps", "--require-hashes", "--only-binary=:all:"),
            *("--python-version", "3.11", "--implementation", "cp", *platforms),
            *("--requirement", str(lock), "--dest", str(folder)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise BuildFailed(f"JupyterLab's packages could not be fetched:\n{result.stderr.strip()[-1500:]}")
    done.touch()
    return folder


def lock_wheels(wanted: Path, lock: Path) -> None:
    """Write the wheels' lock anew from the names wanted, with uv.

    Raises:
        BuildFailed: uv is missing, or found no set of wheels that fits.
    """
    uv = shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))
    if not uv:
        raise BuildFailed("uv is not installed: pip install uv")
    result = subprocess.run(
        [
            *(uv, "pip", "compile", "--quiet", "--upgrade", "--generate-hashes", "--only-binary", ":all:"),
            *("--python-version", "3.11", "--python-platform", "x86_64-unknown-linux-gnu"),
            *("--no-header", "--no-annotate", "--no-emit-index-url", str(wanted), "--output-file", str(lock)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise BuildFailed(f"uv found no set of wheels:\n{result.stderr.strip()[-1500:]}")


def _pip(cache: Path) -> list[str]:
    """This Python's pip, or one in an environment of its own where this Python has none."""
    here = [sys.executable, "-m", "pip"]
    if subprocess.run([*here, "--version"], capture_output=True, check=False).returncode == 0:
        return here
    own = cache / "pip"
    if not (own / "bin/python").exists():
        venv.create(own, with_pip=True)
    return [str(own / "bin/python"), "-m", "pip"]
