"""Where a shell answers, in the words that a client wants: command, configuration, known_hosts line."""

from __future__ import annotations

from sqlmodel import Session, select

from controller.models import GpuSession, Host, Slot
from controller.services.hosts.names import name_of
from controller.services.sessions.views import SshView
from controller.services.shells.public_keys import fingerprint

USER = "axon"


def address(db: Session, row: GpuSession) -> SshView | None:
    """How to reach a session over SSH; None while it has no host."""
    found = db.exec(select(Slot, Host).join(Host).where(Slot.id == row.slot_id)).first()
    if found is None or found[0].ssh_port is None:
        return None
    slot, host = found
    return written(name_of(host), int(slot.ssh_port or 0), row.host_key, alias_of(row.wallet))


def alias_of(wallet: str) -> str:
    """The name of a wallet's home in known_hosts."""
    return f"axonos-{wallet[:10]}"


def written(host: str, port: int, host_key: str, alias: str) -> SshView:
    """The same as texts to copy.

    Args:
        host: a name or address that a client can reach.
        port: its port.
        host_key: type and blob; empty while it is not known.
        alias: the home's name in known_hosts.
    """
    config = [
        "Host axonos",
        f"  HostName {host}",
        f"  Port {port}",
        f"  User {USER}",
        f"  HostKeyAlias {alias}",
        "  ForwardAgent no",
    ]
    return SshView(
        host=host,
        port=port,
        user=USER,
        host_key=host_key,
        host_key_fingerprint=fingerprint(host_key) if host_key else "",
        alias=alias,
        command=f"ssh -p {port} {USER}@{host}",
        config="\n".join(config) + "\n",
        known_hosts=f"{alias},[{host}]:{port} {host_key}" if host_key else "",
    )
