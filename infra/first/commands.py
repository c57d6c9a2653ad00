"""Runs a program with a time limit and retries; a failure carries the end of its output."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.faults import UNAVAILABLE, Fault


def run(
    argv: Sequence[str],
    *,
    what: str,
    to_do: str,
    timeout_s: int = 900,
    attempts: int = 1,
    pause_s: float = 3,
    report: Callable[[str], None] = lambda _line: None,
    env: dict[str, str] | None = None,
    cwd: Path | None = None,
) -> str:
    """Run a program to its end and return its output.

    Args:
        argv: the program and its arguments.
        what: said when it fails, with the last lines of its output.
        to_do: the reader's next step.
        timeout_s: limit of one attempt, seconds.
        attempts: how often to try.
        pause_s: the pause before the second attempt, seconds; it grows with each.
        report: told of another attempt.
        env: the whole environment; the present one by default.
        cwd: its folder.

    Raises:
        Fault: every attempt failed.
    """
    tail = ""
    for attempt in range(1, attempts + 1):
        if attempt > 1:
            report(f"{what} Trying again ({attempt} of {attempts}).")
            time.sleep(pause_s * (attempt - 1))
        try:
            ended = subprocess.run(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                timeout=timeout_s,
                env=env,
                cwd=cwd,
                check=False,
            )
        except subprocess.TimeoutExpired:
            tail = f"no end after {timeout_s} s"
            continue
        except FileNotFoundError:
            raise Fault(f"{what} There is no program {argv[0]}.", to_do) from None
        if ended.returncode == 0:
            return ended.stdout
        tail = "\n    ".join(ended.stdout.strip().splitlines()[-8:])
    raise Fault(f"{what}\n    {tail}", to_do, UNAVAILABLE if attempts > 1 else 1)
