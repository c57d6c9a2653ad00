"""The OpenAPI document: every route is in it, its words are valid, and errors are those of the error tree."""

from __future__ import annotations

import re

import jsonschema_rs
import pytest
from flask import Response
from openapi_kit import undocumented
from web_kit import ORIGIN, Site

from controller import errors
from controller.domain.scopes import SCOPES

pytestmark = pytest.mark.integration


@pytest.fixture
def document(site: Site):
    answer = site.browser().get("/api/openapi.json")
    assert answer.status_code == 200
    return answer.json


def test_no_route_of_the_api_is_missing(site: Site, document) -> None:
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule), method.lower())
        for rule in site.app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
        if rule.rule.startswith(("/api/", "/.well-known/"))
    }
    assert {(path, method) for path, found in document["paths"].items() for method in found} == routes
    assert len(routes) > 30


def test_a_route_that_is_not_declared_would_be_found(site: Site) -> None:
    assert undocumented("/api/v1/new", "get", Response("{}")) == "the route is not there"
    gone = Response("{}", status=418, mimetype="application/json")
    assert undocumented("/api/v1/me", "get", gone) == "the status is not there"
    bare = Response("{}", status=200, mimetype="application/json")
    assert "required" in undocumented("/api/v1/me", "get", bare)


def test_its_schemas_are_schemas_and_every_reference_leads_somewhere(document) -> None:
    assert document["openapi"] == "3.1.0"
    named = document["components"]["schemas"]
    for name, schema in named.items():
        jsonschema_rs.meta.validate(schema)
        assert re.fullmatch(r"[A-Za-z0-9._-]+", name)
    for reference in set(re.findall(r"'\$ref': '([^']+)'", str(document))):
        assert reference.removeprefix("#/components/schemas/") in named
    ids = [found["operationId"] for path in document["paths"].values() for found in path.values()]
    assert len(ids) == len(set(ids))


def test_each_error_says_code_message_and_whether_to_retry(document) -> None:
    kinds = {kind.code: kind for kind in vars(errors).values() if hasattr(kind, "code")}
    told = {n: s for n, s in document["components"]["schemas"].items() if n.startswith("error.")}
    assert len(told) > 25
    for name, schema in told.items():
        code = name.removeprefix("error.")
        assert schema["required"] == ["code", "message", "retry"]
        if code in kinds:
            assert schema["properties"]["retry"]["const"] is kinds[code].retry
            assert schema["description"] == " ".join(kinds[code].__doc__.split())


def test_every_route_says_what_it_needs(document) -> None:
    asked = set()
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            ways = [set(way) for way in found["security"]]
            asked |= {scope for way in found["security"] for scope in way.get("token", [])}
            if path.startswith("/api/x402/"):
                assert {"token"} not in ways, "an API token is not for agents that pay"
            elif method == "post" and set() not in ways:
                assert {"session", "csrf"} in ways, path
    assert asked == set(SCOPES)


def test_what_agents_pay_with_and_what_they_are_answered(document) -> None:
    pay = document["paths"]["/api/x402/session"]["post"]
    ways = {name for way in pay["security"] for name in way}
    assert ways == {"payment", "payment_v1", "sign_in_with_x", "session_token"}
    named = {one["name"]: one["in"] for one in pay["parameters"]}
    assert named == {"x402_version": "query", "Idempotency-Key": "header", "X-X402-Version": "header"}
    assert set(pay["responses"]["402"]["headers"]) == {"PAYMENT-REQUIRED"}
    for status in ("200", "202"):
        told = pay["responses"][status]
        assert set(told["headers"]) == {"PAYMENT-RESPONSE", "X-PAYMENT-RESPONSE"}
        assert told["content"]["application/json"]["schema"]["$ref"].endswith("/Given")
    assert "`payment_used`" in pay["responses"]["409"]["description"]
    assert "`settlement_paused`" in pay["responses"]["503"]["description"]


def test_amounts_of_tokens_are_texts(document) -> None:
    minimum = document["components"]["schemas"]["RateRow"]["properties"]["minimum"]
    assert minimum["type"] == "string"


def test_anybody_may_read_it(site: Site) -> None:
    answer = site.app.test_client().get("/api/openapi.json", base_url=ORIGIN)
    assert answer.mimetype == "application/json"
    assert "axonos_" in answer.text
