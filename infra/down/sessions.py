"""Ends live sessions through the controller, so that meters stop at the confirmed stop."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from infra.instance import Instance
from infra.reporting import Report

PATIENCE_S = 90
LOOK_EVERY_S = 1.0


def end_sessions(instance: Instance, report: Report) -> int:
    """End every live session and wait until each is over.

    Args:
        instance: whose.
        report: told what is waited for.

    Returns:
        How many were ended; 0 also where the controller does not answer any more.
    """
    live = _live(instance)
    for session in live:
        report(f"ending session {session}")
        _axonos(instance, "sessions", "end", session)
    until = time.monotonic() + PATIENCE_S
    while live and (left := _live(instance)) and time.monotonic() < until:
        report(f"waiting for {len(left)} session(s) to end")
        time.sleep(LOOK_EVERY_S)
    return len(live)


def _live(instance: Instance) -> list[str]:
    found = _axonos(instance, "sessions", "list") if instance.config.exists() else None
    return [line["session"]["id"] for line in (found or {}).get("sessions", [])]


def _axonos(instance: Instance, *arguments: str) -> dict[str, Any] | None:
    """What a command of the controller answers; None when it fails, such as without a database."""
    program = Path(sys.executable).with_name("axonos")
    done = subprocess.run(
        [str(program), *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "AXONOS_CONFIG": str(instance.config)},
    )
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return None
    return found if done.returncode == 0 else None
