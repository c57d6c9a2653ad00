"""Stand-ins for the outside world that obey the same ports: a clock that is set, a chain kept in memory."""

from __future__ import annotations

import hashlib
import itertools
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from controller.errors import ChainUnavailable, PriceUnavailable
from controller.services.deps import Deps
from controller.services.ports import Block, Payment, PriceEvidence, TransactionFacts
from controller.settings import Settings

REVENUE = "0x" + "ee" * 20
FEED = "0x" + "fe" * 20
AXGT = "0x" + "a1" * 20
USDC = "0x" + "c2" * 20
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
        base[name] = {**base[name], **values} if isinstance(values, dict) else values
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
    """A chain of blocks in memory: mined, paid into, reorganised, cut off. Implements `ports.ChainReader`."""

    blocks: list[Block] = field(default_factory=list)
    payments: dict[str, list[Payment]] = field(default_factory=dict)
    failed: dict[str, Block] = field(default_factory=dict)
    waiting: set[str] = field(default_factory=set)
    eth_usd_answer: int = 2_000 * 10**8
    feed_age_s: int = 0
    holdings: dict[str, int] = field(default_factory=dict)
    finalized: int = -1
    down: bool = False
    seconds_per_block: int = 12
    serial: Any = field(default_factory=itertools.count)

    def __post_init__(self) -> None:
        if not self.blocks:
            self.blocks.append(Block(0, self.hash_of("genesis"), "0x" + "0" * 64, 1_800_000_000))

    @staticmethod
    def hash_of(*parts: object) -> str:
        return "0x" + hashlib.sha256(repr(parts).encode()).hexdigest()

    def mine(self, count: int = 1, payments: list[Payment] | None = None) -> Block:
        """Add blocks; payments go into the first of them."""
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
        return self.blocks[-1]

    def reorg(self, depth: int) -> None:
        """Forget the last blocks and what was paid in them; mine others with `mine`."""
        for gone in self.blocks[len(self.blocks) - depth :]:
            self.payments.pop(gone.hash, None)
        del self.blocks[len(self.blocks) - depth :]

    def _up(self) -> None:
        if self.down:
            raise ChainUnavailable

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

    def payments_in(self, block: Block) -> list[Payment]:
        self._up()
        return self.payments.get(block.hash, [])

    def payments_of(self, tx_hash: str) -> list[Payment]:
        self._up()
        return [p for found in self.payments.values() for p in found if p.tx_hash == tx_hash]

    def transaction(self, tx_hash: str) -> TransactionFacts:
        self._up()
        paid = self.payments_of(tx_hash)
        if paid:
            return TransactionFacts(tx_hash, True, paid[0].block_number, paid[0].block_hash, True)
        if tx_hash in self.failed:
            block = self.failed[tx_hash]
            return TransactionFacts(tx_hash, True, block.number, block.hash, False)
        return TransactionFacts(tx_hash, tx_hash in self.waiting)

    def eth_usd(self, block_hash: str) -> PriceEvidence:
        self._up()
        at = next((b for b in self.blocks if b.hash == block_hash), None)
        if at is None:
            raise PriceUnavailable
        return PriceEvidence(FEED, 7, self.eth_usd_answer, 8, at.timestamp_s - self.feed_age_s, block_hash)

    def axgt_balance(self, wallet: str, block_hash: str | None = None) -> int:
        self._up()
        return self.holdings.get(wallet, 0)


def payment(
    payer: str = ALICE, amount: int = ETHER, *, asset: str = "eth", tx: str = "tx", position: str = "eth:0"
) -> Payment:
    """A payment to the revenue wallet; the block is filled in when it is mined."""
    return Payment(FakeChain.hash_of(tx), position, asset, payer, amount, 0, "")


class Unused:
    """A port that the code under test must not touch."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(f"{name} was used")


def make_deps(database: Any, chain: FakeChain | None = None, *, settings: Settings | None = None) -> Deps:
    """The ports of a service under test: real database, chain in memory, a clock that stands."""
    numbers = itertools.count(1)
    unused: Any = Unused()
    return Deps(
        settings=settings or make_settings(),
        clock=FakeClock(),
        database=database,
        chain=chain or FakeChain(),
        tickets=unused,
        sign_in=unused,
        new_id=lambda: f"id-{next(numbers)}",
    )
