"""The doctor's look at every configured chain: do its nodes answer for it, and does its watcher go on."""

from __future__ import annotations

import json
import tomllib
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

Answer = tuple[bool, str, str]
NODE_TO_DO = "See rpc_urls in axonos.toml; on this machine `make up` brings its own chain back."
READ_TO_DO = "See `axonos logs worker`."
ANSWER_LIMIT_S = 5.0


def look_at_nodes(config: Path) -> Answer:
    """Ask every node for block 0. Of its address only the host is said: the rest may be a key."""
    problems, good = [], []
    for chain in chains_of(config):
        nodes = [(url, _problem(url, str(chain["genesis_hash"]))) for url in chain["rpc_urls"]]
        problems += [f"{chain['name']}: {_host(url)} {problem}" for url, problem in nodes if problem]
        good.append(f"{chain['name']}: {sum(not problem for _, problem in nodes)} of {len(nodes)} nodes")
    return not problems, "; ".join(problems or good), NODE_TO_DO


def look_at_watchers(status: dict[str, Any]) -> Answer:
    """Whether the watcher of every chain goes on."""
    watchers = status.get("watchers", [])
    stopped = [f"{one['name']}: {one['stopped_why']}" for one in watchers if one.get("stopped_why")]
    unread = [f"{one['name']}: not read yet" for one in watchers if one.get("block_number") is None]
    read = [f"{one['name']} read to block {one['block_number']}" for one in watchers]
    problems = [*stopped, *unread]
    return bool(watchers) and not problems, "; ".join(problems or read or ["no chain is watched"]), READ_TO_DO


def chains_of(config: Path) -> list[dict[str, Any]]:
    """The chains of an axonos.toml, the home chain first."""
    found = tomllib.loads(config.read_text())
    return [found["chain"], *found.get("further_chains", [])]


def _problem(url: str, genesis_hash: str) -> str | None:
    body = {"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x0", False]}
    headers = {"Content-Type": "application/json"}
    try:
        request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310
        with urllib.request.urlopen(request, timeout=ANSWER_LIMIT_S) as answer:  # noqa: S310
            said = json.load(answer)["result"]["hash"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"does not answer ({type(error).__name__})"
    return None if said == genesis_hash else "is another chain than the configured one"


def _host(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.hostname}:{parts.port}" if parts.port else str(parts.hostname)
