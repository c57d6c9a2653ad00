"""Local mode only: which calls the pages may make of the local chain, and play money for the demo wallet."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Protocol

from controller.domain.deposits import USDC_DECIMALS
from controller.errors import BadInput
from controller.services.deps import Deps
from controller.services.wallets import sign_in as wallets

MAX_BATCH = 20
HOUR_S = 3_600
DRIPS_PER_WALLET = 3
# Reading, and sending what a wallet has signed. No `anvil_`, `evm_`, `debug_`, no accounts of the node.
ALLOWED = frozenset(
    {
        "eth_blockNumber",
        "eth_call",
        "eth_chainId",
        "eth_estimateGas",
        "eth_feeHistory",
        "eth_gasPrice",
        "eth_getBalance",
        "eth_getBlockByNumber",
        "eth_getCode",
        "eth_getTransactionByHash",
        "eth_getTransactionCount",
        "eth_getTransactionReceipt",
        "eth_maxPriorityFeePerGas",
        "eth_sendRawTransaction",
        "net_version",
    }
)
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


class LocalNode(Protocol):
    """The local chain's node, with the faucet's purse."""

    def forward(self, body: bytes) -> bytes:
        """Hand a checked JSON-RPC request on; raises ChainUnavailable."""
        ...

    def pay(self, address: str, wei: int) -> str:
        """Send play money; returns the transaction's hash; raises ChainUnavailable."""
        ...

    def mint(self, token: str, address: str, units: int) -> str:
        """Make tokens out of nothing; returns the transaction's hash; raises ChainUnavailable."""
        ...


@dataclass(frozen=True)
class Drip:
    """Play money on its way."""

    tx_hash: str
    amount: int


def check_call(body: bytes) -> None:
    """Let a JSON-RPC request pass only if every call in it is on the list.

    Raises:
        BadInput: no JSON-RPC, a method that is not allowed, or a batch over `MAX_BATCH`.
    """
    try:
        parsed: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadInput("This is no JSON-RPC request.") from error
    calls = parsed if isinstance(parsed, list) else [parsed]
    if not 0 < len(calls) <= MAX_BATCH:
        raise BadInput(f"A batch has 1 to {MAX_BATCH} calls.")
    for call in calls:
        method = call.get("method") if isinstance(call, dict) else None
        if not isinstance(method, str) or method not in ALLOWED:
            raise BadInput("The pages may not call this method.", method=str(method)[:64])


def drip(deps: Deps, node: LocalNode, address: str, caller: str, token: str = "") -> Drip:
    """Fill a demo wallet once, rate-limited by wallet and by caller, for each currency by itself.

    Args:
        deps: ports.
        node: the local chain's node.
        address: the wallet.
        caller: who asks.
        token: the contract of USDC or AXGT; empty for ETH.

    Raises:
        BadInput: not an address, or not one of our tokens.
        TooManyRequests: the faucet rests.
    """
    local, usdc, axgt = deps.settings.local, deps.settings.usdc, deps.settings.axgt
    assert local is not None, "faucet routes exist in local mode only"
    if not _ADDRESS.fullmatch(address):
        raise BadInput("A wallet address is 0x and 40 hex digits.", field="address")
    token = token.lower()
    amounts = {
        usdc.contract.lower(): local.faucet_usdc * 10**USDC_DECIMALS,
        axgt.contract.lower(): local.faucet_axgt * 10**axgt.decimals,
        "": local.faucet_wei,
    }
    if token not in amounts:
        raise BadInput("The faucet has ETH, USDC and AXGT.", field="token")
    amount = amounts[token]
    wallets.rate_limit(deps, f"faucet-caller{token[:8]}", caller, local.faucet_per_hour, HOUR_S)
    wallets.rate_limit(deps, f"faucet-wallet{token[:8]}", address.lower(), DRIPS_PER_WALLET, HOUR_S)
    return Drip(node.mint(token, address, amount) if token else node.pay(address, amount), amount)
