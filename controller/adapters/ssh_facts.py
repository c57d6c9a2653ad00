"""Ansible variables of a host reached by SSH at `[user@]address[:port]`: own key, own known hosts."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ADDRESS = re.compile(
    r"(?:(?P<user>[a-z_][a-z0-9_-]{0,31})@)?(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\])(?::(?P<port>\d{1,5}))?"
)
KEY, KNOWN_HOSTS = "secrets/hosts_key", "secrets/known_hosts"
USER = "axonos"


def ssh_facts(address: str, state_dir: Path, *, default_user: str = USER) -> dict[str, Any]:
    """Inventory variables of a host reached by SSH.

    Args:
        address: where it is; port 22 unless it says otherwise.
        state_dir: the controller's state folder, which holds key and known hosts.
        default_user: who logs in where the address does not say.

    Raises:
        ValueError: the address has another form.
    """
    found = ADDRESS.fullmatch(address)
    if found is None:
        raise ValueError(f"{address!r} is no [user@]address[:port]")
    facts: dict[str, Any] = {
        "ansible_host": found["host"].strip("[]"),
        "ansible_user": found["user"] or default_user,
        "ansible_port": int(found["port"] or 22),
    }
    if (state_dir / KEY).exists():
        options = f"-o IdentitiesOnly=yes -o UserKnownHostsFile={state_dir / KNOWN_HOSTS}"
        facts |= {"ansible_ssh_private_key_file": str(state_dir / KEY), "ansible_ssh_common_args": options}
    return facts
