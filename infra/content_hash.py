"""One hash over everything a playbook run depends on: its files, roles, plugins, variables and hosts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import yaml

# What lies beside a playbook and takes part in every run of it.
BESIDE = (
    "ansible.cfg",
    "roles",
    "collections",
    "action_plugins",
    "filter_plugins",
    "library",
    "files",
    "templates",
    "tasks",
    "handlers",
    "vars",
    "group_vars",
    "host_vars",
)
_LEFT_OUT = ("__pycache__", ".git", ".mypy_cache", ".ruff_cache", ".ansible", "node_modules")


def files_hash(playbook: Path, watched: Iterable[Path] = ()) -> str:
    """SHA-256 over path, mode and content of the playbook, the playbooks it imports, and what lies beside it.

    Args:
        playbook: the playbook's file.
        watched: further files or folders whose content counts.
    """
    digest = hashlib.sha256()
    folder = playbook.parent
    for path in sorted({*_playbooks(playbook), *_beside(folder)}):
        _add(digest, str(path.relative_to(folder)), path)
    for root in watched:
        for path in sorted(_below(root)):
            _add(digest, str(path.relative_to(root)) if path != root else path.name, path)
    return digest.hexdigest()


def content_hash(files: str, inventory: dict[str, Any], variables: dict[str, Any]) -> str:
    """SHA-256 over `files_hash`'s result, the hosts and the variables."""
    text = json.dumps([files, inventory, variables], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def _add(digest: Any, name: str, path: Path) -> None:
    content = path.read_bytes()
    digest.update(f"{name}\0{path.stat().st_mode & 0o111:o}\0{len(content)}\0".encode())
    digest.update(content)


def _playbooks(playbook: Path) -> Iterator[Path]:
    """The playbook and, in turn, those it imports by `import_playbook`."""
    waiting, seen = [playbook], set()
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        yield path
        plays = yaml.safe_load(path.read_text()) or []
        for play in plays:
            named = play.get("ansible.builtin.import_playbook") or play.get("import_playbook")
            if named:
                waiting.append(path.parent / named)


def _beside(folder: Path) -> Iterator[Path]:
    for name in BESIDE:
        if (folder / name).exists():
            yield from _below(folder / name)


def _below(root: Path) -> Iterator[Path]:
    if root.is_file():
        yield root
        return
    for path in root.rglob("*"):
        if path.is_file() and not path.is_symlink() and not set(path.parts) & set(_LEFT_OUT):
            yield path
