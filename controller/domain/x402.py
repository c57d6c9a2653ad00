"""Rules of payments by HTTP 402 that need no chain and no database: payloads, offers, sign-in nonces.

Sources: the x402 specification (versions 1 and 2, scheme `exact`), EIP-3009, payments.md section 5.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from controller.domain.pricing import DOLLAR, credit_gpu_ms

USDC_DECIMALS = 6
MAX_HEADER_CHARS = 24_000
MAX_SIGNATURE_CHARS = 16_384
NONCE_LIFE_MS = 300_000
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")
_WORD = re.compile(r"0x[0-9a-fA-F]{64}")
_HEX = re.compile(r"0x(?:[0-9a-fA-F]{2})+")
_NUMBER = re.compile(r"[0-9]{1,78}")
_KEY = re.compile(r"[\x21-\x7e]{16,255}")


@dataclass(frozen=True)
class Authorization:
    """A signed transfer (EIP-3009): addresses, nonce and signature as hex, amount in the smallest unit."""

    payer: str
    to: str
    amount: int
    valid_after_s: int
    valid_before_s: int
    nonce: str
    signature: str


@dataclass(frozen=True)
class Payload:
    """What a client sends to pay. `network` is a name in version 1 and CAIP-2 in version 2.

    `accepted` is version 2's echo of the entry that it pays, None in version 1; `identifier` is the client's
    own id of the payment (extension `payment-identifier`).
    """

    version: int
    scheme: str
    network: str
    authorization: Authorization
    accepted: dict[str, Any] | None
    identifier: str | None


def read_payload(header: str) -> Payload:
    """A payment as its header carries it: base64 of JSON, in version 1 or 2.

    Raises:
        ValueError: it is none; the text says what is wrong.
    """
    found = read_object(header)
    version = found.get("x402Version")
    if version not in (1, 2) or isinstance(version, bool):
        raise ValueError("`x402Version` must be 1 or 2")
    accepted = found.get("accepted") if version == 2 else None
    if version == 2 and not isinstance(accepted, dict):
        raise ValueError("`accepted` must be the entry that is paid")
    chosen = found if accepted is None else accepted
    return Payload(
        version,
        _text(chosen, "scheme"),
        _text(chosen, "network"),
        _authorization(found.get("payload")),
        accepted,
        _identifier(found.get("extensions")),
    )


def read_object(header: str) -> dict[str, Any]:
    """The JSON object in a header of base64.

    Raises:
        ValueError: there is none.
    """
    if len(header) > MAX_HEADER_CHARS:
        raise ValueError("the header is too long")
    try:
        found = json.loads(base64.b64decode(header.encode("ascii"), validate=True))
    except (binascii.Error, ValueError, RecursionError) as error:
        raise ValueError("the header is no base64 of JSON") from error
    if not isinstance(found, dict):
        raise ValueError("the header holds no JSON object")  # noqa: TRY004 - of the header, not of ours
    return found


def _authorization(payload: Any) -> Authorization:
    signed = payload.get("authorization") if isinstance(payload, dict) else None
    if not isinstance(signed, dict):
        why = "`payload.authorization` is missing: only EIP-3009 transfers are taken"
        raise ValueError(why)  # noqa: TRY004 - the header's fault
    signature = _matching(payload, "signature", _HEX)
    if len(signature) > MAX_SIGNATURE_CHARS:
        raise ValueError("the signature is too long")
    return Authorization(
        payer=_matching(signed, "from", _ADDRESS).lower(),
        to=_matching(signed, "to", _ADDRESS).lower(),
        amount=int(_matching(signed, "value", _NUMBER)),
        valid_after_s=int(_matching(signed, "validAfter", _NUMBER)),
        valid_before_s=int(_matching(signed, "validBefore", _NUMBER)),
        nonce=_matching(signed, "nonce", _WORD).lower(),
        signature=signature,
    )


def _identifier(extensions: Any) -> str | None:
    found = extensions.get("payment-identifier") if isinstance(extensions, dict) else None
    info = found.get("info") if isinstance(found, dict) else None
    value = info.get("id") if isinstance(info, dict) else None
    if value is not None and not (isinstance(value, str) and _KEY.fullmatch(value)):
        raise ValueError("a payment's identifier has 16 to 255 visible characters")
    return value


def is_key(text: str) -> bool:
    """Whether a text serves as an idempotency key: long enough that nobody guesses it."""
    return _KEY.fullmatch(text) is not None


def _text(found: dict[str, Any], name: str) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= 64:
        raise ValueError(f"`{name}` must be a text")
    return value


def _matching(found: dict[str, Any], name: str, pattern: re.Pattern[str]) -> str:
    value = found.get(name)
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValueError(f"`{name}` has the wrong form")
    return value


def covering(amounts: Iterable[int], needed_gpu_ms: int, usd_per_gpu_hour: Decimal) -> list[int]:
    """Those amounts of USDC, in its smallest unit, that buy at least so many GPU-milliseconds."""
    return [a for a in amounts if credit_gpu_ms(a, USDC_DECIMALS, DOLLAR, usd_per_gpu_hour) >= needed_gpu_ms]


def wanted_hash(*words: str) -> str:
    """One hash of what a payment is for, so that it authorises only that."""
    return hashlib.sha256(json.dumps(words).encode()).hexdigest()


def make_nonce(key: bytes, now_ms: int, random: bytes) -> str:
    """A sign-in nonce that needs no row until it is signed: its end, a random part, a proof."""
    body = f"{now_ms + NONCE_LIFE_MS:012x}{random.hex()}"
    return body + _proof(key, body)


def nonce_end_ms(key: bytes, nonce: str, now_ms: int) -> int | None:
    """When a nonce of ours runs out; None for one that is not ours or has run out."""
    body, proof = nonce[:-32], nonce[-32:]
    if not nonce.isascii() or len(body) < 12 or not hmac.compare_digest(proof, _proof(key, body)):
        return None
    end_ms = int(body[:12], 16)
    return end_ms if end_ms > now_ms else None


def _proof(key: bytes, body: str) -> str:
    return hmac.new(key, f"axonos x402 sign-in {body}".encode(), hashlib.sha256).hexdigest()[:32]
