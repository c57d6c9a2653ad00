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

from infra.devchain.artifacts import artifact
from infra.devchain.pool import pool_price
from infra.devchain.rpc import Rpc, RpcRefused

# Where the x402 SDK and wallets expect them on chain 84532.
USDC = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"


def _own(name: str) -> str:
    return to_checksum_address(keccak(text=f"axonos.devchain.{name}")[-20:])


AXGT = _own("axgt")
ETH_USD_FEED = _own("eth-usd")
USDC_USD_FEED = _own("usdc-usd")
AXGT_USD_FEED = _own("axgt-usd")
AXGT_POOL = _own("axgt-pool")
SEQUENCER_FEED = _own("sequencer")
FORWARDER = _own("forwarder")
FAKE_TOKEN = _own("fake-token")
WALLET_FACTORY = _own("wallet-factory")
ETH_USD_ANSWER = 4_000_00000000
USDC_USD_ANSWER = 1_00000000
AXGT_USD_ANSWER = 5000000  # five cents
POOL_USDC = 1_000_000 * 10**6
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
    usdc_usd_feed: str
    axgt_usd_feed: str
    axgt_pool: str
    sequencer_feed: str
    forwarder: str
    fake_token: str
    wallet_factory: str
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
    done = [_place(rpc, where, name) for where, name in _CODE.items()]
    if int(rpc("eth_getBalance", faucet.address, "latest"), 16) < _POOR_WEI:
        rpc("anvil_setBalance", faucet.address, hex(FAUCET_WEI))
        done.append(True)
    done += [_init(rpc, faucet, where, arguments) for where, arguments in _inits(faucet.address)]
    deployment = Deployment(
        chain_id=int(rpc("eth_chainId"), 16),
        genesis_hash=rpc("eth_getBlockByNumber", "0x0", False)["hash"],
        rpc_url=rpc.url,
        revenue_wallet=revenue_wallet,
        faucet=faucet.address,
        usdc=USDC,
        axgt=AXGT,
        eth_usd_feed=ETH_USD_FEED,
        usdc_usd_feed=USDC_USD_FEED,
        axgt_usd_feed=AXGT_USD_FEED,
        axgt_pool=AXGT_POOL,
        sequencer_feed=SEQUENCER_FEED,
        forwarder=FORWARDER,
        fake_token=FAKE_TOKEN,
        wallet_factory=WALLET_FACTORY,
        multicall3=MULTICALL3,
        # Nothing before the first block can have paid the revenue wallet: its key is made with the chain.
        start_block=1,
    )
    return deployment, any(done)


def give_gas(rpc: Rpc, address: str, record: Path) -> bool:
    """Fill an account that pays for transactions, and write its address down. Returns whether it was poor."""
    poor = int(rpc("eth_getBalance", address, "latest"), 16) < _POOR_WEI
    if poor:
        rpc("anvil_setBalance", address, hex(FAUCET_WEI))
    record.write_text(f"{address}\n")
    return poor


def write(deployment: Deployment, path: Path) -> bool:
    """Write deployment.json, atomically. Returns whether its content changed."""
    text = json.dumps(asdict(deployment), indent=1) + "\n"
    if path.is_file() and path.read_text() == text:
        return False
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    fresh.write_text(text)
    fresh.rename(path)
    return True


_CODE = {
    USDC: "MockUsdc",
    AXGT: "Axgt",
    ETH_USD_FEED: "PriceFeed",
    USDC_USD_FEED: "PriceFeed",
    AXGT_USD_FEED: "PriceFeed",
    AXGT_POOL: "PricePool",
    SEQUENCER_FEED: "UptimeFeed",
    FORWARDER: "Forwarder",
    FAKE_TOKEN: "FakeToken",
    WALLET_FACTORY: "WalletFactory",
    MULTICALL3: "Multicall3",
}
_POOL = pool_price(AXGT, USDC, AXGT_USD_ANSWER, POOL_USDC)


def _inits(faucet: str) -> list[tuple[str, tuple[Any, ...]]]:
    return [
        (USDC, ("USDC", "2", faucet)),
        (AXGT, ("AXGT", faucet)),
        (ETH_USD_FEED, ("ETH / USD", ETH_USD_ANSWER, faucet)),
        (USDC_USD_FEED, ("USDC / USD", USDC_USD_ANSWER, faucet)),
        (AXGT_USD_FEED, ("AXGT / USD", AXGT_USD_ANSWER, faucet)),
        (SEQUENCER_FEED, (faucet,)),
        (AXGT_POOL, (*_POOL.tokens, _POOL.tick, _POOL.sqrt_price_x96, _POOL.liquidity, faucet)),
    ]


def _place(rpc: Rpc, where: str, name: str) -> bool:
    code = artifact(name).deployed_bytecode
    if rpc("eth_getCode", where, "latest") == code:
        return False
    rpc("anvil_setCode", where, code)
    return True


def _init(rpc: Rpc, faucet: LocalAccount, where: str, arguments: tuple[Any, ...]) -> bool:
    name = _CODE[where]
    owner = _data(name, "minter" if where in {USDC, AXGT} else "owner")
    if int(rpc("eth_call", {"to": where, "data": owner}, "latest"), 16) != 0:
        return False
    _send(rpc, faucet, where, _data(name, "init", *arguments))
    if where == AXGT_POOL:
        # What the pool holds of the dollar is what its depth is measured by.
        _send(rpc, faucet, USDC, _data("MockUsdc", "mint", AXGT_POOL, POOL_USDC))
    return True


def _send(rpc: Rpc, faucet: LocalAccount, to: str, data: str) -> None:
    transaction: dict[str, Any] = {
        "to": to,
        "data": data,
        "value": 0,
        "nonce": int(rpc("eth_getTransactionCount", faucet.address, "latest"), 16),
        "gas": 500_000,
        "maxFeePerGas": 2 * int(rpc("eth_gasPrice"), 16),
        "maxPriorityFeePerGas": 1,
        "chainId": int(rpc("eth_chainId"), 16),
    }
    signed = faucet.sign_transaction(transaction)
    receipt = _receipt(rpc, rpc("eth_sendRawTransaction", signed.raw_transaction.to_0x_hex()))
    if receipt["status"] != "0x1":
        raise RpcRefused(f"{_CODE[to]} could not be initialised")


def _data(name: str, function: str, *arguments: Any) -> str:
    abi: Any = next(part for part in artifact(name).abi if part.get("name") == function)
    return "0x" + (function_abi_to_4byte_selector(abi) + encode(get_abi_input_types(abi), arguments)).hex()


def _receipt(rpc: Rpc, tx_hash: str) -> dict[str, Any]:
    for _ in range(1_500):
        receipt: dict[str, Any] | None = rpc("eth_getTransactionReceipt", tx_hash)
        if receipt is not None:
            return receipt
        time.sleep(0.01)
    raise RpcRefused(f"{tx_hash} is not mined: does the node mine by itself?")
