"""Builds the desktop image: locked packages in, a Docker archive and desktop.json out.

`python -m images.desktop` is its command line, which playbooks/image.yml runs.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from images.desktop.apt import PrivateApt
from images.desktop.archive import Archived, image_id_in, write_archive
from images.desktop.errors import BuildFailed
from images.desktop.fetch import fetch_packages
from images.desktop.layer import HERE, ROOTFS, layer
from images.desktop.lock import Lock, difference, read_lock
from images.desktop.repository import write_repository
from images.desktop.sources import debian_sources
from images.desktop.wheels import fetch_wheels

LIST, LOCK = HERE / "packages.txt", HERE / "packages.lock"
WHEELS, WHEELS_LOCK = HERE / "wheels.txt", HERE / "wheels.lock"
RECIPE = (
    "packages.txt",
    "packages.lock",
    "wheels.lock",
    "customize.sh",
    "layer.py",
    "archive.py",
    "build.py",
)
TAG = "axonos/desktop:latest"
FREE_BYTES = 6 << 30
_RUNTIME = "/run/user/7000"
CONFIG: dict[str, Any] = {
    "User": "7000:7000",
    "WorkingDir": "/home/axon",
    "Entrypoint": ["/usr/bin/tini", "--", "/usr/libexec/axonos/desktop"],
    "StopSignal": "SIGTERM",
    "Env": [
        "PATH=/usr/local/bin:/usr/bin:/bin:/usr/games",
        "HOME=/home/axon",
        "USER=axon",
        "LOGNAME=axon",
        "SHELL=/bin/bash",
        "LANG=C.UTF-8",
        "DISPLAY=:0",
        f"XDG_RUNTIME_DIR={_RUNTIME}",
        f"DBUS_SESSION_BUS_ADDRESS=unix:path={_RUNTIME}/bus",
        "XDG_SESSION_TYPE=x11",
        "XDG_CURRENT_DESKTOP=XFCE",
        "XDG_MENU_PREFIX=xfce-",
        "XDG_CONFIG_DIRS=/etc/xdg",
        "XDG_DATA_DIRS=/usr/local/share:/usr/share",
        "DESKTOP_SESSION=xfce",
        "NO_AT_BRIDGE=1",
        "NVIDIA_DRIVER_CAPABILITIES=all",
    ],
}


@dataclass(frozen=True)
class Built:
    """What a build gave; the first six fields are desktop.json."""

    image_id: str
    archive: str
    recipe: str
    locked: bool
    packages: int
    size_bytes: int
    changed: bool = True
    seconds: float = 0.0
    difference: tuple[str, ...] = ()


def recipe_digest() -> str:
    """SHA-256 over all that decides the image's bytes: locks, overlay with its execute bits, builder."""
    digest = hashlib.sha256()
    overlay = sorted(p for p in ROOTFS.rglob("*") if p.is_file() and "__pycache__" not in p.parts)
    for file in [*(HERE / name for name in RECIPE), *overlay]:
        digest.update(f"{file.relative_to(HERE)} {os.access(file, os.X_OK)} {file.stat().st_size}\n".encode())
        digest.update(file.read_bytes())
    return digest.hexdigest()


def wanted_packages() -> list[str]:
    """The names in packages.txt."""
    lines = (line.partition("#")[0].strip() for line in LIST.read_text().splitlines())
    return [line for line in lines if line]


def private_apt(cache: Path, mirror: str | None = None) -> PrivateApt:
    """An apt with fresh indexes of this machine's Debian sources."""
    apt = PrivateApt(cache / "apt", debian_sources(mirror))
    apt.update()
    return apt


def resolve(apt: PrivateApt) -> Lock:
    """The lock that the archive as it is now gives."""
    return Lock(apt.archive_date_s(), tuple(apt.resolve(wanted_packages())))


def obtain(lock: Lock, cache: Path, apt: Callable[[], PrivateApt]) -> Lock:
    """The lock whose packages are all in the cache: the given one, else the archive's current one.

    Raises:
        BuildFailed: neither can be had whole.
    """
    lost = fetch_packages(lock, cache / "debs", apt)
    if not lost:
        return lock
    current = resolve(apt())
    if lost := fetch_packages(current, cache / "debs", apt):
        names = ", ".join(package.name for package in lost[:10])
        raise BuildFailed(
            f"{len(lost)} package(s) could not be downloaded: {names}. Check the network, run it again."
        )
    return current


def build(output: Path, *, force: bool = False, mirror: str | None = None, load: bool = True) -> Built:
    """Build the image, unless the same recipe has been built here already.

    Args:
        output: folder for the archive, desktop.json and the cache.
        force: build again even if nothing changed.
        mirror: a Debian mirror (…/debian) instead of this machine's apt sources.
        load: also load it into Docker.

    Raises:
        BuildFailed: with the reason and what to do.
    """
    begin = time.monotonic()
    output.mkdir(parents=True, exist_ok=True)
    recipe = recipe_digest()
    if not force and (known := _known(output, recipe)):
        changed = load and _load(known)
        return replace(known, changed=changed, seconds=round(time.monotonic() - begin, 1))
    if shutil.disk_usage(output).free < FREE_BYTES:
        raise BuildFailed(f"{output} needs {FREE_BYTES >> 30} GB free to build the image.")
    locked = read_lock(LOCK)
    cache = output / "cache"
    lock = obtain(locked, cache, lambda: private_apt(cache, mirror))
    wheels = fetch_wheels(WHEELS_LOCK, cache / "wheels")
    archived, archive = _make(lock, cache, wheels, output)
    built = Built(
        image_id=archived.image_id,
        archive=str(archive),
        recipe=recipe,
        locked=lock == locked,
        packages=len(lock.packages),
        size_bytes=archived.size_bytes,
        difference=tuple(difference(locked, lock)),
    )
    _write_description(built, output)
    if load:
        _load(built)
    return replace(built, seconds=round(time.monotonic() - begin, 1))


def _make(lock: Lock, cache: Path, wheels: Path, output: Path) -> tuple[Archived, Path]:
    with tempfile.TemporaryDirectory(prefix="build-", dir=output) as folder:
        work = Path(folder)
        work.chmod(0o755)
        write_repository(lock.packages, cache / "debs", work / "repository")
        part = work / "image.tar"
        with layer(lock, work / "repository", wheels, work) as stream:
            archived = write_archive(stream, CONFIG, part, TAG, lock.date_s)
        archive = output / f"desktop-{archived.image_id.removeprefix('sha256:')[:12]}.tar"
        part.replace(archive)
    return archived, archive


def _write_description(built: Built, output: Path) -> None:
    """desktop.json, replaced at once; archives of earlier builds go."""
    facts = {name: value for name, value in asdict(built).items() if name not in {"changed", "seconds"}}
    part = output / ".desktop.json"
    part.write_text(json.dumps(facts, indent=2) + "\n")
    part.replace(output / "desktop.json")
    for old in output.glob("desktop-*.tar"):
        if str(old) != built.archive:
            old.unlink()


def _known(output: Path, recipe: str) -> Built | None:
    try:
        facts = json.loads((output / "desktop.json").read_text())
        built = Built(**{**facts, "difference": tuple(facts["difference"])})
        whole = built.recipe == recipe and image_id_in(Path(built.archive)) == built.image_id
    except (OSError, ValueError, TypeError, KeyError):
        return None
    return built if whole else None


def _load(built: Built) -> bool:
    """Load the archive into Docker unless it is there; true when it was loaded."""
    if (
        subprocess.run(
            ["docker", "image", "inspect", built.image_id], capture_output=True, check=False
        ).returncode
        == 0
    ):
        return False
    done = subprocess.run(
        ["docker", "load", "--quiet", "--input", built.archive], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise BuildFailed(f"Docker did not take the image: {done.stderr.strip()[-500:]}")
    return True
