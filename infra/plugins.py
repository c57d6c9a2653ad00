"""The programs Pulumi looks for on PATH: our dynamic resources, and ours for plugins that cannot be had.

The official plugins are tried once with a short limit; which way it went is remembered beside them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from infra.errors import SdkMissing
from infra.reporting import Report

PROJECT = Path(__file__).resolve().parent.parent
DOWNLOAD_LIMIT_S = 60
NAMES = {"docker": "Docker", "aws": "AWS"}
# -u: the engine waits for the port that a plugin prints, and Pulumi's dynamic plugin does not flush it.
_LAUNCHER = """#!/bin/sh
PYTHONPATH='{project}' exec '{python}' -u -m {module} "$@"
"""


def provide(
    tools_dir: Path,
    cli: Path,
    environment: Mapping[str, str],
    report: Report,
    wanted: Iterable[str] = ("docker",),
) -> Path:
    """Make the plugins available.

    Args:
        tools_dir: the instance's folder of programs.
        cli: the Pulumi CLI.
        environment: how the CLI is to run (its home folder above all).
        report: told which provider is used when that is decided.
        wanted: the providers the stack needs, `docker` and `aws`.

    Returns:
        The folder to put first on PATH.
    """
    folder = tools_dir / "bin"
    folder.mkdir(parents=True, exist_ok=True)
    _launch(folder / "pulumi-resource-pulumi-python", "infra.providers.dynamic")
    for name in wanted:
        bundled = folder / f"pulumi-resource-{name}"
        if _official(name, tools_dir, cli, environment, report):
            bundled.unlink(missing_ok=True)
        else:
            _launch(bundled, f"infra.providers.{name}_provider")
    return folder


def _launch(path: Path, module: str) -> None:
    text = _LAUNCHER.format(project=PROJECT, python=sys.executable, module=module)
    if path.exists() and path.read_text() == text:
        return
    new = path.with_suffix(".new")
    new.write_text(text)
    new.chmod(0o755)
    new.replace(path)


def _official(name: str, tools_dir: Path, cli: Path, environment: Mapping[str, str], report: Report) -> bool:
    """Whether the official plugin is there, trying to download it where that was never tried."""
    decided, wanted = tools_dir / f"{name}-provider.json", sdk_version(name)
    try:
        record = json.loads(decided.read_bytes())
        if record["version"] == wanted:
            return bool(record["official"])
    except (OSError, ValueError, KeyError):
        pass
    report(f"Pulumi's {NAMES[name]} provider {wanted}: trying the official one")
    official = _download(name, cli, environment)
    decided.write_text(json.dumps({"version": wanted, "official": official}) + "\n")
    report(f"Pulumi's {NAMES[name]} provider: {'the official one' if official else 'the bundled one'}")
    return official


def sdk_version(name: str) -> str:
    """The version of a provider's SDK, whose plugin is wanted.

    Raises:
        SdkMissing: it is not installed; AWS's is optional.
    """
    try:
        return version(f"pulumi-{name}")
    except PackageNotFoundError as error:
        raise SdkMissing(
            f"The Python packages of Pulumi's {NAMES[name]} provider are not installed."
        ) from error


def _download(name: str, cli: Path, environment: Mapping[str, str]) -> bool:
    command = [str(cli), "plugin", "install", "resource", name, sdk_version(name), "--non-interactive"]
    try:
        done = subprocess.run(
            command, env=dict(environment), capture_output=True, timeout=DOWNLOAD_LIMIT_S, check=False
        )
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
