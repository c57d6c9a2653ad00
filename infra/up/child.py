"""A program run by a stage: its lines are reported, and it ends when the stage is told to."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from infra.errors import Interrupted
from infra.faults import Fault
from infra.reporting import Report

KEPT_LINES = 12


def run_child(
    argv: Sequence[str],
    *,
    report: Report,
    stop: Event,
    what: str,
    to_do: str,
    timeout_s: float,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> list[str]:
    """Run a program to its end.

    Args:
        argv: program and arguments.
        report: told each line of its output.
        stop: ends it early.
        what: said when it fails.
        to_do: the reader's next step.
        timeout_s: after this many seconds it is ended and counts as failed.
        env: added to the environment.
        cwd: its folder.

    Returns:
        Its lines.

    Raises:
        Fault: it failed or took too long.
        Interrupted: by `stop`.
    """
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        start_new_session=True,  # so that all of its children can be ended with it
    )
    lines: list[str] = []
    problem = _follow(child, lines, report, stop, time.monotonic() + timeout_s)
    if stop.is_set() and problem:
        raise Interrupted
    if problem or child.returncode:
        said = "\n    ".join([*lines[-KEPT_LINES:], *([problem] if problem else [])])
        raise Fault(f"{what}\n    {said}", to_do)
    return lines


def _follow(
    child: subprocess.Popen[bytes], lines: list[str], report: Report, stop: Event, until: float
) -> str | None:
    """Read until the end; returns why it was ended early, if it was."""
    assert child.stdout is not None
    rest, problem = b"", None
    with selectors.DefaultSelector() as selector, child.stdout as output:
        selector.register(output, selectors.EVENT_READ)
        while True:
            if problem is None and (stop.is_set() or time.monotonic() > until):
                problem = "interrupted" if stop.is_set() else "it took too long"
                _end(child)
            if not selector.select(timeout=0.2):
                if problem and child.poll() is not None:
                    break
                continue
            piece = os.read(output.fileno(), 65536)
            if not piece:
                break
            *whole, rest = (rest + piece).split(b"\n")
            for line in whole:
                lines.append(line.decode(errors="replace").rstrip())
                report(lines[-1])
    if rest:
        lines.append(rest.decode(errors="replace").rstrip())
    child.wait()
    return problem


def _end(child: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(child.pid, signal.SIGTERM)
        child.wait(timeout=10)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
