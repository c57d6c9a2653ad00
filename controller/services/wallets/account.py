"""The signed-in wallet as the header and the balance card show it."""

from __future__ import annotations

from dataclasses import dataclass

from controller.services.deps import Deps
from controller.services.money import ledger
from controller.services.money.ledger import Balance
from controller.services.sessions import idle
from controller.services.wallets.sign_in import Visitor


@dataclass(frozen=True)
class Me:
    """Who is signed in, what the wallet has, and how long its desktops may be idle (0: for ever)."""

    wallet: str
    csrf_token: str
    expires_at_ms: int
    balance: Balance
    idle_minutes: int
    server_now_ms: int


def me(deps: Deps, visitor: Visitor) -> Me:
    """The visitor's own account; there is no way to ask for another one."""
    with deps.database.begin() as db:
        balance, minutes = ledger.balance(db, visitor.wallet), idle.of_wallet(db, visitor.wallet)
    now = deps.clock.now_ms()
    return Me(visitor.wallet, visitor.csrf_token, visitor.expires_at_ms, balance, minutes, now)
