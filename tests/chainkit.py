"""A chain of a test's own: anvil with our contracts, funded accounts, and time and reorganisations at hand.

Import the fixture, `from chainkit import Chain, anvil_fixture  # noqa: F401`, and ask for `anvil`.
A transaction is mined at once; no block comes by itself, so confirmations are made with `mine`.
"""

from __future__ import annotations

import fcntl
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest
import requests
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractLogicError

from infra.devchain.anvil import CHAIN_ID, HARDFORK, Anvil
from infra.devchain.artifacts import artifact
from infra.devchain.deploy import POOL_USDC, Deployment, deploy
from infra.devchain.node import anvil_program, install
from infra.devchain.pool import pool_price
from infra.devchain.rpc import Rpc

__all__ = ["ETHER", "Chain", "ContractLogicError", "anvil_fixture", "free_port", "node_folder", "run_chain"]

# npm's packages are installed once for all test runs of a checkout.
NODE_FOLDER = Path(__file__).parent.parent / ".build" / "node"
ETHER = 10**18


def node_folder() -> Path:
    """The installed npm packages, with the compiler; whoever comes first installs them."""
    NODE_FOLDER.mkdir(parents=True, exist_ok=True)
    with (NODE_FOLDER / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        install(NODE_FOLDER, with_compiler=True)
    return NODE_FOLDER


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class Chain:
    """One running chain. Addresses are checksummed; amounts are in wei or the token's smallest unit."""

    rpc: Rpc
    deployment: Deployment
    faucet: LocalAccount
    revenue: LocalAccount
    accounts: list[LocalAccount]  # each with 1000 ETH

    @property
    def rpc_url(self) -> str:
        return self.rpc.url

    @cached_property
    def _http(self) -> requests.Session:
        return requests.Session()

    @cached_property
    def w3(self) -> Web3:
        return Web3(Web3.HTTPProvider(self.rpc.url, session=self._http))

    def close(self) -> None:
        self._http.close()
        self.rpc.close()

    def mine(self, blocks: int = 1) -> int:
        """Mine empty blocks, a second apart; returns the new head."""
        self.rpc("anvil_mine", hex(blocks), hex(1))
        return self.rpc.head()

    def reorg(self, depth: int, again: list[tuple[str, int]] | None = None) -> int:
        """Replace the last `depth` blocks by others; `again` puts (raw transaction, index) into the new ones."""
        self.rpc("anvil_reorg", depth, [[raw, at] for raw, at in again or []])
        return self.rpc.head()

    def increase_time(self, seconds: int) -> None:
        """Let `seconds` pass, and mine a block that shows it."""
        self.rpc("evm_increaseTime", hex(seconds))
        self.rpc("evm_mine")

    @contextmanager
    def paused_mining(self) -> Iterator[None]:
        """Transactions wait in the pool until the end of the block."""
        self.rpc("evm_setAutomine", False)
        try:
            yield
        finally:
            self.rpc("evm_setAutomine", True)

    def new_account(self, wei: int = 1000 * ETHER) -> LocalAccount:
        account: LocalAccount = Account.create()
        self.rpc("anvil_setBalance", account.address, hex(wei))
        return account

    def sign(self, sender: LocalAccount, **fields: Any) -> str:
        """A signed transaction, raw; missing fields get plain values."""
        request = {
            "value": 0,
            "data": b"",
            "nonce": self.w3.eth.get_transaction_count(sender.address, "pending"),
            "gas": 1_500_000,
            "maxFeePerGas": 100 * 10**9,
            "maxPriorityFeePerGas": 10**9,
            "chainId": self.deployment.chain_id,
        }
        return sender.sign_transaction({**request, **fields}).raw_transaction.to_0x_hex()

    def send(self, sender: LocalAccount, **fields: Any) -> str:
        """Send a transaction; returns its hash. It may fail on the chain: see the receipt.

        Mining at once is not mining before the answer: wait for the receipt where blocks are not held back.
        """
        tx_hash = str(self.rpc("eth_sendRawTransaction", self.sign(sender, **fields)))
        if self.rpc("anvil_getAutomine"):
            self.w3.eth.wait_for_transaction_receipt(tx_hash, timeout=30, poll_latency=0.01)
        return tx_hash

    def pay(self, sender: LocalAccount, wei: int, to: str | None = None) -> str:
        """Send ETH, to the revenue wallet unless told otherwise; returns the transaction's hash."""
        return self.send(sender, to=to or self.deployment.revenue_wallet, value=wei)

    def call(self, sender: LocalAccount, function: Any, value: int = 0) -> str:
        """Call a contract's function in a transaction of `sender`; returns the transaction's hash."""
        data = function.build_transaction(
            {"gas": 1, "gasPrice": 1, "nonce": 0, "value": value, "from": sender.address}
        )["data"]
        return self.send(sender, to=function.address, data=data, value=value)

    def receipt(self, tx_hash: str) -> dict[str, Any]:
        found: dict[str, Any] = self.rpc("eth_getTransactionReceipt", tx_hash)
        return found

    def contract(self, name: str, address: str) -> Contract:
        return self.w3.eth.contract(address=Web3.to_checksum_address(address), abi=artifact(name).abi)

    def create(self, name: str, *arguments: Any, sender: LocalAccount | None = None) -> Contract:
        """Deploy one of our contracts: Forwarder, SmartWallet, FakeToken, …"""
        compiled = artifact(name)
        made = self.w3.eth.contract(abi=compiled.abi, bytecode=compiled.bytecode).constructor(*arguments)
        receipt = self.receipt(self.send(sender or self.faucet, data=made.data_in_transaction, to=b""))
        assert receipt["status"] == "0x1", receipt
        return self.contract(name, receipt["contractAddress"])

    @cached_property
    def usdc(self) -> Contract:
        return self.contract("MockUsdc", self.deployment.usdc)

    @cached_property
    def axgt(self) -> Contract:
        return self.contract("Axgt", self.deployment.axgt)

    @cached_property
    def eth_usd(self) -> Contract:
        return self.contract("PriceFeed", self.deployment.eth_usd_feed)

    @cached_property
    def usdc_usd(self) -> Contract:
        return self.contract("PriceFeed", self.deployment.usdc_usd_feed)

    @cached_property
    def axgt_usd(self) -> Contract:
        return self.contract("PriceFeed", self.deployment.axgt_usd_feed)

    @cached_property
    def pool(self) -> Contract:
        return self.contract("PricePool", self.deployment.axgt_pool)

    @cached_property
    def sequencer(self) -> Contract:
        return self.contract("UptimeFeed", self.deployment.sequencer_feed)

    @cached_property
    def forwarder(self) -> Contract:
        return self.contract("Forwarder", self.deployment.forwarder)

    def mint_usdc(self, to: str, units: int) -> str:
        return self.call(self.faucet, self.usdc.functions.mint(to, units))

    def mint_axgt(self, to: str, units: int) -> str:
        return self.call(self.faucet, self.axgt.functions.mint(to, units))

    def set_eth_usd(self, answer: int) -> str:
        """Set the price of an ETH in 10⁻⁸ dollars."""
        return self.call(self.faucet, self.eth_usd.functions.setAnswer(answer))

    def set_pool_usd(self, answer: int) -> str:
        """Set the pool's price of an AXGT in 10⁻⁸ dollars; its time-weighted price follows in time."""
        where = self.deployment
        price = pool_price(where.axgt, where.usdc, answer, POOL_USDC)
        return self.call(self.faucet, self.pool.functions.setPrice(price.tick, price.sqrt_price_x96))

    def set_axgt_usd(self, answer: int) -> str:
        """Set the second source's price of an AXGT in 10⁻⁸ dollars."""
        return self.call(self.faucet, self.axgt_usd.functions.setAnswer(answer))


@contextmanager
def run_chain(*options: str, hardfork: str = HARDFORK, chain_id: int = CHAIN_ID) -> Iterator[Chain]:
    """A chain with its contracts, gone at the end. `hardfork="prague"` brings EIP-7702.

    Another `chain_id` makes another chain: its genesis differs too.
    """
    # Blocks made in the same second under the same rules would be the same.
    options = options if chain_id == CHAIN_ID else (*options, "--timestamp", str(1_700_000_000 + chain_id))
    program = anvil_program(node_folder())
    with Anvil(program, free_port(), options, hardfork=hardfork, chain_id=chain_id) as node:
        faucet, revenue = Account.create(), Account.create()
        deployment, _ = deploy(node.rpc, faucet=faucet, revenue_wallet=revenue.address)
        accounts: list[LocalAccount] = [Account.create() for _ in range(5)]
        for account in accounts:
            node.rpc("anvil_setBalance", account.address, hex(1000 * ETHER))
        chain = Chain(node.rpc, deployment, faucet, revenue, accounts)
        try:
            yield chain
        finally:
            chain.close()


@pytest.fixture(scope="module", name="anvil")
def anvil_fixture() -> Iterator[Chain]:
    """A chain for the tests of one module."""
    with run_chain() as chain:
        yield chain
