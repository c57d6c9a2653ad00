"""The Python environment under the state folder: exactly what the lock file names, and the project itself."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.faults import UNAVAILABLE, Fault
from infra.first.commands import run

Report = Callable[[str], None]
_APT = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"]
_NETWORK = "Check the network and the package registry, then run `make up` again: it continues."


def ensure_venv_module(report: Report) -> None:
    """Install python3-venv where Debian left it out."""
    probe = subprocess.run([sys.executable, "-c", "import ensurepip, venv"], capture_output=True, check=False)
    if probe.returncode == 0:
        return
    report("Installing python3-venv")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    unfinished = ["dpkg", "--configure", "-a"]  # ends what an interruption left half done
    for argv in (
        unfinished,
        [*_APT, "update"],
        [*_APT, "install", "--no-install-recommends", "python3-venv"],
    ):
        run(
            argv,
            what="python3-venv could not be installed.",
            to_do=_NETWORK,
            attempts=3,
            report=report,
            env=env,
        )


def ensure_environment(source: Path, venv: Path, report: Report) -> bool:
    """Make the environment hold what `requirements.lock` names, and the project.

    Returns:
        True when anything was installed.

    Raises:
        Fault: a package could not be fetched or its hash is wrong.
    """
    lock = source / "requirements.lock"
    changed = not is_as_locked(venv, lock)
    if changed:
        ensure_venv_module(report)
        _install(venv, lock, report)
    link_project(source, venv)
    return changed


def _install(venv: Path, lock: Path, report: Report) -> None:
    state = venv / "axonos-lock.json"
    if not (venv / "bin" / "pip").exists() or state.exists():
        report("Making the Python environment")
        shutil.rmtree(venv, ignore_errors=True)
        run(
            [sys.executable, "-m", "venv", str(venv)],
            what="The Python environment could not be made.",
            to_do="Install python3-venv, then run `make up` again.",
        )
    report("Installing the locked Python packages")
    run(
        [
            *(str(venv / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-compile"),
            *("--require-hashes", "--timeout", "60", "--retries", "5", "-r", str(lock)),
        ],
        what="The Python packages could not be installed.",
        to_do=_NETWORK,
        attempts=3,
        report=report,
    )
    state.write_text(json.dumps({"lock": _digest(lock), "installed": _installed(venv)}, indent=1))


def is_as_locked(venv: Path, lock: Path) -> bool:
    """What lies in the environment now is what the last complete installation of this lock left there."""
    try:
        known = json.loads((venv / "axonos-lock.json").read_text())
    except (OSError, ValueError):
        return False
    return bool(known == {"lock": _digest(lock), "installed": _installed(venv)})


def _digest(lock: Path) -> str:
    return hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()


def _packages_dir(venv: Path) -> Path:
    return venv / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"


def _installed(venv: Path) -> list[str]:
    return sorted(
        path.name for path in _packages_dir(venv).glob("*.dist-info") if not path.name.startswith("axonos-")
    )


def link_project(source: Path, venv: Path) -> None:
    """Let the environment import the copied project, with its commands and entry points.

    The copy under the state folder is the installed project: a second copy inside the environment
    would need a build at each change and could differ from the playbooks beside it.
    """
    packages = _packages_dir(venv)
    if not packages.is_dir():
        raise Fault(f"{venv} is no Python environment.", "Run `make up` again.", UNAVAILABLE)
    for stale in _stale_facts(source, venv):
        shutil.rmtree(stale)
    for path, text, mode in _links(source, venv):
        path.parent.mkdir(exist_ok=True)
        _write(path, text, mode)


def unlinked(source: Path, venv: Path) -> list[Path]:
    """What `link_project` would write: files that are missing or say something else."""
    return [
        path
        for path, text, mode in _links(source, venv)
        if not path.is_file() or path.read_text() != text or path.stat().st_mode & 0o777 != mode
    ]


def _stale_facts(source: Path, venv: Path) -> list[Path]:
    version = _project(source)["version"]
    found = _packages_dir(venv).glob("axonos-*.dist-info")
    return [path for path in found if path.name != f"axonos-{version}.dist-info"]


def _project(source: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    return project


def _links(source: Path, venv: Path) -> list[tuple[Path, str, int]]:
    """Each file that makes the environment know the project: path, text, mode."""
    project, packages = _project(source), _packages_dir(venv)
    facts = packages / f"axonos-{project['version']}.dist-info"
    groups = {"console_scripts": project.get("scripts", {}), **project.get("entry-points", {})}
    entries = "".join(
        f"[{group}]\n" + "".join(f"{name} = {target}\n" for name, target in members.items()) + "\n"
        for group, members in groups.items()
    )
    metadata = f"Metadata-Version: 2.1\nName: axonos\nVersion: {project['version']}\n"
    found = [
        (packages / "axonos.pth", f"{source}\n", 0o644),
        (facts / "METADATA", metadata, 0o644),
        (facts / "entry_points.txt", entries, 0o644),
    ]
    for name, target in project.get("scripts", {}).items():
        module, function = target.split(":")
        text = (
            f"#!{venv}/bin/python\nimport sys\n\nfrom {module} import {function}\n\nsys.exit({function}())\n"
        )
        found.append((venv / "bin" / name, text, 0o755))
    return found


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    if not path.exists() or path.read_text() != text:
        path.write_text(text)
    path.chmod(mode)
