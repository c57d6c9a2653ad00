"""A local chain whose every block is made by hand, with contracts and payers, back at its start in a millisecond."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types
from eth_utils.crypto import keccak

from deposits.node import Node, Spoil, Wire
from infra.devchain.anvil import CHAIN_ID, Anvil
from infra.devchain.artifacts import artifact
from infra.devchain.deploy import Deployment, deploy

ETHER = 10**18
DOLLAR = 10**6
BLOCK_S = 12
BASE_FEE = 10**9


@cache
def account(name: str) -> LocalAccount:
    """The account of a name, the same in every run."""
    made: LocalAccount = Account.from_key(keccak(text=f"axonos.bench.{name}"))
    return made


def address(name: str) -> str:
    """The account's address, lower case."""
    return str(account(name).address).lower()


@cache
def _entry(contract: str, function: str) -> tuple[bytes, list[str]]:
    abi: Any = next(part for part in artifact(contract).abi if part.get("name") == function)
    return function_abi_to_4byte_selector(abi), get_abi_input_types(abi)


def call_data(contract: str, function: str, *arguments: Any) -> str:
    """What a transaction that calls a contract's function carries."""
    selector, types = _entry(contract, function)
    return "0x" + (selector + encode(types, arguments)).hex()


@dataclass(frozen=True)
class Sent:
    """A transaction that was handed to a node."""

    tx_hash: str
    raw: str


class ManualChain:
    """anvil with our contracts. Amounts are in wei or the token's smallest unit, addresses lower case."""

    def __init__(self, wire: Wire, deployment: Deployment, chain_id: int = CHAIN_ID) -> None:
        self.wire, self.deployment, self.chain_id = wire, deployment, chain_id
        self.nodes = {name: Node(wire) for name in ("node-a", "node-b", "node-c")}
        self.revenue = deployment.revenue_wallet.lower()
        self.changed: Callable[[], None] = lambda: None
        self._signed: dict[Any, str] = {}
        self._snapshot = ""
        self._time = self._kept_time = 0
        self._before: dict[int, str] = {}  # block -> the snapshot taken before it was mined
        self.top = 0  # the highest block there ever was in this story
        self.base = self.mined = 0

    def be(self, chain_id: int) -> None:
        """Be another chain from now on."""
        self.wire("anvil_setChainId", chain_id)
        self.chain_id = chain_id

    def keep(self) -> None:
        """What is on the chain now is where each story begins."""
        self.wire("evm_setAutomine", False)
        self._snapshot = str(self.wire("evm_snapshot"))
        self._kept_time = self._time

    def back(self) -> None:
        """Back to where stories begin, every node well; on a new block, as anvil forgets the state of old ones."""
        self.wire("evm_revert", self._snapshot)
        self._snapshot = str(self.wire("evm_snapshot"))
        self.wire("evm_setAutomine", False)
        self.wire("anvil_setCoinbase", address("builder"))
        self._time, self.changed = self._kept_time, lambda: None
        self._before.clear()
        for node in self.nodes.values():
            node.spoil = None
        self.mine()
        self.base = self.top = self.head()

    def _happened(self) -> None:
        for node in self.nodes.values():
            node.version += 1
        self.changed()

    def spoil(self, name: str, spoil: Spoil | None) -> None:
        """From now on a node answers so; None makes it well again."""
        self.nodes[name].spoil = spoil
        self._happened()

    @property
    def time_s(self) -> int:
        """The newest block's time, as it was asked for."""
        return self._time

    def head(self) -> int:
        return int(self.wire("eth_blockNumber"), 16)

    def mine(self, after_s: int = BLOCK_S) -> None:
        """Mine one block with what waits in the pool."""
        self._before[self.head() + 1] = str(self.wire("evm_snapshot"))
        self._time += after_s
        self.wire("anvil_setNextBlockBaseFeePerGas", hex(BASE_FEE))
        self.wire("evm_setNextBlockTimestamp", self._time)
        self.wire("evm_mine")
        self.top = max(self.top, self.head())
        self.mined += 1
        self._happened()

    def reorg(self, depth: int, again: list[tuple[Sent, int]] | None = None, *, longer: int = 0) -> None:
        """Replace the last `depth` blocks, at once; `again` puts transactions into the n-th of the new ones.

        Made of snapshots: `anvil_reorg` together with `evm_revert` loses all code after some twenty times.
        """
        self._forget(depth)
        self._time += 1  # other times, other hashes
        changed, self.changed = self.changed, lambda: None
        for place in range(depth + longer):
            for sent in [sent for sent, at in again or [] if at == place]:
                self.hand_in(sent.raw)
            self.mine()
        self.changed = changed
        self._happened()

    def rollback(self, depth: int) -> None:
        """Forget the last `depth` blocks; the chain is shorter until others are mined."""
        self._forget(depth)
        self._time += 1
        self._happened()

    def _forget(self, depth: int) -> None:
        first = self.head() - depth + 1
        self.wire("evm_revert", self._before[first])
        self._before = {number: kept for number, kept in self._before.items() if number < first}

    def sign(self, sender: str, **fields: Any) -> str:
        """A signed transaction, raw; missing fields get plain values."""
        if "nonce" not in fields:
            fields["nonce"] = int(
                self.wire("eth_getTransactionCount", account(sender).address, "pending"), 16
            )
        key = (sender, *sorted(fields.items()))
        if key not in self._signed:
            request = {
                "value": 0,
                "data": "0x",
                "gas": 1_000_000,
                "maxFeePerGas": 100 * 10**9,
                "maxPriorityFeePerGas": 10**9,
                "chainId": self.chain_id,
            }
            signed = account(sender).sign_transaction({**request, **fields})
            self._signed[key] = signed.raw_transaction.to_0x_hex()
        return self._signed[key]

    def hand_in(self, raw: str) -> Sent:
        """Hand a raw transaction to the node; it waits in the pool."""
        sent = Sent(str(self.wire("eth_sendRawTransaction", raw)), raw)
        self._happened()
        return sent

    def send(self, sender: str, to: str, wei: int = 0, data: str = "0x", **fields: Any) -> Sent:
        """Send a transaction; it waits in the pool."""
        return self.hand_in(self.sign(sender, to=checksummed(to), value=wei, data=data, **fields))

    def call(self, sender: str, to: str, contract: str, function: str, *arguments: Any, wei: int = 0) -> Sent:
        """Call a contract's function in a transaction."""
        return self.send(sender, to, wei, call_data(contract, function, *arguments))

    def drop(self, sent: Sent) -> None:
        """The node forgets a transaction that waits."""
        self.wire("anvil_dropTransaction", sent.tx_hash)
        self._happened()

    def set_balance(self, holder: str, wei: int) -> None:
        """Change a balance out of nothing, as rewards and withdrawals do; seen from the next block on."""
        self.wire("anvil_setBalance", holder, hex(wei))
        self._happened()

    def balance(self, holder: str) -> int:
        return int(self.wire("eth_getBalance", holder, "latest"), 16)

    def place(self, contract: str, name: str, *arguments: Any) -> str:
        """Deploy a contract from an account of its own; returns its address."""
        compiled = artifact(contract)
        constructor: Any = next((p for p in compiled.abi if p["type"] == "constructor"), None)
        data = compiled.bytecode
        if constructor:
            data += encode(get_abi_input_types(constructor), arguments).hex()
        self.wire("anvil_setBalance", account(name).address, hex(ETHER))
        sent = self.hand_in(self.sign(name, data=data, gas=5_000_000))
        self.mine()
        return str(self.wire("eth_getTransactionReceipt", sent.tx_hash)["contractAddress"]).lower()


@cache
def checksummed(text: str) -> str:
    """An address as eth_account wants it."""
    from eth_utils.address import to_checksum_address

    return str(to_checksum_address(text))


@contextmanager
def run_manual_chain(
    anvil: Path, port: int, *options: str, revenue: str = "revenue"
) -> Iterator[ManualChain]:
    """A chain with its contracts deployed, gone at the end."""
    with Anvil(anvil, port, ["--no-mining", *options]) as node:
        node.rpc("evm_setAutomine", True)
        deployment, _ = deploy(node.rpc, faucet=account("faucet"), revenue_wallet=account(revenue).address)
        wire = Wire(node.url)
        wire("evm_setAutomine", False)
        chain_id = int(wire("eth_chainId"), 16)
        made = ManualChain(wire, deployment, chain_id)
        made._time = int(wire("eth_getBlockByNumber", "latest", False)["timestamp"], 16)
        try:
            yield made
        finally:
            wire.close()
