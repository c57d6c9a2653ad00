"""The routes of agents tried by their own document with schemathesis, money included: no fault, nothing undocumented.

Real PostgreSQL and a real chain, seeded: as nobody, as somebody who pays for every request, as a wallet that
signs for its balance, and with a session token.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import requests
import schemathesis
from agent_kit import DOLLAR, KEY, Platform, ask, payment
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import text
from test_x402_clients import proof

pytestmark = pytest.mark.integration
EXAMPLES = 12
SEED = 20_240_501
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ROUTES = {
    ("GET", "/.well-known/x402"),
    ("GET", "/api/x402/access"),
    ("GET", "/api/x402/session"),
    ("POST", "/api/x402/session"),
    ("POST", "/api/x402/session/end"),
}


class Nobody:
    """Comes with whatever schemathesis makes up."""

    seen = frozenset({200, 400, 401, 402})

    def __init__(self, platform: Platform) -> None:
        self.platform = platform

    def dress(self, case: Any) -> dict[str, str]:
        return {}


class Payer(Nobody):
    """Pays anew for every request, by both versions of the protocol in turn."""

    seen = frozenset({200, 402})

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self.account, self.number = platform.agent(usdc=1000 * DOLLAR), 0
        first = ask(platform, payment(platform, self.account))  # from now on a payment will do for its key
        token = {"Authorization": f"Bearer {first.json()['session_token']}"}
        assert requests.post(platform.url + "/end", headers=token, timeout=30).status_code == 200

    def dress(self, case: Any) -> dict[str, str]:
        self.number += 1
        bare(case)
        amount = (DOLLAR, 5 * DOLLAR, DOLLAR, DOLLAR + 1)[self.number % 4]
        return payment(self.platform, self.account, amount, version=1 + self.number % 2)


class Signer(Nobody):
    """Signs for a balance that is there."""

    seen = frozenset({200, 401, 409})

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        self.account = platform.agent()
        paid = payment(platform, self.account, 10 * DOLLAR)
        assert ask(platform, paid, profile="large").status_code == 200

    def dress(self, case: Any) -> dict[str, str]:
        bare(case)
        told = self.platform.terms()["extensions"]["sign-in-with-x"]
        resource = self.platform.origin + case.operation.path
        told["info"].update(uri=resource, resources=[resource])
        return {"SIGN-IN-WITH-X": proof(self.platform, self.account, told)}


class Holder(Nobody):
    """Holds the token of a session that was paid for."""

    seen = frozenset({200, 402})

    def __init__(self, platform: Platform) -> None:
        super().__init__(platform)
        given = ask(platform, payment(platform, platform.agent(), DOLLAR)).json()
        self.token = given["session_token"]

    def dress(self, case: Any) -> dict[str, str]:
        bare(case)
        return {"Authorization": f"Bearer {self.token}"}


def bare(case: Any) -> None:
    """Only the one proof that comes with the request, and a key that can be one."""
    for name in ("PAYMENT-SIGNATURE", "X-PAYMENT", "SIGN-IN-WITH-X", "Authorization"):
        case.headers.pop(name, None)
    if isinstance(case.body, dict):
        case.body["ssh_key"] = KEY


@pytest.mark.parametrize("kind", [Nobody, Payer, Signer, Holder])
def test_no_fault_and_no_undocumented_answer_to_agents(platform: Platform, kind: type[Nobody]) -> None:
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", platform.app, base_url=platform.origin)
    who, tried, told = kind(platform), set(), Counter[int]()
    for found in schema.get_all_operations():
        operation = found.ok()
        if "x402" not in operation.path:
            continue
        tried.add((operation.method.upper(), operation.path))

        @seed(SEED)
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE))
        def attempt(case: Any) -> None:
            with platform.deps.database.begin() as db:
                db.execute(text("DELETE FROM rate_limit"))
            headers = who.dress(case)
            answer = case.call_and_validate(checks=CHECKS, headers=headers, base_url=platform.origin)
            told[answer.status_code] += 1

        attempt()
    assert tried == ROUTES
    assert who.seen <= set(told), f"not met: {told}"
    platform.watch()
    platform.sound()
