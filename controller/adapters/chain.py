"""Reads one chain over JSON-RPC: blocks, payments to the revenue wallets, prices, AXGT holdings.

It holds no key and sends nothing. Which nodes are asked, and what they must agree on, is `chain_pool`'s; what
they are asked is `chain_payments`', `chain_prices`' and this module's. Errors carry no node addresses.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, TypeVar

import httpx

from controller.adapters import chain_words as words
from controller.adapters.chain_blocks import facts, header, linked, own_blocks
from controller.adapters.chain_found import Found, same_money
from controller.adapters.chain_node import Node, NodeFailed, Refusal, Unknown
from controller.adapters.chain_nodes import Lagging, WrongChain
from controller.adapters.chain_payments import MoneyReader
from controller.adapters.chain_pool import Pool, equal
from controller.adapters.chain_prices import PriceReader
from controller.adapters.chain_standing import Memory
from controller.errors import ChainUnavailable, SettingsInvalid
from controller.services.ports import (
    AxgtPriceEvidence,
    Block,
    BlockMoney,
    ChainReader,
    Payment,
    PriceEvidence,
    Sent,
    TransactionFacts,
)
from controller.settings import Settings
from controller.settings_money import Chain

T = TypeVar("T")

# Blocks read at once; and how deep below the head a block must be to be left out when it holds nothing: a
# reorganisation of 256 blocks stands on the block under them.
STRETCH = 1024
DEEP = 257


class Web3Chain:
    """Implements `ports.ChainReader`. Safe to share between threads; opens no connection until asked."""

    def __init__(
        self,
        settings: Settings,
        chain: Chain | None = None,
        *,
        pool: Pool | None = None,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: the settings; which of its chains, the home chain by default; a clock in seconds.

        With `pool`, the nodes of another reader of this chain, two must agree on everything.
        """
        self._settings = settings
        self._chain = chain or settings.chain
        self._tokens = {
            contract.lower(): name
            for name, contract in (("usdc", settings.usdc.contract), ("axgt", settings.axgt.contract))
            if settings.chain_of("usdc" if name == "usdc" else "axgt") == self._chain
        }
        self._checked = self._insists = pool is not None
        self._http: httpx.Client | None = None
        self._pool = pool or Pool(self._open(monotonic), self._verify, monotonic)
        self._agreeing: ChainReader | None = None
        self._memories: dict[int, Memory] = {}

    def _open(self, monotonic: Callable[[], float]) -> list[Node]:
        # The certificates of the world take 50 ms to load.
        secure = any(url.lower().startswith("https:") for url in self._chain.rpc_urls)
        limits = httpx.Limits(max_connections=None)
        self._http = httpx.Client(trust_env=False, limits=limits, verify=secure)
        # Named twice it is still one node, and agrees with itself.
        urls = enumerate(dict.fromkeys(self._chain.rpc_urls))
        return [Node(place, url, self._http, monotonic) for place, url in urls]

    def close(self) -> None:
        """Close the connections to the nodes."""
        if self._http is not None:
            self._http.close()

    def agreeing(self) -> ChainReader:
        if self._agreeing is None:
            self._agreeing = Web3Chain(self._settings, self._chain, pool=self._pool)
        return self._agreeing

    def genesis_hash(self) -> str:
        """The chain's genesis block; another one than configured where no node serves the configured one."""
        try:
            found = self._pool.first(self._genesis)
        except ChainUnavailable:
            strayed = self._stray_genesis()
            if strayed is None:
                raise
            return strayed
        if not self._checked:
            self._pool.first(self._check_decimals)
            self._checked = True
        return found

    def head(self) -> Block:
        return self._pool.newest(lambda node: header(node, "latest"), lambda block: block.number)

    def block(self, number: int) -> Block:
        def read(node: Node) -> Block:
            return header(node, hex(number))

        return self._told(read) if self._insists else self._pool.by_number(read)

    def finalized_number(self) -> int:
        def read(node: Node) -> int:
            try:
                return header(node, "finalized").number
            except Refusal:
                return -1  # a chain without that tag: nothing is final yet

        return self._pool.final(read)

    def payments_in(self, block: Block) -> BlockMoney:
        return self._money([block])[0]

    def read_on(self, before: Block, to: Block) -> Iterator[tuple[Block, BlockMoney]]:
        while before.number < to.number:
            last = min(before.number + STRETCH, to.number)
            headers = self._headers(before.number + 1, last, to)
            blocks = linked(before, headers)
            if not blocks:
                return
            if len(blocks) < len(headers):
                self._pool.blame_pinned("its blocks do not follow one another")
            for block, money in zip(blocks, self._money(blocks), strict=True):
                nothing = not (money.payments or money.unexplained_wei)
                if block is blocks[-1] or not nothing or block.number > to.number - DEEP:
                    yield block, money
            if blocks[-1].number < last:
                return
            before = blocks[-1]

    def payments_of(self, tx_hash: str) -> list[Payment]:
        def read(node: Node) -> list[Found]:
            return [self._reader(node).read_transaction(tx_hash)]

        return self._told(read, same_money)[0].money.payments

    def sent_in(self, tx_hash: str) -> list[Sent]:
        return self._told(lambda node: self._reader(node).read_sent(tx_hash))

    def unsupported_tokens_of(self, tx_hash: str) -> list[str]:
        def read(node: Node) -> list[str]:
            receipt = node.ask("eth_getTransactionReceipt", tx_hash) or {"logs": []}
            logs = [entry for entry in receipt["logs"] if words.is_transfer(entry)]
            ours = {words.address(e["address"]) for e in logs if words.paid_to(e) in self._chain.wallets}
            return sorted(ours - set(self._tokens))

        return self._pool.first(read)

    def transaction(self, tx_hash: str) -> TransactionFacts:
        return self._pool.first(lambda node: facts(node, tx_hash))

    def next_nonce(self, address: str) -> int:
        return self._pool.first(
            lambda node: words.integer(node.ask("eth_getTransactionCount", address, "latest"))
        )

    def eth_usd(self, block_hash: str) -> PriceEvidence:
        """The feed's round at a block.

        Raises:
            PriceUnavailable: there is no feed at that address and block, or its round is incomplete.
        """
        return self._told(lambda node: self._prices(node, block_hash).feed(self._settings.eth.usd_feed))

    def usdc_usd(self, block_hash: str) -> PriceEvidence | None:
        feed = self._settings.usdc.usd_feed
        return None if feed is None else self._told(lambda node: self._prices(node, block_hash).feed(feed))

    def axgt_usd(self, block_hash: str) -> AxgtPriceEvidence:
        return self._told(lambda node: self._prices(node, block_hash).axgt())

    def round_at(self, rail: Literal["eth", "usdc"], block: Block) -> PriceEvidence:
        feed = self._settings.eth.usd_feed if rail == "eth" else self._settings.usdc.usd_feed
        return self._told(lambda node: self._prices(node, block.hash).earlier(feed, block.timestamp_s))

    def axgt_balance(self, wallet: str, block_hash: str | None = None) -> int:
        at: Any = {"blockHash": block_hash} if block_hash else "latest"
        call = {"to": self._settings.axgt.contract, "data": words.BALANCE_OF + words.padded(wallet)}

        def read(node: Node) -> int:
            answer = node.ask("eth_call", call, at)
            # Before the token existed nobody held it.
            return 0 if answer == "0x" else words.split(answer, 1)[0]

        return self._told(read) if block_hash else self._pool.first(read)

    def _told(self, read: Callable[[Node], T], same: Callable[[T, T], T | None] | None = None) -> T:
        """What is tied to a hash: two nodes must not contradict each other, or must both say it."""
        same = same or equal
        return self._pool.agreed(read, same) if self._insists else self._pool.compared(read, same)

    def _money(self, blocks: Sequence[Block]) -> list[BlockMoney]:
        def read(node: Node) -> list[Found]:
            return self._reader(node).read(blocks)

        if self._insists:
            return [view.money for view in self._pool.agreed(read, same_money)]
        try:
            found = self._pool.compared(read, same_money, up_to=blocks[-1].number)
        except Lagging:
            self._pool.blame_pinned("nobody knows its blocks")
            raise
        if len(self._pool.nodes) > 1 and any(view.money.doubtful for view in found):
            # Logs that the token's balances do not bear out: two nodes must say it, a lying one may not.
            found = self._pool.agreed(read, same_money)
        return [view.money for view in found]

    def _reader(self, node: Node) -> MoneyReader:
        trace = self._chain.trace != "off"
        if node.place in self._pool.suspects:
            self._pool.suspects.discard(node.place)
            self._memories.pop(node.place, None)
        memory = self._memories.setdefault(node.place, Memory())
        memory.trim()
        return MoneyReader(node, self._chain.wallets, self._tokens, memory, trace=trace)

    def _prices(self, node: Node, block_hash: str) -> PriceReader:
        return PriceReader(node, self._settings, self._chain, block_hash)

    def _headers(self, first: int, last: int, to: Block) -> list[Block]:
        """Headers by number, of the node whose head `to` is."""
        numbers = range(first, min(last, to.number - 1) + 1)
        found = self._pool.pinned(lambda node: own_blocks(node, numbers))
        return [*found, *([to] if last == to.number else [])]

    def _verify(self, node: Node) -> None:
        """Raises WrongChain unless the node serves the configured chain, by its id and its genesis."""
        if words.integer(node.ask("eth_chainId")) != self._chain.chain_id:
            raise WrongChain("The node serves another chain id than the one configured.")
        self._genesis(node)

    def _genesis(self, node: Node) -> str:
        found = header(node, "0x0").hash
        if found != self._chain.genesis_hash.lower():
            raise WrongChain("The node serves another chain: its genesis block is not the one configured.")
        return found

    def _stray_genesis(self) -> str | None:
        for node in self._pool.order():
            try:
                if words.integer(node.ask("eth_chainId")) == self._chain.chain_id:
                    return header(node, "0x0").hash
            except (NodeFailed, Refusal, Unknown, ValueError, KeyError, TypeError, AttributeError):
                continue
        return None

    def _check_decimals(self, node: Node) -> None:
        for contract, name in self._tokens.items():
            decimals = self._settings.axgt.decimals if name == "axgt" else 6
            answer = node.ask("eth_call", {"to": contract, "data": words.DECIMALS}, "latest")
            if answer != "0x" and words.split(answer, 1) != (decimals,):
                raise SettingsInvalid(f"{name}.contract does not have {decimals} decimals.")
