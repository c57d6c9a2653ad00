"""The programs Pulumi looks for on PATH: our dynamic resources, and Docker's where it cannot be downloaded.

The official Docker plugin is tried once with a short limit; which way it went is remembered beside it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

from infra.reporting import Report

PROJECT = Path(__file__).resolve().parent.parent
DOWNLOAD_LIMIT_S = 60
VERSION = version("pulumi-docker")
# -u: the engine waits for the port that a plugin prints, and Pulumi's dynamic plugin does not flush it.
_LAUNCHER = """#!/bin/sh
PYTHONPATH='{project}' exec '{python}' -u -m {module} "$@"
"""


def provide(tools_dir: Path, cli: Path, environment: Mapping[str, str], report: Report) -> Path:
    """Make the plugins available.

    Args:
        tools_dir: the instance's folder of programs.
        cli: the Pulumi CLI.
        environment: how the CLI is to run (its home folder above all).
        report: told which Docker provider is used when that is decided.

    Returns:
        The folder to put first on PATH.
    """
    folder = tools_dir / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    _launch(folder / "pulumi-resource-pulumi-python", "infra.providers.dynamic")
    bundled = folder / "pulumi-resource-docker"
    if _official(tools_dir, cli, environment, report):
        bundled.unlink(missing_ok=True)
    else:
        _launch(bundled, "infra.providers.docker_provider")
    return folder


def _launch(path: Path, module: str) -> None:
    text = _LAUNCHER.format(project=PROJECT, python=sys.executable, module=module)
    if path.exists() and path.read_text() == text:
        return
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(path)


def _official(tools_dir: Path, cli: Path, environment: Mapping[str, str], report: Report) -> bool:
    """Whether the official plugin is there, trying to download it where that was never tried."""
    decided = tools_dir / "docker-provider.json"
    try:
        record = json.loads(decided.read_bytes())
        if record["version"] == VERSION:
            return bool(record["official"])
    except (OSError, ValueError, KeyError):
        pass
    report(f"Pulumi's Docker provider {VERSION}: trying the official one")
    official = _download(cli, environment)
    decided.write_text(json.dumps({"version": VERSION, "official": official}) + "\n")
    report(f"Pulumi's Docker provider: {'the official one' if official else 'the bundled one'}")
    return official


def _download(cli: Path, environment: Mapping[str, str]) -> bool:
    command = [str(cli), "plugin", "install", "resource", "docker", VERSION, "--non-interactive"]
    try:
        done = subprocess.run(
            command, env=dict(environment), capture_output=True, timeout=DOWNLOAD_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
