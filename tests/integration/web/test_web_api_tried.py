"""The whole API tried by its own document with schemathesis: no answer of ours is a fault or undocumented.

Real PostgreSQL, seeded, some examples for each route: with a token of every scope, as a signed-in browser,
and as nobody.
"""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from sqlalchemy import text
from test_web_pages import deposit
from web_kit import ALICE, ORIGIN, Site

from controller.domain.scopes import SCOPES
from controller.services.hosts import registry as hosts

pytestmark = pytest.mark.integration
EXAMPLES = 8
SEED = 20_240_501
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
ENDS_THE_SIGN_IN = "/api/v1/sign-out"


@pytest.fixture
def furnished(site: Site) -> Site:
    """A host with GPUs, and a wallet with credit: else most of the API would only refuse."""
    deposit(site, ALICE, 10**18)
    gpus = [hosts.GpuSpec(f"SIM-{index}", "simulated") for index in range(8)]
    where = {"connection": "local", "address": "localhost", "gateway_url": "ws://localhost:8081"}
    hosts.register(site.deps, "local", gpus=gpus, simulated=True, **where)
    return site


def as_token(site: Site) -> dict[str, str]:
    made = site.browser().sign_in().post("/api/v1/tokens", {"name": "t", "scopes": list(SCOPES), "days": 300})
    return {"Authorization": f"Bearer {made.json['token']}"}


def as_browser(site: Site) -> dict[str, str]:
    browser = site.browser().sign_in()
    cookie = browser.client.get_cookie("axonos_session", domain="localhost")
    assert cookie is not None
    return {
        "Cookie": f"axonos_session={cookie.value}",
        "X-CSRF-Token": browser.csrf,
        "Origin": ORIGIN,
    }


def as_nobody(site: Site) -> dict[str, str]:
    return {}


@pytest.mark.parametrize("who", [as_token, as_browser, as_nobody])
def test_no_fault_and_no_undocumented_answer(furnished: Site, who: Any) -> None:
    site = furnished
    schema = schemathesis.openapi.from_wsgi("/api/openapi.json", site.app, base_url=ORIGIN)
    headers, tried = who(site), set()
    for found in schema.get_all_operations():
        operation = found.ok()
        if operation.path == ENDS_THE_SIGN_IN and who is as_browser:
            continue
        tried.add((operation.method, operation.path))

        @seed(SEED)
        @settings(
            max_examples=EXAMPLES if headers else 3,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode.POSITIVE))
        def attempt(case: Any) -> None:
            with site.deps.database.begin() as db:
                db.execute(text("DELETE FROM rate_limit"))
            case.call_and_validate(checks=CHECKS, headers=headers, base_url=ORIGIN)

        attempt()
    assert len(tried) > 30
