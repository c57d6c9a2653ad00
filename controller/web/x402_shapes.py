"""What agents are answered, as the OpenAPI document has it: the protocol's own words, in its own spelling."""

# ruff: noqa: N815  (names of the x402 specification)

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from controller.web.operations import Reply

RECEIPT = {
    "PAYMENT-RESPONSE": "The receipt of a payment of version 2: base64 of JSON.",
    "X-PAYMENT-RESPONSE": "The receipt of a payment of version 1: base64 of JSON.",
}


@dataclass(frozen=True)
class TokenWords:
    """How the token names itself in signatures (EIP-712)."""

    name: str
    version: str


@dataclass(frozen=True)
class V1Accept:
    """An amount that is taken, as version 1 of the protocol offers it."""

    scheme: str
    network: str
    maxAmountRequired: str
    resource: str
    description: str
    mimeType: str
    payTo: str
    maxTimeoutSeconds: int
    asset: str
    extra: TokenWords


@dataclass(frozen=True)
class V2Accept:
    """An amount that is taken, as version 2 of the protocol offers it."""

    scheme: str
    network: str
    amount: str
    asset: str
    payTo: str
    maxTimeoutSeconds: int
    extra: TokenWords


@dataclass(frozen=True)
class V1Offer:
    """Version 1's terms; none on a chain that version 1 has no name for."""

    x402Version: int
    accepts: list[V1Accept]


@dataclass(frozen=True)
class PaymentTerms:
    """What has to be paid: the terms of version 1; `problem` says in our own words why nothing was taken."""

    x402Version: int
    error: str
    accepts: list[V1Accept]
    problem: dict[str, Any]


@dataclass(frozen=True)
class Endpoint:
    """A route for agents, and whether it takes payments."""

    method: str
    url: str
    pays: bool


@dataclass(frozen=True)
class Size:
    """A profile by its name: GPUs, and how many times faster than one GPU it burns."""

    name: str
    gpus: int
    burn_rate: int


@dataclass(frozen=True)
class Discovery:
    """Where to pay, how much, for what."""

    x402Version: int
    name: str
    description: str
    networks: list[str]
    accepts: list[V2Accept]
    v1: V1Offer
    resources: list[str]
    endpoints: list[Endpoint]
    profiles: list[Size]
    gpu_models: list[str]
    usd_per_gpu_hour: str
    extensions: list[str]
    openapi: str


TERMS = Reply(
    PaymentTerms,
    "What has to be paid, in both versions of the protocol; nothing was taken.",
    {"PAYMENT-REQUIRED": "Version 2's terms and ways to sign in instead: base64 of JSON."},
)
