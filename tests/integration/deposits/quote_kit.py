"""A market whose price moves from block to block, and people who ask and pay on it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from fakes import ALICE, BOB, FakeChain, make_deps, make_settings, payment
from sqlmodel import select

from controller.adapters.database import PostgresDatabase
from controller.models import MoneyEvent, Wallet
from controller.services.deposits import of_wallet as deposits
from controller.services.deps import Deps
from controller.services.pricing import quotes_offer

MINIMUM = 5 * 10**14  # 0.0005 ETH: a dollar, an hour at 2000
HOUR = 3_600_000


@dataclass
class Market(FakeChain):
    """A chain whose ETH price is what it was when a block was mined."""

    prices: dict[str, int] = field(default_factory=dict)

    def eth_usd(self, block_hash: str) -> Any:
        for block in self.blocks:
            self.prices.setdefault(block.hash, self.eth_usd_answer)
        return replace(super().eth_usd(block_hash), answer=self.prices[block_hash])

    def moves_to(self, usd: int) -> None:
        """From the next block on."""
        self.eth_usd(self.blocks[-1].hash)
        self.eth_usd_answer = usd * 10**8


def made(database: PostgresDatabase, chain: FakeChain | None = None, **sections: Any) -> tuple[Deps, Any]:
    chain = chain or Market()
    deps = make_deps(database, chain, settings=make_settings(**sections))
    with database.begin() as db:
        db.add_all([Wallet(address=wallet, created_at_ms=0) for wallet in (ALICE, BOB)])
    watch(deps)
    return deps, chain


def watch(deps: Deps) -> None:
    for chain_id in deps.chains:
        while deposits.watch_once(deps, chain_id):
            pass


def ask(deps: Deps, amount: Any = "min", hours: Any = None, wallet: str = ALICE, rail: str = "eth") -> Any:
    return quotes_offer.offer(deps, wallet, rail, None if hours else amount, hours)


def pay(deps: Deps, chain: FakeChain, tx: str, amount: int = MINIMUM, wallet: str = ALICE) -> MoneyEvent:
    chain.mine(payments=[payment(wallet, amount, tx=tx)])
    chain.mine(6)
    watch(deps)
    return event(deps, tx)


def event(deps: Deps, tx: str) -> MoneyEvent:
    with deps.database.begin() as db:
        return db.exec(select(MoneyEvent).where(MoneyEvent.tx_hash == FakeChain.hash_of(tx))).one()
