"""Access by payment or by signature without a session: the balance, topped up or just told; and discovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.domain.metering import minutes_left
from controller.domain.profiles import PROFILES
from controller.domain.x402 import Payload, wanted_hash
from controller.errors import NotEnoughCredit
from controller.services.deps import Deps
from controller.services.money import ledger
from controller.services.ports_settlement import Terms
from controller.services.queue import gpu_choice
from controller.services.x402.desk import Desk
from controller.services.x402.given import PaymentView, payment_view


@dataclass(frozen=True)
class AccessView:
    """What a wallet may spend: whole minutes on one GPU, and the same exactly."""

    access: bool
    wallet: str
    remaining_minutes: int
    balance_gpu_ms: int
    payment: PaymentView | None


def for_payment(
    deps: Deps, desk: Desk, asked: Terms, payload: Payload, *, key: str | None, caller: str
) -> AccessView:
    """Settle a payment and book it as credit; raises as `Desk.take`."""
    outcome = desk.take(asked, payload, wanted_hash("access"), key=key, caller=caller)
    return _view(deps, outcome.row.payer, payment_view(asked, outcome))


def for_balance(deps: Deps, wallet: str) -> AccessView:
    """What a wallet that signed for it has; raises NotEnoughCredit where that is nothing."""
    found = _view(deps, wallet, None)
    if not found.access:
        raise NotEnoughCredit(available_gpu_ms=found.balance_gpu_ms)
    return found


def described(deps: Deps, terms: Terms, v1: list[dict[str, Any]], v2: list[dict[str, Any]]) -> dict[str, Any]:
    """What `/.well-known/x402` says: where to pay, how much, for what, and what happens then."""
    origin = deps.settings.web.origin
    return {
        "x402Version": 2,
        "name": "AxonOS GPU shells",
        "description": "GPU shells over SSH, paid by the minute in USDC.",
        "networks": [terms.network, *([terms.v1_network] if terms.v1_network else [])],
        "accepts": v2,
        "v1": {"x402Version": 1, "accepts": v1},
        "resources": [f"{origin}/api/x402/session", f"{origin}/api/x402/access"],
        "endpoints": [
            {"method": "POST", "url": f"{origin}/api/x402/session", "pays": True},
            {"method": "GET", "url": f"{origin}/api/x402/access", "pays": True},
            {"method": "GET", "url": f"{origin}/api/x402/session", "pays": False},
            {"method": "POST", "url": f"{origin}/api/x402/session/end", "pays": False},
        ],
        "profiles": [{"name": p.name, "gpus": p.gpus, "burn_rate": p.gpus} for p in PROFILES.values()],
        "gpu_models": [one.model for one in gpu_choice.models(deps)],
        "usd_per_gpu_hour": str(deps.settings.pricing.usd_per_gpu_hour),
        "extensions": ["sign-in-with-x", "payment-identifier"],
        "openapi": f"{origin}/api/openapi.json",
    }


def _view(deps: Deps, wallet: str, paid: PaymentView | None) -> AccessView:
    with deps.database.begin() as db:
        gpu_ms = ledger.balance(db, wallet).available_gpu_ms
    return AccessView(gpu_ms > 0, wallet, minutes_left(gpu_ms, 1), gpu_ms, paid)
