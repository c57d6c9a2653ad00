"""Ansible module: our own programs on a GPU host, with their Python environment."""

from __future__ import annotations

import base64
import importlib
import io
import sys
import tarfile
from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import CommandFailed, Differences
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: program
short_description: The platform's own programs on a host
description:
  - Makes a folder hold exactly the files of an archive, each difference named, and a Python environment
    beside it exactly the packages of the archive's C(requirements.lock), by hash.
  - Its action makes the archive of the controller's own source and lock.
author: [AxonOS (@axonos)]
options:
  archive: {description: A gzipped tar of the files in base64; made by the action., type: str, required: true}
  target: {description: The folder., type: path, required: true}
  venv: {description: The Python environment., type: path, required: true}
"""
EXAMPLES = r"""
- name: Have the host's programs
  axonos.platform.program:
    source: /var/lib/axonos/src
    entries: [controller/host, controller/guard]
    packages: [httpx]
    target: /var/lib/axonos/src
    venv: /var/lib/axonos/venv
"""
RETURN = r"""
results: {description: Each file or package set that differed., type: list, returned: always}
digest: {description: Names the controller's source as the host has it., type: str, returned: always}
"""
ARGUMENTS = {
    "archive": {"type": "str", "required": True, "no_log": True},
    "target": {"type": "path", "required": True},
    "venv": {"type": "path", "required": True},
}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    found = Differences()
    target = Path(params["target"])
    _sync(_unpacked(params["archive"]), target, found, check)
    if check and not (target / "infra").is_dir():
        found.note(params["venv"], "missing")
    else:
        _environment(target, Path(params["venv"]), found, check)
    return found.result()


def _unpacked(archive: str) -> dict[str, tuple[bytes, int]]:
    with tarfile.open(fileobj=io.BytesIO(base64.b64decode(archive)), mode="r:gz") as tar:
        members = [member for member in tar if member.isfile()]
        return {m.name: (tar.extractfile(m).read(), m.mode) for m in members}  # type: ignore[union-attr]


def _sync(wanted: dict[str, tuple[bytes, int]], target: Path, found: Differences, check: bool) -> None:
    there = {str(p.relative_to(target)) for p in target.rglob("*") if p.is_file() or p.is_symlink()}
    strange = sorted(name for name in there - set(wanted) if "__pycache__" not in name)
    for name in strange:
        found.note(str(target / name), "not ours")
        if not check:
            (target / name).unlink()
    for name, (content, mode) in sorted(wanted.items()):
        problem = _problem(target / name, content, mode)
        if problem is None:
            continue
        found.note(str(target / name), problem)
        if not check:
            _put(target / name, content, mode)


def _problem(path: Path, content: bytes, mode: int) -> str | None:
    if not path.is_file() or path.is_symlink():
        return "missing"
    status = path.stat()
    if path.read_bytes() != content:
        return "content differs"
    if (status.st_uid, status.st_gid) != (0, 0):
        return f"owner {status.st_uid}:{status.st_gid}, not 0:0"
    return None if status.st_mode & 0o7777 == mode else f"mode {status.st_mode & 0o7777:04o}, not {mode:04o}"


def _put(path: Path, content: bytes, mode: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.chmod(mode)
    fresh.replace(path)


def _environment(target: Path, venv: Path, found: Differences, check: bool) -> None:
    """By the same code that made the controller's own environment; it came with the files."""
    sys.path.insert(0, str(target))
    try:
        environment = importlib.import_module("infra.first.environment")
        if not environment.is_as_locked(venv, target / "requirements.lock"):
            found.note(str(venv), "not as locked" if venv.exists() else "missing")
        for path in environment.unlinked(target, venv) if venv.exists() else ():
            found.note(str(path), "not as written")
        if found and not check:
            environment.ensure_environment(target, venv, lambda _line: None)
    except Exception as error:
        raise CommandFailed(f"The Python environment {venv}: {error}") from error
    finally:
        sys.path.remove(str(target))


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
