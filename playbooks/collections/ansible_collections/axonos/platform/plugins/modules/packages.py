"""Ansible module: Debian packages that must be installed, without recommended ones."""

from __future__ import annotations

import glob
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import (
    CommandFailed,
    Differences,
    run,
)
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: packages
short_description: Debian packages that must be installed
description:
  - Looks with C(dpkg-query), which takes milliseconds; fetches only what is missing.
  - Waits for another apt, and tries again when the package registry is slow.
author: [AxonOS (@axonos)]
options:
  names: {description: Package names., type: list, elements: str, required: true}
  unless:
    description: A path or pattern; where it exists, another package brings the same and nothing is installed.
    type: str
  preset:
    description: Files by path with their text, written before an installation where there is none yet.
    type: dict
    default: {}
  quiet:
    description: No service of the packages is started by their installation.
    type: bool
    default: false
  attempts: {description: How often to try., type: int, default: 3}
  timeout_s: {description: Limit of one attempt in seconds., type: int, default: 900}
"""
EXAMPLES = r"""
- name: Have a firewall
  axonos.platform.packages:
    names: [nftables]
"""
RETURN = r"""
results: {description: Each package that was missing., type: list, returned: always}
"""
POLICY = Path("/usr/sbin/policy-rc.d")
APT = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3"]
QUIET = ["-o", "Dpkg::Options::=--force-confdef", "-o", "Dpkg::Options::=--force-confold"]
ARGUMENTS = {
    "names": {"type": "list", "elements": "str", "required": True},
    "unless": {"type": "str"},
    "preset": {"type": "dict", "default": {}},
    "quiet": {"type": "bool", "default": False},
    "attempts": {"type": "int", "default": 3},
    "timeout_s": {"type": "int", "default": 900},
}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    there = bool(params["unless"] and glob.glob(params["unless"]))  # noqa: PTH207 -- a whole path's pattern
    missing = [] if there else _missing(params["names"])
    found = Differences()
    for name in missing:
        found.note(name, "not installed")
    if missing and not check:
        try:
            _preset(params["preset"])
            with _silenced() if params["quiet"] else nullcontext():
                _install(missing, params["attempts"], params["timeout_s"])
        except CommandFailed as error:
            raise CommandFailed(
                f"Packages {', '.join(missing)} could not be installed: {error}. "
                "Check the network and the package registry, then run it again: it continues."
            ) from error
    return found.result()


@contextmanager
def _silenced() -> Iterator[None]:
    """Debian's own way to keep services from starting; what the machine has of it stays."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()


def _missing(names: list[str]) -> list[str]:
    listed = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Abbrev}\n", *names],
        capture_output=True,
        text=True,
        check=False,
    )
    installed = {line.split()[0] for line in listed.stdout.splitlines() if line.split()[1:] == ["ii"]}
    return [name for name in names if name not in installed]


def _preset(files: dict[str, str]) -> None:
    for name, text in files.items():
        path = Path(name)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


def _install(names: list[str], attempts: int, timeout_s: int) -> None:
    os.environ["DEBIAN_FRONTEND"] = "noninteractive"
    for attempt in range(1, attempts + 1):
        try:
            run(
                ["dpkg", "--configure", "-a"], timeout_s=timeout_s
            )  # ends what an interruption left half done
            run([*APT, "update"], timeout_s=timeout_s)
            run([*APT, *QUIET, "install", "--no-install-recommends", *names], timeout_s=timeout_s)
        except CommandFailed:
            if attempt == attempts:
                raise
            time.sleep(5 * attempt)
        else:
            return


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
