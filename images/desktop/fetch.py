"""The package files of a lock, kept in a cache by their SHA-256; nothing enters it unchecked."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path

from images.desktop.apt import PrivateApt
from images.desktop.lock import Lock, Package

SNAPSHOT = "http://snapshot.debian.org/archive"
_TIMEOUT_S = 20


def fetch_packages(lock: Lock, cache: Path, apt: Callable[[], PrivateApt]) -> list[Package]:
    """Bring every package of the lock into the cache: from the archive, its mirror's pool, or snapshots.

    Args:
        lock: what is wanted.
        cache: folder of files named by their SHA-256.
        apt: gives an updated private apt; called only when something is missing from the cache.

    Returns:
        The packages that cannot be had any more.
    """
    cache.mkdir(parents=True, exist_ok=True)
    missing = [package for package in lock.packages if not cached(package, cache).is_file()]
    if not missing:
        return []
    archive = apt()
    known = {package.sha256 for package in archive.records([f"{p.name}={p.version}" for p in missing])}
    _download([package for package in missing if package.sha256 in known], cache, archive)
    lost = [package for package in missing if not cached(package, cache).is_file()]
    bases = [source.uri for source in archive.sources] + snapshot_bases(lock.date_s)
    return [package for package in lost if not _fetch_old(package, cache, bases)]


def cached(package: Package, cache: Path) -> Path:
    """Where a package file lies in the cache."""
    return cache / f"{package.sha256}.deb"


def snapshot_bases(date_s: int) -> list[str]:
    """Where snapshot.debian.org keeps the archives as they were at a date."""
    stamp = datetime.fromtimestamp(date_s, UTC).strftime("%Y%m%dT%H%M%SZ")
    return [f"{SNAPSHOT}/{archive}/{stamp}" for archive in ("debian", "debian-security")]


def keep(file: Path, package: Package, cache: Path) -> bool:
    """Move a file into the cache if it is the package, byte for byte; otherwise delete it."""
    with file.open("rb") as stream:
        right = hashlib.file_digest(stream, "sha256").hexdigest() == package.sha256
    if right:
        shutil.move(file, cached(package, cache))
    else:
        file.unlink()
    return right


def _download(packages: Iterable[Package], cache: Path, archive: PrivateApt) -> None:
    wanted = {f"{p.name}={p.version}": p for p in packages}
    if not wanted:
        return
    with tempfile.TemporaryDirectory(dir=cache) as folder:
        archive.download(list(wanted), Path(folder))
        for package in wanted.values():
            version = package.version.replace(":", "%3a")
            file = Path(folder, f"{package.name}_{version}_{package.architecture}.deb")
            if file.is_file():
                keep(file, package, cache)


def _fetch_old(package: Package, cache: Path, bases: list[str]) -> bool:
    part = cache / f"{package.sha256}.part"
    for base in bases:
        try:
            with (
                urllib.request.urlopen(f"{base}/{package.path}", timeout=_TIMEOUT_S) as answer,  # noqa: S310  apt's own
                part.open("wb") as out,
            ):
                shutil.copyfileobj(answer, out)
        except (urllib.error.URLError, OSError):
            continue
        if keep(part, package, cache):
            return True
    return False
