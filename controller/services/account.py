"""The signed-in wallet as the header and the balance card show it."""

from __future__ import annotations

from dataclasses import dataclass

from controller.services import ledger
from controller.services.deps import Deps
from controller.services.ledger import Balance
from controller.services.wallets import Visitor


@dataclass(frozen=True)
class Me:
    """Who is signed in, and what the wallet has."""

    wallet: str
    csrf_token: str
    expires_at_ms: int
    balance: Balance
    server_now_ms: int


def me(deps: Deps, visitor: Visitor) -> Me:
    """The visitor's own account; there is no way to ask for another one."""
    with deps.database.begin() as db:
        balance = ledger.balance(db, visitor.wallet)
    return Me(visitor.wallet, visitor.csrf_token, visitor.expires_at_ms, balance, deps.clock.now_ms())
