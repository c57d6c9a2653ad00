"""Stand-ins for the outside world that obey the same ports: a clock that is set, a chain kept in memory."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controller.errors import ChainUnavailable, NodesDisagree, PriceUnavailable
from controller.services.deps import Deps
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

REVENUE = "0x" + "ee" * 20
FEED = "0x" + "fe" * 20
AXGT = "0x" + "a1" * 20
USDC = "0x" + "c2" * 20
USDC_FEED = "0x" + "fc" * 20
AXGT_FEED = "0x" + "fa" * 20
POOL = "0x" + "b0" * 20
ALICE = "0x" + "aa" * 20
BOB = "0x" + "bb" * 20
ETHER = 10**18


def make_settings(database_url: str = "postgresql+psycopg://nowhere/none", **sections: Any) -> Settings:
    """A whole configuration; `chain={"confirmations": 3}` changes single values of a section."""
    base: dict[str, Any] = {
        "instance": "test",
        "mode": "production",
        "state_dir": "/nonexistent/state",
        "run_dir": "/nonexistent/run",
        "web": {"origin": "http://localhost:8080", "port": 8080},
        "gateway": {"url": "ws://localhost:8081", "port": 8081},
        "database": {"url": database_url},
        "chain": {
            "chain_id": 84532,
            "name": "test chain",
            "rpc_urls": ["http://127.0.0.1:1"],
            "genesis_hash": FakeChain.hash_of("genesis"),
            "revenue_wallet": REVENUE,
        },
        "eth": {"usd_feed": FEED},
        "axgt": {"contract": AXGT},
        "usdc": {"contract": USDC},
        "sessions": {"image_id": "sha256:" + "0" * 64},
        "secrets": {"web_key": "/x", "ticket_private_key": "/x", "guard_token": "/x"},
        "host": {
            "name": "local",
            "controller_url": "http://127.0.0.1:8080",
            "homes_dir": "/x",
            "run_dir": "/x",
            "ticket_public_key": "/x",
            "guard_token": "/x",
            "pages_origin": "http://localhost:8080",
        },
        "novnc_dir": Path("/x"),
        "playbooks_dir": Path("/x"),
    }
    for name, values in sections.items():
        base[name] = {**base.get(name, {}), **values} if isinstance(values, dict) else values
    return Settings.model_validate(base)


class FakeClock:
    """A clock that stands still until it is set."""

    def __init__(self, now_ms: int = 1_800_000_000_000) -> None:
        self.ms = now_ms

    def now_ms(self) -> int:
        return self.ms

    def advance(self, ms: int) -> None:
        self.ms += ms


@dataclass
class FakeChain:
    """A chain of blocks in memory: mined, paid into, reorganised, cut off. Implements `ports.ChainReader`.

    Another `name` makes another genesis, so that several can be watched side by side. AXGT prices are in
    millionths of a dollar; `usdc_usd_answer` and `axgt_second_answer` are None where there is no such feed.
    """

    blocks: list[Block] = field(default_factory=list)
    payments: dict[str, list[Payment]] = field(default_factory=dict)
    unexplained: dict[str, int] = field(default_factory=dict)
    doubtful: dict[str, tuple[str, ...]] = field(default_factory=dict)
    failed: dict[str, Block] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    senders: dict[str, tuple[str, int]] = field(default_factory=dict)
    nonces: dict[str, int] = field(default_factory=dict)
    unsupported: dict[str, list[str]] = field(default_factory=dict)
    sent: dict[str, list[Sent]] = field(default_factory=dict)
    eth_usd_answer: int = 2_000 * 10**8
    usdc_usd_answer: int | None = None
    axgt_twap: int | None = 500_000
    axgt_spot: int = 500_000
    axgt_liquidity_usd: int = 1_000_000
    axgt_second_answer: int | None = None
    feed_age_s: int = 0
    holdings: dict[str, int] = field(default_factory=dict)
    finalized: int = -1
    down: bool = False
    disagreeing: bool = False
    seconds_per_block: int = 12
    serial: Any = field(default_factory=itertools.count)
    name: str = ""

    def __post_init__(self) -> None:
        if not self.blocks:
            self.blocks.append(Block(0, self.genesis_of(self.name), "0x" + "0" * 64, 1_800_000_000))

    @staticmethod
    def hash_of(*parts: object) -> str:
        return "0x" + hashlib.sha256(repr(parts).encode()).hexdigest()

    @classmethod
    def genesis_of(cls, name: str) -> str:
        return cls.hash_of("genesis", name) if name else cls.hash_of("genesis")

    def mine(
        self, count: int = 1, payments: list[Payment] | None = None, *, unexplained_wei: int = 0
    ) -> Block:
        """Add blocks; payments and wei that nothing explains go into the first of them."""
        for number in range(count):
            last = self.blocks[-1]
            made = Block(
                last.number + 1,
                self.hash_of(last.hash, next(self.serial)),
                last.hash,
                last.timestamp_s + self.seconds_per_block,
            )
            self.blocks.append(made)
            if number == 0 and payments:
                self.payments[made.hash] = [
                    replace(p, block_number=made.number, block_hash=made.hash) for p in payments
                ]
            if number == 0 and unexplained_wei:
                self.unexplained[made.hash] = unexplained_wei
        return self.blocks[-1]

    def reorg(self, depth: int) -> None:
        """Forget the last blocks and what was paid in them; mine others with `mine`."""
        for gone in self.blocks[len(self.blocks) - depth :]:
            self.payments.pop(gone.hash, None)
            self.unexplained.pop(gone.hash, None)
        del self.blocks[len(self.blocks) - depth :]

    def send(self, tx: str, sender: str = ALICE, nonce: int = 0) -> str:
        """Let a transaction wait in the pool; returns its hash."""
        tx_hash = self.hash_of(tx)
        self.waiting.add(tx_hash)
        self.senders[tx_hash] = (sender, nonce)
        return tx_hash

    def _up(self) -> None:
        if self.down:
            raise ChainUnavailable

    def _at(self, block_hash: str) -> Block | None:
        return next((b for b in self.blocks if b.hash == block_hash), None)

    def genesis_hash(self) -> str:
        self._up()
        return self.blocks[0].hash

    def head(self) -> Block:
        self._up()
        return self.blocks[-1]

    def block(self, number: int) -> Block:
        self._up()
        if number >= len(self.blocks):
            raise ChainUnavailable
        return self.blocks[number]

    def finalized_number(self) -> int:
        self._up()
        return self.finalized

    def payments_in(self, block: Block) -> BlockMoney:
        self._up()
        paid, rest = self.payments.get(block.hash, []), self.unexplained.get(block.hash, 0)
        return BlockMoney(paid, rest, self.doubtful.get(block.hash, ()))

    def read_on(self, before: Block, to: Block) -> Iterator[tuple[Block, BlockMoney]]:
        for number in range(before.number + 1, to.number + 1):
            block = self.block(number)
            if block.parent_hash != before.hash:
                return
            yield block, self.payments_in(block)
            before = block

    def payments_of(self, tx_hash: str) -> list[Payment]:
        self._up()
        return [p for found in self.payments.values() for p in found if p.tx_hash == tx_hash]

    def unsupported_tokens_of(self, tx_hash: str) -> list[str]:
        self._up()
        return self.unsupported.get(tx_hash, [])

    def transaction(self, tx_hash: str) -> TransactionFacts:
        self._up()
        paid = self.payments_of(tx_hash)
        sender, nonce = self.senders.get(tx_hash, (None, None))
        if paid:
            at = paid[0]
            sender, nonce = sender or at.sender or at.payer, nonce if at.nonce is None else at.nonce
            return TransactionFacts(tx_hash, True, at.block_number, at.block_hash, True, sender, nonce)
        if tx_hash in self.failed:
            block = self.failed[tx_hash]
            return TransactionFacts(tx_hash, True, block.number, block.hash, False, sender, nonce)
        if tx_hash in self.unsupported:
            return TransactionFacts(tx_hash, True, 1, self.blocks[1].hash, True, sender, nonce)
        known = tx_hash in self.waiting
        return TransactionFacts(tx_hash, known, sender=sender, nonce=nonce) if known else _unknown(tx_hash)

    def sent_in(self, tx_hash: str) -> list[Sent]:
        self._up()
        return self.sent.get(tx_hash, [])

    def next_nonce(self, address: str) -> int:
        self._up()
        return self.nonces.get(address, 0)

    def _feed(self, feed: str, answer: int, block_hash: str) -> PriceEvidence:
        self._up()
        at = self._at(block_hash)
        if at is None:
            raise PriceUnavailable
        return PriceEvidence(feed, 7, answer, 8, at.timestamp_s - self.feed_age_s, block_hash)

    def eth_usd(self, block_hash: str) -> PriceEvidence:
        return self._feed(FEED, self.eth_usd_answer, block_hash)

    def usdc_usd(self, block_hash: str) -> PriceEvidence | None:
        answer = self.usdc_usd_answer
        return None if answer is None else self._feed(USDC_FEED, answer, block_hash)

    def round_at(self, rail: str, block: Block) -> PriceEvidence:
        """From the price of a round that is as old as the block."""
        self._up()
        answer = self.eth_usd_answer if rail == "eth" else self.usdc_usd_answer
        if answer is None:
            raise PriceUnavailable
        updated_at_s = block.timestamp_s - self.feed_age_s
        return PriceEvidence(FEED if rail == "eth" else USDC_FEED, 6, answer, 8, updated_at_s, block.hash)

    def axgt_usd(self, block_hash: str) -> AxgtPriceEvidence:
        self._up()
        if self.axgt_twap is None or self._at(block_hash) is None:
            raise PriceUnavailable
        answer = self.axgt_second_answer
        return AxgtPriceEvidence(
            pool=POOL,
            twap=self.axgt_twap,
            spot=self.axgt_spot,
            decimals=6,
            twap_s=1800,
            liquidity_usd=self.axgt_liquidity_usd,
            second=None if answer is None else self._feed(AXGT_FEED, answer, block_hash),
            block_hash=block_hash,
            read={"made": "up"},
        )

    def axgt_balance(self, wallet: str, block_hash: str | None = None) -> int:
        self._up()
        return self.holdings.get(wallet, 0)

    def agreeing(self) -> ChainReader:
        if self.disagreeing:
            return Disagreeing()
        return self


def _unknown(tx_hash: str) -> TransactionFacts:
    return TransactionFacts(tx_hash, False)


class Disagreeing:
    """Two nodes that never say the same."""

    def __getattr__(self, name: str) -> Any:
        def refuse(*_: object) -> Any:
            raise NodesDisagree

        return refuse


def payment(
    payer: str = ALICE, amount: int = ETHER, *, asset: str = "eth", tx: str = "tx", position: str = "eth:0"
) -> Payment:
    """A payment to the revenue wallet; the block is filled in when it is mined."""
    return Payment(FakeChain.hash_of(tx), position, asset, payer, amount, 0, "", REVENUE, payer)


class Unused:
    """A port that the code under test must not touch."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was used")


def make_deps(
    database: Any,
    chain: Any = None,
    *,
    settings: Settings | None = None,
    further: Mapping[int, Any] | None = None,
) -> Deps:
    """The ports of a service under test: real database, chains in memory, a clock that stands.

    `chain` is the home chain's reader; `further` holds those of other chains, by chain id.
    """
    numbers = itertools.count(1)
    unused: Any = Unused()
    settings = settings or make_settings()
    return Deps(
        settings=settings,
        clock=FakeClock(),
        database=database,
        chains={settings.chain.chain_id: chain or FakeChain(), **(further or {})},
        tickets=unused,
        sign_in=unused,
        new_id=lambda: f"id-{next(numbers)}",
    )
