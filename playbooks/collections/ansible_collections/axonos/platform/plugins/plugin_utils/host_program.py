"""`axonos-host` on any host of the inventory, as a command of this machine, for a pipe between two hosts.

Ansible's own connections hold a command's whole output in memory; a home is larger than that.
"""

from __future__ import annotations

import json
import shlex
import subprocess
from typing import Any

ASK_TIMEOUT_S = 120
DEFAULT_PROGRAM = "/var/lib/axonos/venv/bin/axonos-host"
SSH = (
    *("ssh", "-T", "-o", "BatchMode=yes", "-o", "ConnectTimeout=10"),
    *("-o", "ServerAliveInterval=5", "-o", "ServerAliveCountMax=4"),
)


def command(variables: dict[str, Any], action: str) -> list[str]:
    """The command that runs one action of the host program.

    Args:
        variables: the host's, as the inventory has them.
        action: such as `home-send`.
    """
    program = [variables.get("axonos_host_program") or DEFAULT_PROGRAM, action]
    if config := variables.get("axonos_host_config"):
        program += ["--config", config]
    words = shlex.join(program)
    line = f'if [ "$(id -u)" = 0 ]; then exec {words}; else exec sudo -n {words}; fi'
    if variables.get("ansible_connection") == "local":
        return ["sh", "-c", line]
    key = variables.get("ansible_ssh_private_key_file")
    return [
        *SSH,
        *shlex.split(variables.get("ansible_ssh_common_args") or ""),
        *(["-i", key] if key else []),
        *("-p", str(variables.get("ansible_port") or 22)),
        *(["-l", variables["ansible_user"]] if variables.get("ansible_user") else []),
        variables.get("ansible_host") or variables["inventory_hostname"],
        line,
    ]


def ask(variables: dict[str, Any], action: str, request: dict[str, Any]) -> dict[str, Any]:
    """One question to one host; a refusal in the program's own form where it said nothing."""
    try:
        done = subprocess.run(
            command(variables, action),
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=ASK_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return refusal("timeout", f"{action} took longer than {ASK_TIMEOUT_S} s", "here")
    return answer(done.stdout, done.stderr.decode(errors="replace"), done.returncode)


def answer(said: bytes, complained: str, status: int) -> dict[str, Any]:
    """The program's JSON object, or what there is instead as one."""
    try:
        found = json.loads(said)
    except ValueError:
        words = complained.strip()[-300:] or "nothing"
        return refusal("host_unreachable", f"axonos-host ended with {status} and said: {words}", "elsewhere")
    return (
        found
        if isinstance(found, dict) and isinstance(found.get("ok"), bool)
        else refusal("host_unreachable", "axonos-host gave no answer", "elsewhere")
    )


def refusal(code: str, message: str, retry: str) -> dict[str, Any]:
    """A refusal as the host program words it."""
    return {"ok": False, "code": code, "message": message, "retry": retry}
