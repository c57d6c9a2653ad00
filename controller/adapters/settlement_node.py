"""The nodes of the chain that x402 is paid on, as one who sends asks them: calls, fees, nonces, receipts.

An answer that a contract gives by reverting is an answer; a node that gives none lets the next one be asked.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx
from eth_abi.abi import decode, encode
from eth_utils.abi import function_abi_to_4byte_selector, get_abi_input_types, get_abi_output_types
from eth_utils.crypto import keccak

from controller.adapters import chain_words as words
from controller.adapters.chain_node import Node, Refusal
from controller.adapters.chain_nodes import WrongChain
from controller.adapters.chain_pool import Pool
from controller.errors import ChainUnavailable
from controller.services.ports_settlement import Sending
from controller.settings_money import Chain

FEES_KEPT_S = 2.0
_KNOWN = re.compile(r"already known|already imported|known transaction|AlreadyKnown", re.IGNORECASE)
_NONCE = re.compile(r"nonce too low|nonce is too low|NonceTooLow", re.IGNORECASE)


class Reverted(Exception):
    """A contract refused a call; the text is its reason."""


@dataclass(frozen=True)
class Fees:
    """Wei for a unit of gas: the most to pay, what of it is the tip, and what gas costs just now."""

    most: int
    tip: int
    price: int


class SettlementNodes:
    """Asks the nodes in order. Its methods raise ChainUnavailable when none answers."""

    def __init__(self, chain: Chain, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._chain, self._monotonic = chain, monotonic
        secure = any(url.lower().startswith("https:") for url in chain.rpc_urls)
        self._http = httpx.Client(trust_env=False, limits=httpx.Limits(max_connections=None), verify=secure)
        nodes = [Node(n, url, self._http, monotonic) for n, url in enumerate(dict.fromkeys(chain.rpc_urls))]
        self._pool = Pool(nodes, self._verify, monotonic)
        self._fees: tuple[float, Fees] | None = None
        self._lock = threading.Lock()
        self._selectors: dict[int, tuple[Any, bytes, list[str], list[str]]] = {}

    def close(self) -> None:
        """Close the connections to the nodes."""
        self._http.close()

    def ask(self, method: str, *params: Any) -> Any:
        """One question's result; raises Reverted where the contract refused, not the node."""

        def read(node: Node) -> Any:
            try:
                return node.ask(method, *params)
            except Refusal as refusal:
                if refusal.reverted:
                    return Reverted(str(refusal))
                raise

        found = self._pool.first(read)
        if isinstance(found, Reverted):
            raise found
        return found

    def call(self, sender: str, to: str, abi: list[dict[str, Any]], name: str, *args: Any) -> Any:
        """What a contract's function answers; one value by itself, several as a tuple."""
        data, outputs = self.encoded(abi, name, *args)
        answer = self.ask("eth_call", {"from": sender, "to": to, "data": data}, "latest")
        if not outputs:
            return None
        found = decode(outputs, bytes.fromhex(answer.removeprefix("0x")))
        return found[0] if len(found) == 1 else found

    def encoded(self, abi: list[dict[str, Any]], name: str, *args: Any) -> tuple[str, list[str]]:
        """A call's data, and the types of its answer."""
        known = self._selectors.get(id(abi))
        if known is None or known[0] is not abi:
            function: Any = next(part for part in abi if part.get("name") == name)
            selector = function_abi_to_4byte_selector(function)
            known = abi, selector, get_abi_input_types(function), get_abi_output_types(function)
            self._selectors[id(abi)] = known
        return "0x" + (known[1] + encode(known[2], args)).hex(), known[3]

    def fees(self) -> Fees:
        """What gas costs, read anew every few seconds."""
        with self._lock:
            now = self._monotonic()
            if self._fees is None or now > self._fees[0] + FEES_KEPT_S:
                price = words.integer(self.ask("eth_gasPrice"))
                tip = self._tip(price)
                self._fees = now, Fees(2 * price + tip, tip, price)
            return self._fees[1]

    def _tip(self, price: int) -> int:
        try:
            return min(words.integer(self.ask("eth_maxPriorityFeePerGas")), price)
        except (ChainUnavailable, Reverted):
            return price // 10

    def send(self, raw: str) -> Sending:
        """Send a transaction; sending it twice is no error.

        A node may say no and have it all the same: it failed after taking it, or another one passed it on and
        it is in a block by now. So it is looked for before a refusal is believed.
        """
        tx_hash = "0x" + keccak(hexstr=raw).hex()

        def read(node: Node) -> Sending:
            try:
                node.ask("eth_sendRawTransaction", raw)
            except Refusal as refusal:
                why = str(refusal)
                if _KNOWN.search(why) or node.ask("eth_getTransactionByHash", tx_hash) is not None:
                    return Sending("taken")
                return Sending("nonce" if _NONCE.search(why) else "refused", why)
            return Sending("taken")

        return self._pool.first(read)

    def count(self, address: str, at: str) -> int:
        """How many transactions of an address a node counts, `latest` or `pending`."""
        return words.integer(self.ask("eth_getTransactionCount", address, at))

    def _verify(self, node: Node) -> None:
        if words.integer(node.ask("eth_chainId")) != self._chain.chain_id:
            raise WrongChain("The node serves another chain id than the one configured.")
        found = node.ask("eth_getBlockByNumber", "0x0", False) or {}
        if found.get("hash") != self._chain.genesis_hash.lower():
            raise WrongChain("The node serves another chain: its genesis block is not the one configured.")
