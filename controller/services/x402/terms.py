"""What has to be paid by HTTP 402, and whether what came is that."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from controller.domain.profiles import GPU_MS_PER_MINUTE, PROFILES, Profile
from controller.domain.x402 import Payload, covering
from controller.errors import MalformedPayment, PaymentNeeded, RailNotOffered, UnknownProfile
from controller.services.deps import Deps
from controller.services.ports_settlement import Settler, Terms
from controller.settings_money import X402Rail

MIN_WINDOW_S = 6


@dataclass(frozen=True)
class Rail:
    """The rail where it is on."""

    settings: X402Rail
    settler: Settler


def rail(deps: Deps) -> Rail:
    """The rail's settings and who settles.

    Raises:
        RailNotOffered: it is not configured, or USDC is off.
    """
    if deps.settings.x402 is None or deps.settler is None or not deps.settings.usdc.enabled:
        raise RailNotOffered("Payments by x402 are not accepted here.")
    return Rail(deps.settings.x402, deps.settler)


def profile_of(name: str) -> Profile:
    """A profile by its name; raises UnknownProfile."""
    if name not in PROFILES:
        raise UnknownProfile(profile=name[:40])
    return PROFILES[name]


def terms(deps: Deps, path: str, profile: Profile | None = None) -> Terms:
    """What has to be paid.

    Args:
        deps: ports and settings.
        path: of the resource.
        profile: only amounts that cover its minimum claim are offered; None for all of them.

    Raises:
        RailNotOffered: the rail is off.
        ChainUnavailable: the token cannot be asked for its name.
    """
    on, chain = rail(deps), deps.settings.chain_of("usdc")
    needed = profile.gpus * GPU_MS_PER_MINUTE * deps.settings.sessions.hold_minutes if profile else 1
    return Terms(
        chain_id=chain.chain_id,
        v1_network=on.settler.v1_network(),
        asset=deps.settings.usdc.contract,
        token=on.settler.token(),
        pay_to=chain.revenue_wallet,
        amounts=tuple(covering(on.settings.amounts, needed, deps.settings.pricing.usd_per_gpu_hour)),
        max_timeout_s=on.settings.max_timeout_s,
        resource=deps.settings.web.origin + path,
    )


def chosen(asked: Terms, payload: Payload, now_ms: int) -> Terms:
    """The terms with the one amount that a payment is for.

    Raises:
        MalformedPayment: its parts contradict one another.
        PaymentNeeded: it is for something else; the reason is the protocol's.
    """
    signed = payload.authorization
    network = asked.network if payload.version == 2 else asked.v1_network
    if payload.scheme != "exact":
        raise PaymentNeeded(reason="unsupported_scheme")
    if payload.network != network:
        raise PaymentNeeded(reason="invalid_network")
    if payload.accepted is not None:
        _same(asked, payload.accepted, signed.amount)
    if signed.to != asked.pay_to.lower():
        raise PaymentNeeded(reason="invalid_exact_evm_payload_recipient_mismatch")
    if signed.amount not in asked.amounts:
        raise PaymentNeeded(reason="invalid_exact_evm_payload_authorization_value_mismatch")
    if signed.valid_before_s < now_ms // 1000 + MIN_WINDOW_S:
        raise PaymentNeeded(reason="invalid_exact_evm_payload_authorization_valid_before")
    return replace(asked, amounts=(signed.amount,))


def _same(asked: Terms, accepted: Mapping[str, Any], amount: int) -> None:
    """Version 2 echoes the entry that it pays."""
    if str(accepted.get("asset")).lower() != asked.asset.lower():
        raise PaymentNeeded(reason="invalid_payment_requirements")
    if str(accepted.get("payTo")).lower() != asked.pay_to.lower():
        raise PaymentNeeded(reason="invalid_exact_evm_payload_recipient_mismatch")
    if accepted.get("amount") != str(amount):
        raise MalformedPayment("`accepted.amount` and the signed amount differ.")
