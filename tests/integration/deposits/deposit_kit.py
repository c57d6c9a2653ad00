"""What tests of deposits ask again and again: watch until there is nothing to do, balances, states, accounts."""

from __future__ import annotations

from typing import Any

from fakes import ALICE, ETHER, FakeChain, payment
from sqlalchemy import text
from sqlmodel import select

from controller.models import ChainCursor, MoneyEvent
from controller.services import alerts
from controller.services.deposits import of_wallet as deposits
from controller.services.deps import Deps
from controller.services.money import ledger
from controller.services.ports import Payment

HOUR = 3_600_000
MINIMUM = ETHER // 2_000  # 0.0005 ETH, a dollar at 2000 USD
BASE_ID = 8453
BASE: dict[str, Any] = {
    "chain_id": BASE_ID,
    "name": "Base",
    "rpc_urls": ["http://127.0.0.1:1"],
    "genesis_hash": FakeChain.genesis_of("base"),
    "revenue_wallet": "0x" + "ee" * 20,
}


def usdc(amount: int = 1_000_000, payer: str = ALICE, tx: str = "tx") -> Payment:
    """A transfer of USDC, one of them unless told otherwise."""
    return payment(payer, amount, asset="usdc", position="log:0", tx=tx)


def watch(deps: Deps, chain_id: int | None = None) -> int:
    """Watch until there is nothing more to do."""
    steps = 0
    while done := deposits.watch_once(deps, chain_id):
        steps += done
        assert steps < 10_000
    return steps


def has(deps: Deps, wallet: str = ALICE) -> int:
    with deps.database.begin() as db:
        return ledger.balance(db, wallet).gpu_ms


def event_of(deps: Deps, tx: str = "tx") -> MoneyEvent:
    with deps.database.begin() as db:
        (found,) = db.exec(select(MoneyEvent).where(MoneyEvent.tx_hash == FakeChain.hash_of(tx))).all()
    return found


def state(deps: Deps, tx: str = "tx") -> str:
    return event_of(deps, tx).state


def tokens(deps: Deps, code: str) -> int:
    """What an account of tokens holds."""
    query = text("SELECT coalesce(sum(credits - debits), 0) FROM account WHERE code = :code")
    with deps.database.begin() as db:
        return int(db.connection().execute(query, {"code": code}).scalar() or 0)


def alerts_of(deps: Deps) -> list[alerts.Alert]:
    with deps.database.begin() as db:
        return alerts.open_alerts(db)


def sound(deps: Deps) -> None:
    assert ledger.audit(deps) == []


def cursor(deps: Deps) -> ChainCursor:
    """How far the watcher has come."""
    with deps.database.begin() as db:
        return db.get_one(ChainCursor, 84532)
