"""The file of SSH keys by which hosts are recognised: keys the operator stated come first."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from infra.stack_parts import Host


def pin(path: Path, hosts: Iterable[Host]) -> bool:
    """Put each stated key in, replacing another one for the same address; True if the file changed."""
    before = path.read_text().splitlines() if path.exists() else []
    after = [line for line in before if line.strip()]
    for host in hosts:
        if host.host_key:
            name = host.address if host.port == 22 else f"[{host.address}]:{host.port}"
            kind = host.host_key.split()[0]
            after = [line for line in after if line.split()[:2] != [name, kind]]
            after.append(f"{name} {host.host_key}")
    if sorted(after) == sorted(before):
        return False
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    new = path.with_suffix(".new")
    new.write_text("\n".join(after) + "\n")
    new.chmod(0o644)
    new.replace(path)
    return True
