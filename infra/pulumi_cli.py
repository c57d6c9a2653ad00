"""Finds the Pulumi CLI, or gets it: on PATH, from an archive, by the official installer, by an own build.

`AXONOS_PULUMI_CLI_ARCHIVE` names a tarball with the program inside, for machines without a way out.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

from infra import pulumi_build
from infra.errors import CliUnavailable
from infra.reporting import Report

ARCHIVE_VARIABLE = "AXONOS_PULUMI_CLI_ARCHIVE"
# The first that takes inline programs for refresh and destroy too.
OLDEST = (3, 181)
INSTALLER_LIMIT_S = 300
CONNECT_LIMIT_S = 8
_INSTALL = """
import socket, sys
socket.setdefaulttimeout(float(sys.argv[2]))
from pulumi.automation import PulumiCommand
PulumiCommand.install(root=sys.argv[1])
"""


def ensure_cli(tools_dir: Path, report: Report, stop: threading.Event | None = None) -> Path:
    """The path of a usable `pulumi`.

    Args:
        tools_dir: the instance's folder of programs; what is obtained is kept in its `pulumi/bin`.
        report: told which way it took, and how far that is.
        stop: ends a build when set; the next call continues it.

    Raises:
        CliUnavailable: no way led to a usable program.
        Interrupted: by `stop`.
    """
    own = tools_dir / "pulumi" / "bin" / "pulumi"
    on_path = shutil.which("pulumi")
    if on_path and is_usable(Path(on_path)):
        report(f"Pulumi CLI: {on_path}, found on PATH")
        return Path(on_path)
    if is_usable(own):
        report(f"Pulumi CLI: {own}, there already")
        return own
    report(f"Pulumi CLI: {_obtain(own, report, stop)}")
    if not is_usable(own):
        raise CliUnavailable(f"{own} does not run, or is older than {OLDEST[0]}.{OLDEST[1]}.")
    return own


def _obtain(own: Path, report: Report, stop: threading.Event | None) -> str:
    """Put the program in its place; returns the way that was taken."""
    own.parent.mkdir(parents=True, exist_ok=True)
    archive = os.environ.get(ARCHIVE_VARIABLE)
    if archive:
        unpack(Path(archive), own)
        return f"unpacked from {archive}"
    report("Pulumi CLI: trying the official installer")
    if _install(own.parent.parent):
        return "downloaded by the official installer"
    report("Pulumi CLI: the installer cannot be reached, building it from its published module")
    pulumi_build.build(own, report, stop)
    return "built from its published module"


def is_usable(program: Path) -> bool:
    """Whether this program runs and is new enough."""
    environment = {**os.environ, "PULUMI_SKIP_UPDATE_CHECK": "true"}
    try:
        said = subprocess.run(
            [str(program), "version"], env=environment, capture_output=True, text=True, timeout=30, check=True
        )
        major, minor, *_ = said.stdout.strip().removeprefix("v").split(".")
        return (int(major), int(minor)) >= OLDEST
    except (OSError, ValueError, subprocess.SubprocessError):
        return False


def unpack(archive: Path, own: Path) -> None:
    """Take the one file named `pulumi` out of a tarball.

    Raises:
        CliUnavailable: it cannot be read, or has no such file.
    """
    try:
        with tarfile.open(archive) as tar:
            found = [m for m in tar.getmembers() if m.isfile() and Path(m.name).name == "pulumi"]
            content = tar.extractfile(found[0]) if found else None
            if content is None:
                raise CliUnavailable(f"{archive} ({ARCHIVE_VARIABLE}) holds no file named pulumi.")
            new = own.with_suffix(".new")
            with new.open("wb") as target:
                shutil.copyfileobj(content, target)
    except (OSError, tarfile.TarError) as error:
        raise CliUnavailable(f"{archive} ({ARCHIVE_VARIABLE}) cannot be read: {error}") from error
    new.chmod(0o755)
    new.replace(own)


def _install(root: Path) -> bool:
    """Run the official installer in a process of its own, which a dead network cannot hold for long."""
    command = [sys.executable, "-c", _INSTALL, str(root), str(CONNECT_LIMIT_S)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=INSTALLER_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
