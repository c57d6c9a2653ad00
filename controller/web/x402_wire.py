"""The wire of x402: one 402 answer for clients of version 1 (its body) and of version 2 (its header)."""

from __future__ import annotations

import base64
import json
from typing import Any

from flask import Response, jsonify, make_response, request

from controller.domain.x402 import Payload, is_key, read_payload
from controller.errors import BadInput, MalformedPayment, PaymentNeeded
from controller.services.ports_settlement import Terms
from controller.services.x402.given import PaymentView

V1_HEADER, V2_HEADER = "X-PAYMENT", "PAYMENT-SIGNATURE"
TITLE = "A GPU shell over SSH, paid by the minute; what is left stays in your wallet's balance."
MIME = "application/json"
IDENTIFIER = {
    "info": {"required": False},
    "schema": {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "required": {"type": "boolean"},
            "id": {"type": "string", "minLength": 16, "maxLength": 128, "pattern": "^[a-zA-Z0-9_-]+$"},
        },
        "required": ["required"],
    },
}


def payment_of_request() -> Payload | None:
    """The payment that a request carries; None without one.

    Raises:
        MalformedPayment: it cannot be read, or there are two.
    """
    found = [request.headers[name] for name in (V2_HEADER, V1_HEADER) if request.headers.get(name)]
    if not found:
        return None
    if len(found) > 1:
        raise MalformedPayment("Send one payment: PAYMENT-SIGNATURE or X-PAYMENT.")
    try:
        return read_payload(found[0])
    except ValueError as error:
        raise MalformedPayment(f"The payment cannot be read: {error}.") from error


def idempotency_key(payload: Payload | None) -> str | None:
    """The client's key: the header, else the payment's own identifier.

    Raises:
        BadInput: the header is too short to be kept for one client alone.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not is_key(key):
        raise BadInput("Idempotency-Key has 16 to 255 visible characters.", field="Idempotency-Key")
    return key or (payload.identifier if payload else None)


def required(terms: Terms, error: PaymentNeeded, sign_in: dict[str, Any]) -> Response:
    """The 402 answer. `X-X402-Version: 1` or `?x402_version=1` asks for the body of version 1 alone."""
    reason = str(error.detail.get("reason", "payment_required"))
    told = {**error.detail, "code": error.code, "message": error.message, "retry": False}
    body = {"x402Version": 1, "error": reason, "accepts": v1_accepts(terms), "problem": told}
    response = make_response(jsonify(body), error.status)
    if request.headers.get("X-X402-Version", request.args.get("x402_version")) != "1":
        response.headers["PAYMENT-REQUIRED"] = _encoded(v2_required(terms, reason, sign_in))
    response.headers["Access-Control-Expose-Headers"] = "PAYMENT-REQUIRED"
    return response


def v2_required(terms: Terms, reason: str, sign_in: dict[str, Any]) -> dict[str, Any]:
    """Version 2's terms: amounts, the resource, and how to come in without paying."""
    return {
        "x402Version": 2,
        "error": reason,
        "resource": {"url": terms.resource, "description": TITLE, "mimeType": MIME},
        "accepts": v2_accepts(terms),
        "extensions": {"sign-in-with-x": sign_in, "payment-identifier": IDENTIFIER},
    }


def v2_accepts(terms: Terms) -> list[dict[str, Any]]:
    return [
        {
            "scheme": "exact",
            "network": terms.network,
            "amount": str(amount),
            "asset": terms.asset,
            "payTo": terms.pay_to,
            "maxTimeoutSeconds": terms.max_timeout_s,
            "extra": {"name": terms.token.name, "version": terms.token.version},
        }
        for amount in terms.amounts
    ]


def v1_accepts(terms: Terms) -> list[dict[str, Any]]:
    """Version 1's terms; empty on a chain that version 1 has no name for."""
    if terms.v1_network is None:
        return []
    return [
        {
            "scheme": "exact",
            "network": terms.v1_network,
            "maxAmountRequired": str(amount),
            "resource": terms.resource,
            "description": TITLE,
            "mimeType": MIME,
            "payTo": terms.pay_to,
            "maxTimeoutSeconds": terms.max_timeout_s,
            "asset": terms.asset,
            "extra": {"name": terms.token.name, "version": terms.token.version},
        }
        for amount in terms.amounts
    ]


def add_receipt(response: Response, payload: Payload, paid: PaymentView | None, terms: Terms) -> None:
    """Tell a client of either version that its payment is settled."""
    if paid is None or paid.state == "settling":
        return
    network = terms.network if payload.version == 2 else terms.v1_network
    told = {"success": True, "transaction": paid.transaction, "network": network, "payer": paid.payer}
    name = "PAYMENT-RESPONSE" if payload.version == 2 else "X-PAYMENT-RESPONSE"
    response.headers[name] = _encoded(told)
    response.headers["Access-Control-Expose-Headers"] = name


def _encoded(value: dict[str, Any]) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()
