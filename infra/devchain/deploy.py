"""Our contracts on a running local chain, at fixed addresses; running it again changes nothing.

The code is placed rather than deployed, so that USDC stands where stock clients of Base Sepolia look for it
and every instance has the same addresses. Keys are random per instance.
"""

from __future__ import annotations

import json
import os
import secrets
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types
from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from infra.devchain.anvil import CHAIN_ID
from infra.devchain.artifacts import artifact
from infra.devchain.rpc import Rpc, RpcRefused

# Where the x402 SDK and wallets expect them on chain 84532.
USDC = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
AXGT = to_checksum_address(keccak(text="axonos.devchain.axgt")[-20:])
ETH_USD_FEED = to_checksum_address(keccak(text="axonos.devchain.eth-usd")[-20:])
ETH_USD_ANSWER = 4_000_00000000
FAUCET_WEI = 10**24
_POOR_WEI = FAUCET_WEI // 10


@dataclass(frozen=True)
class Deployment:
    """What the platform's configuration needs to know of this chain."""

    chain_id: int
    genesis_hash: str
    rpc_url: str
    revenue_wallet: str
    faucet: str
    usdc: str
    axgt: str
    eth_usd_feed: str
    multicall3: str
    start_block: int


def read_key(path: Path) -> LocalAccount:
    """The account of a key file; a missing one is made, with a random key, for its owner's eyes only."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("0x" + secrets.token_hex(32) + "\n")
        fresh.rename(path)
    account: LocalAccount = Account.from_key(path.read_text().strip())
    return account


def deploy(rpc: Rpc, *, faucet: LocalAccount, revenue_wallet: str) -> tuple[Deployment, bool]:
    """Place and initialise the contracts, and fill the faucet's account.

    Args:
        rpc: a node that mines transactions by itself.
        faucet: pays the set-up, may mint tokens and set the price.
        revenue_wallet: recorded in the result.

    Returns:
        The deployment, and whether anything had to be done.
    """
    done = [_place(rpc, where, name) for name, where in _CODE.items()]
    if int(rpc("eth_getBalance", faucet.address, "latest"), 16) < _POOR_WEI:
        rpc("anvil_setBalance", faucet.address, hex(FAUCET_WEI))
        done.append(True)
    done += [
        _init(rpc, faucet, "MockUsdc", ("USDC", "2", faucet.address)),
        _init(rpc, faucet, "Axgt", ("AXGT", faucet.address)),
        _init(rpc, faucet, "PriceFeed", ("ETH / USD", ETH_USD_ANSWER, faucet.address)),
    ]
    deployment = Deployment(
        chain_id=CHAIN_ID,
        genesis_hash=rpc("eth_getBlockByNumber", "0x0", False)["hash"],
        rpc_url=rpc.url,
        revenue_wallet=revenue_wallet,
        faucet=faucet.address,
        usdc=USDC,
        axgt=AXGT,
        eth_usd_feed=ETH_USD_FEED,
        multicall3=MULTICALL3,
        # Nothing before the first block can have paid the revenue wallet: its key is made with the chain.
        start_block=1,
    )
    return deployment, any(done)


def write(deployment: Deployment, path: Path) -> bool:
    """Write deployment.json, atomically. Returns whether its content changed."""
    text = json.dumps(asdict(deployment), indent=1) + "\n"
    if path.is_file() and path.read_text() == text:
        return False
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.rename(path)
    return True


_CODE = {"MockUsdc": USDC, "Axgt": AXGT, "PriceFeed": ETH_USD_FEED, "Multicall3": MULTICALL3}


def _place(rpc: Rpc, where: str, name: str) -> bool:
    code = artifact(name).deployed_bytecode
    if rpc("eth_getCode", where, "latest") == code:
        return False
    rpc("anvil_setCode", where, code)
    return True


def _init(rpc: Rpc, faucet: LocalAccount, name: str, arguments: tuple[Any, ...]) -> bool:
    owner = _data(name, "owner" if name == "PriceFeed" else "minter")
    if int(rpc("eth_call", {"to": _CODE[name], "data": owner}, "latest"), 16) != 0:
        return False
    transaction: dict[str, Any] = {
        "to": _CODE[name],
        "data": _data(name, "init", *arguments),
        "value": 0,
        "nonce": int(rpc("eth_getTransactionCount", faucet.address, "latest"), 16),
        "gas": 500_000,
        "maxFeePerGas": 2 * int(rpc("eth_gasPrice"), 16),
        "maxPriorityFeePerGas": 1,
        "chainId": CHAIN_ID,
    }
    signed = faucet.sign_transaction(transaction)
    receipt = _receipt(rpc, rpc("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex()))
    if receipt["status"] != "0x1":
        raise RpcRefused(f"{name} could not be initialised")
    return True


def _data(name: str, function: str, *arguments: Any) -> str:
    abi: Any = next(part for part in artifact(name).abi if part.get("name") == function)
    return "0x" + (function_abi_to_4byte_selector(abi) + encode(get_abi_input_types(abi), arguments)).hex()


def _receipt(rpc: Rpc, tx_hash: str) -> dict[str, Any]:
    for _ in range(300):
        receipt: dict[str, Any] | None = rpc("eth_getTransactionReceipt", tx_hash)
        if receipt is not None:
            return receipt
        time.sleep(0.05)
    raise RpcRefused(f"{tx_hash} is not mined: does the node mine by itself?")
