"""Builds the Pulumi CLI from its published Go module, where it can be neither found nor downloaded.

`go.mod` and `go.sum` beside this file pin every module by hash, `go.lock` the compiler (a Python package).
Takes about eight minutes on two cores; what was downloaded and compiled is kept, so a broken-off build
continues. Everything but the program is removed at the end.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Mapping
from pathlib import Path

from infra.errors import CliUnavailable, Interrupted
from infra.reporting import Report

HERE = Path(__file__).resolve().parent
VERSION = "3.259.0"
MODULE = "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
# Lines `go build -v` prints: modules it downloads, packages it compiles. Only tells how far the build is.
LINES = 1930
TELL_EVERY = 80


def build(target: Path, report: Report, stop: threading.Event | None = None) -> None:
    """Build the CLI and put it at `target`.

    Args:
        target: where the program shall lie.
        report: told how far it is.
        stop: ends the build when set; the next one continues.

    Raises:
        CliUnavailable: a download or the compiler failed, with its last words.
        Interrupted: by `stop`.
    """
    work = target.parent.parent / "build"
    work.mkdir(parents=True, exist_ok=True)
    stopping = stop or threading.Event()
    go = _compiler(work / "go", report, stopping)
    environment = _environment(work)
    module = _module(work / "module")
    report("Pulumi CLI: downloading its modules and compiling (about eight minutes on two cores)")
    made = work / "pulumi"
    flags = f"-s -w -X {VERSION_VARIABLE}=v{VERSION}"
    command = [str(go), "build", "-v", "-trimpath", "-ldflags", flags, "-o", str(made), MODULE]
    _run(command, module, environment, report, stopping)
    target.parent.mkdir(parents=True, exist_ok=True)
    made.replace(target)
    shutil.rmtree(work, ignore_errors=True)


def _compiler(folder: Path, report: Report, stop: threading.Event) -> Path:
    """Go, in an environment that is thrown away with the rest."""
    go = folder / "bin" / "go"
    if go.exists():
        return go
    report("Pulumi CLI: installing the Go compiler")
    _run([sys.executable, "-m", "venv", "--clear", str(folder)], folder.parent, os.environ, report, stop)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
    locked = ["--require-hashes", "-r", str(HERE / "go.lock")]
    _run([*pip, *locked], folder.parent, os.environ, report, stop)
    return go


def _environment(work: Path) -> dict[str, str]:
    return {
        **os.environ,
        "GOMODCACHE": str(work / "modules"),
        "GOCACHE": str(work / "cache"),
        "GOPATH": str(work / "path"),
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-mod=readonly -modcacherw -buildvcs=false",
        "CGO_ENABLED": "0",
    }


def _module(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for name in ("go.mod", "go.sum"):
        shutil.copyfile(HERE / name, folder / name)
    return folder


def _run(
    command: list[str], cwd: Path, environment: Mapping[str, str], report: Report, stop: threading.Event
) -> None:
    """Run one step gently, to its end or until `stop`."""
    with subprocess.Popen(
        ["nice", *command],
        cwd=cwd,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        last: deque[str] = deque(maxlen=5)
        reader = threading.Thread(target=_read, args=(process, last, report), daemon=True)
        reader.start()
        try:
            while reader.is_alive() and not stop.is_set():
                reader.join(0.5)
        finally:
            if process.poll() is None and reader.is_alive():
                os.killpg(process.pid, signal.SIGTERM)
    if stop.is_set():
        raise Interrupted
    if process.returncode:
        raise CliUnavailable(f"The Pulumi CLI could not be built. {command[0]} says: {' '.join(last)}")


def _read(process: subprocess.Popen[str], last: deque[str], report: Report) -> None:
    """Keep the last lines, and tell how many packages `go build -v` has named."""
    assert process.stdout is not None
    for number, line in enumerate(process.stdout, start=1):
        last.append(line.strip())
        if number % TELL_EVERY == 0:
            report(f"Pulumi CLI: {min(100 * number // LINES, 99)} %")
