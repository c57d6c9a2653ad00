"""What of the project a GPU host gets: some folders, its own part of the lock, and a project file for them.

The same input gives the same bytes, so an unchanged source is an unchanged host.
"""

from __future__ import annotations

import base64
import gzip
import io
import re
import tarfile
import tomllib
from collections.abc import Iterator
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Hosts may have another Python than the controller: what any of these needs is in.
PYTHONS = ("3.11", "3.12", "3.13")
PROGRAM = "axonos-host"


def archive(source: str, entries: list[str], packages: list[str]) -> str:
    """A gzipped tar in base64.

    Args:
        source: root of the project.
        entries: files and folders below it, all their files.
        packages: third-party packages whose locked versions, with all they need, the host gets.

    Raises:
        ValueError: an entry is not there, or a package is not locked.
    """
    root = Path(source)
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    lock = lock_of((root / "requirements.lock").read_text(), packages)
    files = {name: (root / name).read_bytes() for name in _names(root, entries)}
    files["requirements.lock"] = lock.encode()
    files["pyproject.toml"] = _project_text(project).encode()
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w") as tar:
        for name, content in sorted(files.items()):
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o644
            tar.addfile(entry, io.BytesIO(content))
    return base64.b64encode(gzip.compress(raw.getvalue(), mtime=0)).decode()


def lock_of(text: str, packages: list[str]) -> str:
    """The lines of a lock that some packages and all they need have, hashes included."""
    blocks = {
        canonicalize_name(re.split(r"[=\s;\[]", block, maxsplit=1)[0]): block
        for block in re.split(r"\n(?=\S)", text.strip())
        if "==" in block
    }
    wanted = sorted(_closure({canonicalize_name(name) for name in packages}))
    if missing := [name for name in wanted if name not in blocks]:
        raise ValueError(f"not in requirements.lock: {', '.join(missing)}")
    return "\n".join(blocks[name] for name in wanted) + "\n"


def _closure(names: set[str]) -> set[str]:
    known: set[str] = set()
    while fresh := names - known:
        known |= fresh
        names = {name for one in fresh for name in _needs(one)} | known
    return known


def _needs(name: str) -> Iterator[str]:
    for text in requires(name) or []:
        requirement = Requirement(text)
        if requirement.marker is None or _holds(requirement.marker):
            yield canonicalize_name(requirement.name)


def _holds(marker: Marker) -> bool:
    return any(marker.evaluate({"extra": "", "python_version": python}) for python in PYTHONS)


def _names(root: Path, entries: list[str]) -> Iterator[str]:
    for entry in entries:
        path = root / entry
        if not path.exists():
            raise ValueError(f"{path} is not there")
        for one in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if one.is_file() and "__pycache__" not in one.parts:
                yield str(one.relative_to(root))


def _project_text(project: dict[str, Any]) -> str:
    target = project["scripts"][PROGRAM]
    head = f'[project]\nname = "{project["name"]}"\nversion = "{project["version"]}"\n'
    return f'{head}\n[project.scripts]\n{PROGRAM} = "{target}"\n'
