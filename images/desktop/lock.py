"""The lock of the image: each package with version, size and SHA-256, and the archive's date. No address."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

_HEADER = (
    "# Written by `axonos image lock`. Fields: name version architecture sha256 size path-in-the-archive."
)


@dataclass(frozen=True, order=True)
class Package:
    """One Debian package file."""

    name: str
    version: str
    architecture: str
    sha256: str
    size: int
    path: str

    @property
    def file(self) -> str:
        """The file's own name."""
        return self.path.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Lock:
    """All packages of an image and the date of the archive they came from, in seconds since the epoch."""

    date_s: int
    packages: tuple[Package, ...] = field(default=())

    def text(self) -> str:
        """The lock as it is kept in a file."""
        rows = [
            f"{p.name} {p.version} {p.architecture} {p.sha256} {p.size} {p.path}"
            for p in sorted(self.packages)
        ]
        return "\n".join([_HEADER, f"date {self.date_s}", *rows]) + "\n"


def parse_lock(text: str) -> Lock:
    """Read a lock's text.

    Raises:
        ValueError: a line has the wrong form.
    """
    date_s, packages = 0, []
    for line in text.splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        if words[0] == "date" and len(words) == 2:
            date_s = int(words[1])
            continue
        if len(words) != 6 or len(words[3]) != 64:
            raise ValueError(f"not a line of a package lock: {line!r}")
        name, version, architecture, sha256, size, path = words
        packages.append(Package(name, version, architecture, sha256, int(size), path))
    if not date_s:
        raise ValueError("the package lock has no date")
    return Lock(date_s, tuple(sorted(packages)))


def read_lock(path: Path) -> Lock:
    """Read a lock file. Raises ValueError, as parse_lock does."""
    return parse_lock(path.read_text())


def difference(locked: Lock, current: Lock) -> list[str]:
    """What changed from one lock to another, a line per package: `- gone`, `+ new`, `~ name old -> new`."""
    old = {package.name: package for package in locked.packages}
    new = {package.name: package for package in current.packages}
    lines = []
    for name in sorted(old.keys() | new.keys()):
        if name not in new:
            lines.append(f"- {name} {old[name].version}")
        elif name not in old:
            lines.append(f"+ {name} {new[name].version}")
        elif old[name].sha256 != new[name].sha256:
            lines.append(f"~ {name} {old[name].version} -> {new[name].version}")
    return lines
