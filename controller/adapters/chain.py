"""Reads one chain over JSON-RPC: blocks, payments to the revenue wallet, the price feed, AXGT holdings.

Nodes are asked in the order configured; the next one only where one does not answer. What a node says is
tied together by block hashes, so two nodes with different heads cannot be mixed up. It holds no key and
sends nothing. Errors carry no node addresses.
"""

from __future__ import annotations

import itertools
import logging
import re
from collections.abc import Sequence
from typing import Any

import httpx

from controller.adapters import chain_words as words
from controller.errors import ChainUnavailable, PriceUnavailable, SettingsInvalid, StateForgotten
from controller.services.ports import (
    AxgtPriceEvidence,
    Block,
    BlockMoney,
    ChainReader,
    Payment,
    PriceEvidence,
    TransactionFacts,
)
from controller.settings import Settings
from controller.settings_money import Chain

log = logging.getLogger(__name__)

TIMEOUT_S = 10
# How geth, erigon, reth and anvil say that they no longer keep the state of an old block.
FORGOTTEN = re.compile(
    r"missing trie node|historical state|prune|state .*not available|BlockOutOfRange", re.IGNORECASE
)


class Reverted(ValueError):
    """A contract refused a call; no other node would answer otherwise."""


class Web3Chain:
    """Implements `ports.ChainReader`. Safe to share between threads; opens no connection until asked."""

    def __init__(self, settings: Settings, chain: Chain | None = None) -> None:
        """Args: the settings; which of its chains, the home chain by default: `rpc_urls` are its nodes."""
        self._settings = settings
        self._chain = chain or settings.chain
        self._revenue = self._chain.revenue_wallet.lower()
        self._tokens = {
            contract.lower(): name
            for name, contract in (("usdc", settings.usdc.contract), ("axgt", settings.axgt.contract))
            if settings.chain_of("usdc" if name == "usdc" else "axgt") == self._chain
        }
        self._nodes = self._chain.rpc_urls
        self._client = httpx.Client(timeout=TIMEOUT_S, trust_env=False)
        self._ids = itertools.count(1)
        self._checked = False

    def close(self) -> None:
        """Close the connections to the nodes."""
        self._client.close()

    def genesis_hash(self) -> str:
        if not self._checked:
            self._check()
        return self.block(0).hash

    def head(self) -> Block:
        return _block(self._wanted("eth_getBlockByNumber", ["latest", False]))

    def block(self, number: int) -> Block:
        return _block(self._wanted("eth_getBlockByNumber", [hex(number), False]))

    def headers(self, first: int, last: int) -> list[Block]:
        return [self.block(number) for number in range(first, last + 1)]

    def finalized_number(self) -> int:
        return words.integer(self._wanted("eth_getBlockByNumber", ["finalized", False])["number"])

    def payments_in(self, block: Block) -> BlockMoney:
        """Everything that paid the revenue wallet in this very block, by its hash.

        Direct ETH is found in the block's transactions, tokens by their Transfer logs; only the
        transactions that match cost a receipt.
        """
        full = self._wanted("eth_getBlockByHash", [block.hash, True])
        paying = {tx["hash"] for tx in full["transactions"] if words.pays_eth(tx, self._revenue)}
        paying |= {log_["transactionHash"] for log_ in self._transfers_in(block)}
        by_hash = {tx["hash"]: tx for tx in full["transactions"] if tx["hash"] in paying}
        if len(by_hash) != len(paying):
            raise ChainUnavailable("The node's logs and its block disagree.")
        return BlockMoney([p for tx in by_hash.values() for p in self._payments(tx, block.hash)])

    def payments_in_all(self, blocks: Sequence[Block]) -> list[BlockMoney]:
        return [self.payments_in(block) for block in blocks]

    def payments_of(self, tx_hash: str) -> list[Payment]:
        tx = self._ask("eth_getTransactionByHash", [tx_hash])
        if tx is None or tx.get("blockHash") is None:
            return []
        return self._payments(tx, tx["blockHash"])

    def unsupported_tokens_of(self, tx_hash: str) -> list[str]:
        receipt = self._ask("eth_getTransactionReceipt", [tx_hash])
        to_us = words.padded(self._revenue)
        logs = [log_ for log_ in (receipt or {"logs": []})["logs"] if words.is_transfer(log_)]
        ours = {log_["address"].lower() for log_ in logs if log_["topics"][2].lower().endswith(to_us)}
        return sorted(ours - set(self._tokens))

    def transaction(self, tx_hash: str) -> TransactionFacts:
        receipt = self._ask("eth_getTransactionReceipt", [tx_hash])
        if receipt is not None:
            return TransactionFacts(
                tx_hash=tx_hash,
                known=True,
                block_number=words.integer(receipt["blockNumber"]),
                block_hash=receipt["blockHash"],
                succeeded=words.integer(receipt["status"]) == 1,
                sender=receipt["from"].lower(),
            )
        tx = self._ask("eth_getTransactionByHash", [tx_hash])
        if tx is None:
            return TransactionFacts(tx_hash, known=False)
        sender, nonce = tx["from"].lower(), words.integer(tx["nonce"])
        return TransactionFacts(tx_hash, known=True, sender=sender, nonce=nonce)

    def next_nonce(self, address: str) -> int:
        return words.integer(self._wanted("eth_getTransactionCount", [address, "latest"]))

    def eth_usd(self, block_hash: str) -> PriceEvidence:
        """The feed's round at a block.

        Raises:
            PriceUnavailable: there is no feed at that address and block, or its round is incomplete.
        """
        return self._round(self._settings.eth.usd_feed.lower(), block_hash)

    def usdc_usd(self, block_hash: str) -> PriceEvidence | None:
        feed = self._settings.usdc.usd_feed
        return None if feed is None else self._round(feed.lower(), block_hash)

    def axgt_usd(self, block_hash: str) -> AxgtPriceEvidence:
        raise PriceUnavailable(f"No pool is read at block {block_hash}.")

    def agreeing(self) -> ChainReader:
        return self

    def _round(self, feed: str, block_hash: str) -> PriceEvidence:
        at = {"blockHash": block_hash}
        try:
            round_id, answer, _, updated_at, answered_in = words.split(
                self._call(feed, words.LATEST_ROUND_DATA, at), 5
            )
            (decimals,) = words.split(self._call(feed, words.DECIMALS, at), 1)
        except ValueError as error:
            raise PriceUnavailable("The price feed gives no answer.") from error
        if answered_in < round_id:
            raise PriceUnavailable("The price feed's round is not complete.")
        return PriceEvidence(feed, round_id, words.signed(answer), decimals, updated_at, block_hash)

    def axgt_balance(self, wallet: str, block_hash: str | None = None) -> int:
        at: Any = {"blockHash": block_hash} if block_hash else "latest"
        data = words.BALANCE_OF + words.padded(wallet)
        try:
            answer = self._call(self._settings.axgt.contract, data, at)
        except Reverted as error:
            raise ChainUnavailable from error
        # Before the token existed nobody held it.
        return 0 if answer == "0x" else words.split(answer, 1)[0]

    def _check(self) -> None:
        """Once: the node serves the configured chain, and the tokens have the configured decimals."""
        chain_id = words.integer(self._wanted("eth_chainId", []))
        if chain_id != self._chain.chain_id:
            raise ChainUnavailable("The node serves another chain id than the one configured.")
        for contract, name in self._tokens.items():
            decimals = self._settings.axgt.decimals if name == "axgt" else 6
            answer = self._call(contract, words.DECIMALS, "latest")
            if answer != "0x" and words.split(answer, 1) != (decimals,):
                raise SettingsInvalid(f"{name}.contract does not have {decimals} decimals.")
        self._checked = True

    def _transfers_in(self, block: Block) -> list[dict[str, Any]]:
        topics = [words.TRANSFER, None, "0x" + words.padded(self._revenue)]
        wanted = {"blockHash": block.hash, "address": list(self._tokens), "topics": topics}
        return [log_ for log_ in self._wanted("eth_getLogs", [wanted]) if words.is_transfer(log_)]

    def _payments(self, tx: dict[str, Any], block_hash: str) -> list[Payment]:
        receipt = self._wanted("eth_getTransactionReceipt", [tx["hash"]])
        if receipt["blockHash"] != block_hash:
            raise ChainUnavailable("The chain is being reorganised.")
        if words.integer(receipt["status"]) != 1:
            return []
        return words.payments(tx, receipt, self._revenue, self._tokens)

    def _call(self, contract: str, data: str, at: Any) -> str:
        answer = self._wanted("eth_call", [{"to": contract, "data": data}, at])
        return str(answer)

    def _wanted(self, method: str, params: list[Any]) -> Any:
        answer = self._ask(method, params)
        if answer is None:
            raise ChainUnavailable
        return answer

    def _ask(self, method: str, params: list[Any]) -> Any:
        """The first answer that says something; None when every node answers, and none knows."""
        problem: ChainUnavailable | None = None
        for place, node in enumerate(self._nodes):
            answer = self._post(node, method, params)
            if answer.get("result") is not None:
                return answer["result"]
            if "error" not in answer:
                continue
            why = _reason(answer["error"])
            if "revert" in why:
                raise Reverted
            log.warning("chain node %d does not answer %s: %s", place, method, why)
            problem = StateForgotten() if FORGOTTEN.search(why) else ChainUnavailable()
        if problem:
            raise problem
        return None

    def _post(self, node: str, method: str, params: list[Any]) -> dict[str, Any]:
        asked = {"jsonrpc": "2.0", "id": next(self._ids), "method": method, "params": params}
        try:
            answer = self._client.post(node, json=asked).json()
        except (httpx.HTTPError, ValueError) as error:
            return {"error": type(error).__name__}
        return answer if isinstance(answer, dict) else {"error": "no JSON-RPC"}


def _reason(error: Any) -> str:
    return str(error.get("message", "") if isinstance(error, dict) else error)[:200]


def _block(found: dict[str, Any]) -> Block:
    return Block(
        number=words.integer(found["number"]),
        hash=found["hash"],
        parent_hash=found["parentHash"],
        timestamp_s=words.integer(found["timestamp"]),
    )
