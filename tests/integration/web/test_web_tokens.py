"""API tokens: shown once, kept as a hash, good for their scopes alone; and the attacks on them."""

from __future__ import annotations

import hmac
import logging
from typing import Any

import pytest
from sqlmodel import select
from web_kit import ALICE, BOB, MAGIC, ORIGIN, Browser, Site

from controller.domain.scopes import SCOPES
from controller.models import ApiToken
from controller.services.wallets import api_tokens, contract_sessions
from controller.services.wallets.sign_in import hash_secret
from controller.web.operations import operation_of

pytestmark = pytest.mark.integration
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIE0RDBFI1nhR6bMWCTp9Hh0AEYyjI3n3OKaKRXmCsuXo me@laptop"
# Every route that takes a token, and what it needs; a change here is a change of what tokens may do.
NEEDS = {
    "account.me": "account:read",
    "api_money.rates": "account:read",
    "api_money.read_quote": "account:read",
    "api_money.list_deposits": "account:read",
    "api_money.make_quote": "payments:write",
    "api_money.hint": "payments:write",
    "api_home.show": "files:read",
    "api_home.files": "files:write",
    "api_home.snapshot": "files:write",
    "api_home.restore": "files:write",
    "api_home.drop": "files:write",
    "api_home.recover": "files:write",
    "api_sessions.profiles": "account:read",
    "api_sessions.current": "sessions:read",
    "api_sessions.claim": "sessions:write",
    "api_sessions.heartbeat": "sessions:write",
    "api_sessions.detach": "sessions:write",
    "api_sessions.attach": "sessions:write",
    "api_sessions.close": "sessions:write",
    "api_sessions.end": "sessions:write",
    "api_sessions.idle": "sessions:write",
    "api_sessions.idle_for_all": "sessions:write",
    "api_sessions.queue": "sessions:read",
    "api_sessions.outlook": "sessions:read",
    "api_sessions.accept": "sessions:write",
    "api_sessions.stream": "sessions:write",
    "api_ssh_keys.list_keys": "keys:read",
    "api_ssh_keys.add_key": "keys:write",
    "api_ssh_keys.rename_key": "keys:write",
    "api_ssh_keys.remove_key": "keys:write",
    "api_statement.statement": "account:read",
    "api_statement.statement_csv": "account:read",
    "api_statement.statement_json": "account:read",
}
BROWSER_ONLY = {
    "account.sign_out",
    "api_home.delete",
    "api_statement.assign",
    "api_statement.assign_words",
    "api_tokens.list_tokens",
    "api_tokens.make_token",
    "api_tokens.revoke_token",
}


def make(browser: Browser, *scopes: str, **more: Any) -> str:
    made = browser.post("/api/v1/tokens", {"name": "script", "scopes": list(scopes), **more})
    assert made.status_code == 201, made.json
    return str(made.json["token"])


def ask(site: Site, token: str, path: str, method: str = "GET", **kwargs: Any) -> Any:
    """A request of a script: no cookie, no Origin."""
    headers = {"Authorization": f"Bearer {token}", **kwargs.pop("headers", {})}
    body = {} if method == "POST" else None
    sent = {"json": body, "buffered": True, **kwargs}
    return site.app.test_client().open(path, method=method, base_url=ORIGIN, headers=headers, **sent)


def code(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]["code"]


def routes(site: Site) -> list[tuple[str, str, str]]:
    """Every route of the API as (endpoint, method, path)."""
    found = [
        (r.endpoint, method, r.rule.replace("<", "").replace(">", ""))
        for r in site.app.url_map.iter_rules()
        for method in ("GET", "POST")
        if method in (r.methods or ()) and r.rule.startswith("/api/v1/")
    ]
    assert len(found) > 25
    return found


def test_a_token_speaks_for_its_wallet_without_cookie_origin_or_csrf_token(site: Site) -> None:
    token = make(site.browser().sign_in(), "account:read", "keys:read", "keys:write")
    me = ask(site, token, "/api/v1/me")
    assert me.json["wallet"] == ALICE.address.lower()
    assert me.json["csrf_token"] == ""
    added = ask(site, token, "/api/v1/ssh-keys", "POST", json={"public_key": KEY})
    assert added.status_code == 201
    assert len(ask(site, token, "/api/v1/ssh-keys").json["keys"]) == 1
    assert "Set-Cookie" not in me.headers


def test_it_is_shown_once_and_kept_as_a_hash(site: Site) -> None:
    browser = site.browser().sign_in()
    token = make(browser, "account:read")
    listed = browser.get("/api/v1/tokens")
    secret = token.rpartition("_")[2]
    assert secret not in listed.text
    (line,) = listed.json["tokens"]
    assert (line["name"], line["scopes"], line["last_used_at_ms"]) == ("script", ["account:read"], None)
    with site.deps.database.begin() as db:
        (row,) = db.exec(select(ApiToken)).all()
        assert row.token_hash == hash_secret(token)
        assert secret not in str(row.model_dump())
    ask(site, token, "/api/v1/me")
    assert browser.get("/api/v1/tokens").json["tokens"][0]["last_used_at_ms"] == site.clock.now_ms()


def test_what_each_route_needs_is_declared_once(site: Site) -> None:
    declared = {endpoint: operation_of_in(site, endpoint) for endpoint, _, _ in routes(site)}
    assert all(declared.values()), [endpoint for endpoint, found in declared.items() if found is None]
    assert {e: o.scope for e, o in declared.items() if o.scope} == NEEDS
    assert {e for e, o in declared.items() if not o.scope and not o.public} == BROWSER_ONLY


def operation_of_in(site: Site, endpoint: str) -> Any:
    with site.app.app_context():
        return operation_of(endpoint)


@pytest.mark.parametrize("missing", sorted(SCOPES))
def test_a_token_with_every_other_scope_reaches_nothing_of_this_one(site: Site, missing: str) -> None:
    token = make(site.browser().sign_in(), *(set(SCOPES) - {missing}))
    for endpoint, method, path in routes(site):
        if NEEDS.get(endpoint) == missing and not operation_of_in(site, endpoint).public:
            answer = ask(site, token, path, method)
            assert code(answer) == (403, "scope_needed"), path
            assert answer.json["error"]["scope"] == missing


def test_a_token_makes_lists_and_takes_back_no_tokens_and_signs_nobody_out(site: Site) -> None:
    """Also with the browser's own cookie and CSRF token beside it: the token alone says what may be done."""
    browser = site.browser().sign_in()
    token = make(browser, *SCOPES)
    for endpoint, method, path in routes(site):
        if endpoint in BROWSER_ONLY:
            assert code(ask(site, token, path, method)) == (403, "scope_needed"), path
    headers = {"Authorization": f"Bearer {token}"}
    more = browser.post("/api/v1/tokens", {"name": "more", "scopes": ["account:read"]}, headers)
    assert code(more) == (403, "scope_needed")
    assert len(browser.get("/api/v1/tokens").json["tokens"]) == 1


def test_a_token_is_no_session_cookie_and_a_session_no_token(site: Site) -> None:
    browser = site.browser().sign_in()
    token = make(browser, *SCOPES)
    thief = site.browser()
    thief.client.set_cookie("axonos_session", token, domain="localhost")
    assert code(thief.get("/api/v1/me")) == (401, "sign_in_needed")
    cookie = browser.client.get_cookie("axonos_session", domain="localhost")
    assert cookie is not None
    assert code(ask(site, cookie.value, "/api/v1/me")) == (401, "token_refused")


def test_it_runs_out(site: Site) -> None:
    token = make(site.browser().sign_in(), "account:read", days=2)
    site.clock.advance(2 * api_tokens.DAY_MS - 1)
    assert ask(site, token, "/api/v1/me").status_code == 200
    site.clock.advance(1)
    assert code(ask(site, token, "/api/v1/me")) == (401, "token_refused")
    assert "run out" in ask(site, token, "/api/v1/me").json["error"]["message"]


def test_it_is_taken_back_at_once_and_by_its_owner_alone(site: Site) -> None:
    alice, bob = site.browser().sign_in(ALICE), site.browser().sign_in(BOB)
    token = make(alice, "account:read")
    (line,) = alice.get("/api/v1/tokens").json["tokens"]
    assert bob.get("/api/v1/tokens").json["tokens"] == []
    assert code(bob.post(f"/api/v1/tokens/{line['id']}/revoke")) == (404, "not_found")
    assert ask(site, token, "/api/v1/me").status_code == 200
    assert alice.post(f"/api/v1/tokens/{line['id']}/revoke").json == {"revoked": True}
    assert code(ask(site, token, "/api/v1/me")) == (401, "token_refused")
    assert code(alice.post(f"/api/v1/tokens/{line['id']}/revoke")) == (404, "not_found")


def test_it_reaches_nothing_of_another_wallet(site: Site) -> None:
    bob = site.browser().sign_in(BOB)
    key_id = bob.post("/api/v1/ssh-keys", {"public_key": KEY}).json["id"]
    token = make(site.browser().sign_in(ALICE), *SCOPES)
    forged = {"X-Wallet-Address": BOB.address}
    assert ask(site, token, f"/api/v1/me?wallet={BOB.address}", headers=forged).json["wallet"] == (
        ALICE.address.lower()
    )
    for verb in ("rename", "remove"):
        answer = ask(site, token, f"/api/v1/ssh-keys/{key_id}/{verb}", "POST", json={"name": "mine"})
        assert code(answer) == (404, "not_found")
    assert len(bob.get("/api/v1/ssh-keys").json["keys"]) == 1


def test_every_wrong_token_is_refused_alike(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unknown, with another secret, another id, cut, doubled, too long; each after one comparison of hashes."""
    browser = site.browser().sign_in()
    one, two = make(browser, "account:read"), make(browser, "keys:read")
    compared: list[tuple[int, int]] = []
    real = hmac.compare_digest

    def watched(a: bytes, b: bytes) -> bool:
        compared.append((len(a), len(b)))
        return real(a, b)

    monkeypatch.setattr(api_tokens.hmac, "compare_digest", watched)
    swapped = one.rpartition("_")[0] + "_" + two.rpartition("_")[2]
    wrong = [
        "x",
        "axonos_",
        "axonos__",
        one[:-1],
        one + "a",
        one * 2,
        swapped,
        one.upper(),
        "é" * 9,
        "a" * 9000,
    ]
    for token in wrong:
        compared.clear()
        answer = ask(site, token.encode().decode("latin-1"), "/api/v1/me")
        assert code(answer) == (401, "token_refused"), token
        assert answer.json["error"] == {
            "code": "token_refused",
            "message": "This API token is unknown or was taken back. Make a new one on the site.",
            "retry": False,
        }
        assert len(compared) == 1
    assert compared[-1][1] == 64
    assert ask(site, one, "/api/v1/me").status_code == 200


def test_guesses_are_counted(site: Site) -> None:
    answers = [ask(site, f"axonos_{n}_guess", "/api/v1/me") for n in range(121)]
    assert code(answers[119]) == (401, "token_refused")
    assert code(answers[120]) == (429, "too_many_requests")


def test_it_is_read_from_its_header_alone(site: Site) -> None:
    token = make(site.browser().sign_in(), *SCOPES)
    client = site.app.test_client()
    for name in ("token", "access_token", "api_key", "Authorization"):
        assert client.get(f"/api/v1/me?{name}={token}", base_url=ORIGIN).status_code == 401
    basic = client.get("/api/v1/me", base_url=ORIGIN, headers={"Authorization": f"Basic {token}"})
    assert code(basic) == (401, "sign_in_needed")
    # Pages take cookies only.
    page = client.get("/keys", base_url=ORIGIN, headers={"Authorization": f"Bearer {token}"})
    assert (page.status_code, page.headers["Location"]) == (302, "/launch")


def test_it_stands_in_no_log(site: Site, monkeypatch, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    browser = site.browser().sign_in()
    token = make(browser, *SCOPES)

    def fault(*_: object) -> None:
        raise ValueError("a fault of ours")

    monkeypatch.setattr("controller.services.wallets.account.me", fault)
    assert ask(site, token, "/api/v1/me").status_code == 500
    ask(site, token + "x", "/api/v1/me")
    assert "unexpected error in GET /api/v1/me" in caplog.text
    assert token.rpartition("_")[2] not in caplog.text


def test_a_foreign_origin_is_refused_with_a_token_too(site: Site) -> None:
    token = make(site.browser().sign_in(), *SCOPES)
    evil = {"Origin": "https://evil.example"}
    assert code(ask(site, token, "/api/v1/ssh-keys", "POST", headers=evil)) == (403, "forbidden_origin")
    preflight = site.app.test_client().options("/api/v1/ssh-keys", base_url=ORIGIN, headers=evil)
    assert not [name for name, _ in preflight.headers if name.lower().startswith("access-control-")]


def test_an_empty_bearer_or_a_bad_one_does_not_fall_back_to_the_cookie(site: Site) -> None:
    """Else a page that can set a header, but not read the CSRF token, would be past the check."""
    browser = site.browser().sign_in()
    for bearer in ("Bearer", "Bearer ", "bearer x", "BEARER axonos_x_y"):
        headers = {"Authorization": bearer, "X-CSRF-Token": "", "Origin": ""}
        answer = browser.post("/api/v1/ssh-keys", {"public_key": KEY}, headers)
        assert answer.status_code in (401, 403), bearer
    assert browser.get("/api/v1/ssh-keys").json["keys"] == []


def test_open_routes_say_nothing_of_the_wallet_to_a_token_without_the_scope(site: Site) -> None:
    browser = site.browser().sign_in()
    with_scope, without = make(browser, "account:read"), make(browser, "keys:read")
    assert ask(site, with_scope, "/api/v1/profiles").json["profiles"][0]["lasts_minutes"] is not None
    assert ask(site, without, "/api/v1/profiles").json["profiles"][0]["lasts_minutes"] is None
    assert ask(site, without, "/api/v1/rates").json["holding"] is None
    assert code(ask(site, "axonos_x_y", "/api/v1/config")) == (401, "token_refused")


@pytest.mark.parametrize(
    "wrong",
    [
        {"scopes": []}, {"scopes": ["everything"]}, {"scopes": "account:read"}, {"scopes": [1]}, {"scopes": None},
        {"days": 0}, {"days": 367}, {"days": "3"}, {"days": True}, {"name": ""}, {"name": " "}, {"name": "a\nb"},
        {"name": "x" * 61},
    ],
)  # fmt: skip
def test_a_token_that_cannot_be_is_refused(site: Site, wrong: dict[str, Any]) -> None:
    browser = site.browser().sign_in()
    answer = browser.post("/api/v1/tokens", {"name": "n", "scopes": ["account:read"], **wrong})
    assert code(answer) == (400, "bad_input")
    assert answer.json["error"]["field"] == next(iter(wrong))
    assert browser.get("/api/v1/tokens").json["tokens"] == []


def test_a_wallet_has_so_many_and_those_that_ran_out_make_room(site: Site) -> None:
    browser = site.browser().sign_in()
    for n in range(api_tokens.MAX_TOKENS):
        if n % 20 == 0:
            site.clock.advance(60_000)
        make(browser, "keys:read", days=1)
    site.clock.advance(60_000)
    full = browser.post("/api/v1/tokens", {"name": "n", "scopes": ["keys:read"]})
    assert code(full) == (409, "too_many_tokens")
    site.clock.advance(api_tokens.DAY_MS)
    browser = site.browser().sign_in()
    make(browser, "keys:read")
    assert len(browser.get("/api/v1/tokens").json["tokens"]) == 1


def test_making_them_is_limited(site: Site) -> None:
    browser = site.browser().sign_in()
    answers = [browser.post("/api/v1/tokens/none/revoke") for _ in range(21)]
    assert code(answers[19]) == (404, "not_found")
    assert code(answers[20]) == (429, "too_many_requests")


def test_a_contract_wallet_that_changes_its_mind_loses_its_tokens(site: Site) -> None:
    site.node.answers["eth_call"] = MAGIC
    browser = site.browser()
    opened = browser.answer(browser.ask(ALICE), signature="0x" + "22" * 65)
    browser.csrf = opened.json["csrf_token"]
    token = make(browser, "account:read", days=300)
    site.clock.advance(contract_sessions.RECHECK_MS)
    assert contract_sessions.recheck(site.deps) == 2  # the browser's session and the token
    assert ask(site, token, "/api/v1/me").status_code == 200
    site.clock.advance(2 * contract_sessions.RECHECK_MS)
    assert code(ask(site, token, "/api/v1/me")) == (401, "token_refused")  # nobody asked again
    assert contract_sessions.recheck(site.deps) == 2
    assert ask(site, token, "/api/v1/me").status_code == 200
    site.node.answers["eth_call"] = "0x" + "0" * 64
    site.clock.advance(contract_sessions.RECHECK_MS)
    assert contract_sessions.recheck(site.deps) == 2
    assert code(ask(site, token, "/api/v1/me")) == (401, "token_refused")
    assert contract_sessions.recheck(site.deps) == 0
