"""Runs playbooks/image.yml through ansible-runner and hands back what the builder said."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import ansible_runner

from images.desktop.errors import BuildFailed

PROJECT = Path(__file__).parents[1]
LIMIT_S = 3600


def build_by_playbook(
    output: Path, *, mirror: str | None = None, force: bool = False, load: bool = False
) -> dict[str, Any]:
    """Have the image built on this machine.

    Args:
        output: folder for archive, desktop.json and cache.
        mirror: a Debian mirror instead of this machine's apt sources.
        force: build again even if nothing changed.
        load: also load it into Docker.

    Returns:
        The builder's facts, as images.desktop.build.Built names them.

    Raises:
        BuildFailed: with the message of the task that failed.
    """
    flags = [flag for flag, wanted in (("--force", force), ("--load", load)) if wanted]
    with tempfile.TemporaryDirectory(prefix="axonos-image-run-") as private:
        run = ansible_runner.run(
            private_data_dir=private,
            project_dir=str(PROJECT / "playbooks"),
            playbook=str(PROJECT / "playbooks" / "image.yml"),
            extravars={
                "axonos_image_output_dir": str(output),
                "axonos_source_dir": str(PROJECT),
                "axonos_image_mirror": mirror or "",
                "axonos_image_flags": flags,
            },
            envvars={
                "ANSIBLE_CONFIG": str(PROJECT / "playbooks" / "ansible.cfg"),
                "PATH": f"{Path(sys.executable).parent}:{os.environ.get('PATH', os.defpath)}",
            },
            timeout=LIMIT_S,
            quiet=True,
        )
        events = [event.get("event_data", {}) for event in run.events]
        said = run.stdout.read().strip()[-1500:]
    if run.status != "successful":
        raise BuildFailed(_last_failure(events) or f"playbooks/image.yml ended as {run.status}:\n{said}")
    for data in reversed(events):
        facts = data.get("res", {}).get("ansible_facts", {})
        if "axonos" in facts:
            found: dict[str, Any] = facts["axonos"]
            return found
    raise BuildFailed("playbooks/image.yml did not say what it built")


def _last_failure(events: list[dict[str, Any]]) -> str:
    """What the task that failed last had to say: the builder's own words if it was the builder."""
    for data in reversed(events):
        result = data.get("res", {})
        if result.get("failed") or result.get("unreachable"):
            return str(result.get("stderr") or result.get("msg") or "").strip()
    return ""
