"""Ansible module: our contracts on the local chain, and the file that says where they are."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

from ansible_collections.axonos.platform.plugins.module_utils.differences import (
    CommandFailed,
    Differences,
    run,
)
from ansible_collections.axonos.platform.plugins.module_utils.entry import run_module

DOCUMENTATION = r"""
module: local_chain
short_description: Our contracts on the local chain
description:
  - Compares the record and the contracts with the running chain; deploys if they differ.
author: [AxonOS (@axonos)]
options:
  rpc_url: {description: The local node., type: str, required: true}
  folder: {description: The chain's folder; C(deployment.json) lies in it., type: path, required: true}
  faucet_key: {description: File with the faucet's key., type: path, required: true}
  settlement_key: {description: File with the key of x402 settlements., type: path, required: true}
  user: {description: The chain's system user., type: str, required: true}
  python: {description: The platform's interpreter., type: path, required: true}
"""
EXAMPLES = r"""
- name: Deploy the contracts
  axonos.platform.local_chain:
    rpc_url: http://127.0.0.1:8545
    folder: /var/lib/axonos/chain
    faucet_key: /var/lib/axonos/secrets/faucet_key
    settlement_key: /var/lib/axonos/secrets/settlement_key
    user: axonos
    python: /var/lib/axonos/venv/bin/python
"""
RETURN = r"""
deployment: {description: Addresses and genesis hash., type: dict, returned: when deployed}
"""
CONTRACTS = (
    *("usdc", "axgt", "eth_usd_feed", "usdc_usd_feed", "axgt_usd_feed", "axgt_pool", "sequencer_feed"),
    *("forwarder", "fake_token", "wallet_factory", "multicall3"),
)
ARGUMENTS = {
    name: {"type": "str", "required": True}
    for name in ("rpc_url", "folder", "faucet_key", "settlement_key", "user", "python")
}


def converge(params: dict[str, Any], check: bool) -> dict[str, Any]:
    found = Differences()
    record = Path(params["folder"]) / "deployment.json"
    try:
        problem = _problem(params["rpc_url"], record)
        if problem:
            found.note("contracts", problem)
        if problem and not check:
            _deploy(params)
        deployment = json.loads(record.read_text()) if record.exists() else {}
    except (CommandFailed, OSError, ValueError) as error:
        raise CommandFailed(f"The local chain: {error}") from error
    return found.result(deployment=deployment)


def _problem(rpc_url: str, record: Path) -> str | None:
    """What is wrong with the deployment; None if chain and record agree."""
    if not record.exists():
        return "not deployed"
    known = json.loads(record.read_text())
    if _ask(rpc_url, "eth_getBlockByNumber", "0x0", False)["hash"] != known["genesis_hash"]:
        return "recorded for another chain"
    missing = [
        name
        for name in CONTRACTS
        if name not in known or _ask(rpc_url, "eth_getCode", known[name], "latest") in {"", "0x"}
    ]
    if missing:
        return f"missing: {', '.join(missing)}"
    return (
        None if _has_gas(rpc_url, record.with_name("settlement_address")) else "settlements have no gas money"
    )


def _has_gas(rpc_url: str, address: Path) -> bool:
    return (
        address.exists()
        and int(_ask(rpc_url, "eth_getBalance", address.read_text().strip(), "latest"), 16) > 0
    )


def _deploy(params: dict[str, str]) -> None:
    run(
        [
            *(
                "runuser",
                "-u",
                params["user"],
                "--",
                params["python"],
                "-I",
                "-m",
                "infra.devchain",
                "deploy",
            ),
            *("--dir", params["folder"], "--faucet-key", params["faucet_key"], "--rpc", params["rpc_url"]),
            *("--gas-for", params["settlement_key"]),
        ]
    )


def _ask(url: str, method: str, *arguments: Any) -> Any:
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": method, "params": arguments}).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 -- always our own http address
        return json.load(answer)["result"]


if __name__ == "__main__":
    run_module(ARGUMENTS, converge)
