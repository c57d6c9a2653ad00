"""The nftables table that keeps sessions away from the host, the site, each other and private networks.

A shell's published port is let in, and nothing else: what Docker has passed on from the host's own address,
so many new connections a minute from one address. Answers to those go out, to private networks too.

`DOCKER-USER` does not cover container to host, and firewall reloads or dockerd rewrite its tables; this
table is the instance's own. Our chains run before Docker's: what they drop stays dropped, what they let
through Docker still judges. Source: design, section 7.
"""

from __future__ import annotations

import ipaddress
import subprocess
from pathlib import Path

from controller.host.names import SHELL_PORT, bridge_prefix, table_name
from controller.host.words import HostRefused

NEVER = (
    "0.0.0.0/8, 10.0.0.0/8, 100.64.0.0/10, 127.0.0.0/8, 169.254.0.0/16, 172.16.0.0/12, "
    "192.0.0.0/24, 192.168.0.0/16, 198.18.0.0/15, 224.0.0.0/3"
)
CALLS = "30/minute burst 60 packets"
ANSWERS = f"tcp sport {SHELL_PORT} ct state established ct direction reply accept"
RESOLV_CONF = Path("/etc/resolv.conf")


def resolvers(resolv_conf: str) -> list[str]:
    """The IPv4 name servers a container can be told of, from the text of resolv.conf."""
    found = []
    for line in resolv_conf.splitlines():
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = ipaddress.IPv4Address(words[1])
        except ValueError:
            continue
        if not address.is_loopback and str(address) not in found:
            found.append(str(address))
    return found


def ruleset(instance: str, name_servers: list[str], name: str | None = None) -> str:
    """The whole table as one nft transaction: made if missing, replaced if not, never half there."""
    table, ours = name or table_name(instance), f'"{bridge_prefix(instance)}*"'
    names = f"ip daddr {{ {', '.join(name_servers)} }} " if name_servers else ""
    dns = f"meta l4proto {{ tcp, udp }} {names}th dport 53 accept" if names else ""
    return f"""
table inet {table} {{ }}
delete table inet {table}
table inet {table} {{
  set callers {{
    type ipv4_addr
    size 65535
    flags dynamic,timeout
    timeout 2m
  }}
  chain input {{
    type filter hook input priority filter - 10; policy accept;
    iifname {ours} jump to_host
  }}
  chain forward {{
    type filter hook forward priority filter - 10; policy accept;
    iifname {ours} jump from_desktop
    oifname {ours} ct state established,related accept
    oifname {ours} ct status dnat ct state new tcp dport {SHELL_PORT} jump to_shell
    oifname {ours} drop
  }}
  chain to_host {{
    {ANSWERS}
    {dns}
    drop
  }}
  chain to_shell {{
    add @callers {{ ip saddr limit rate over {CALLS} }} drop
    accept
  }}
  chain from_desktop {{
    meta nfproto ipv6 drop
    {ANSWERS}
    oifname "axb*" drop
    {dns}
    ip daddr {{ {NEVER} }} drop
  }}
}}
"""


def load(instance: str) -> None:
    """Put the table in place.

    Raises:
        HostRefused: docker_error; no desktop may start without its walls.
    """
    done = _nft("-f", "-", text=ruleset(instance, _name_servers()))
    if done.returncode:
        raise HostRefused("docker_error", f"nftables refused our table: {done.stderr.strip()[:300]}")


def listing(instance: str) -> str | None:
    """The table as the kernel has it, without who called lately; None if it is missing."""
    done = _nft("--terse", "list", "table", "inet", table_name(instance))
    return None if done.returncode else done.stdout


def wanted(instance: str) -> str | None:
    """What `listing` says of a table that is as it should be: of one made for a moment under another name.

    Raises:
        HostRefused: nftables does not work.
    """
    name, other = table_name(instance), f"{table_name(instance)}_wanted"
    if _nft("-f", "-", text=ruleset(instance, _name_servers(), other)).returncode:
        return None
    try:
        shown = _nft("--terse", "list", "table", "inet", other)
        return shown.stdout.replace(f"inet {other} ", f"inet {name} ", 1)
    finally:
        _nft("delete", "table", "inet", other)


def _name_servers() -> list[str]:
    try:
        return resolvers(RESOLV_CONF.read_text())
    except OSError:
        return []


def remove(instance: str) -> None:
    """Take the table away; for an instance that is being removed."""
    _nft("delete", "table", "inet", table_name(instance))


def _nft(*arguments: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["nft", *arguments], input=text, capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostRefused("docker_error", f"nft cannot run: {error}") from error
