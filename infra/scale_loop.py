"""Every stack with an elastic pool, round after round: what the service `scale` does."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from infra.errors import InfraError, Interrupted
from infra.reporting import Report


def elastic_stacks(state_dir: Path) -> list[str]:
    """Names of stacks whose file has a pool with `elastic`; one that cannot be read has none."""
    return [path.stem for path in sorted((state_dir / "stacks").glob("*.toml")) if _is_elastic(path)]


def _is_elastic(path: Path) -> bool:
    try:
        told: dict[str, Any] = tomllib.loads(path.read_text())
        return any("elastic" in pool for pool in told["aws"]["pools"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def go_round(
    stacks: Callable[[], list[str]],
    step: Callable[[str], dict[str, Any]],
    pause: Callable[[], bool],
    report: Report,
) -> None:
    """Let each stack take a step, pause, and so on. One that fails keeps no other from its step.

    Args:
        stacks: their names, asked anew each round.
        step: takes one; it keeps its own record.
        pause: waits; True ends it.
        report: told what failed.

    Raises:
        Interrupted: in the middle of a step.
    """
    while True:
        for stack in stacks():
            try:
                step(stack)
            except Interrupted:
                raise
            except (InfraError, OSError) as error:
                report(f"{stack}: {error}")
        if pause():
            return
