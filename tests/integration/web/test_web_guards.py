"""What every request has to show: host, Origin, CSRF token, JSON, size, and whose it is."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import event
from web_kit import ALICE, BOB, ORIGIN, Site

from controller.errors import DatabaseUnavailable, NotYours
from controller.services.pricing import rates
from controller.services.sessions import facade as sessions
from controller.web.guarding import AGENTS, MACHINES, WITHOUT_TOKEN

pytestmark = pytest.mark.integration
# What a stranger may read. Nothing of a wallet is in it.
PUBLIC = {"/api/openapi.json", "/api/v1/config", "/api/v1/rates", "/api/v1/profiles"}


def state_changes(site: Site) -> list[tuple[str, str]]:
    """Every route for browsers that takes POST, as (endpoint, path)."""
    rules = [r for r in site.app.url_map.iter_rules() if "POST" in (r.methods or ())]
    rules = [r for r in rules if r.endpoint not in AGENTS]
    assert len(rules) > 10
    return [(r.endpoint, r.rule.replace("<session_id>", "s-1")) for r in rules]


def private_reads(site: Site) -> list[str]:
    """Every route of the API that answers GET and is not named as public: a new one is private here."""
    rules = [r for r in site.app.url_map.iter_rules() if "GET" in (r.methods or ())]
    rules = [r for r in rules if r.endpoint not in AGENTS]
    paths = {r.rule for r in rules if r.rule.startswith("/api/")} - PUBLIC
    assert {"/api/v1/me", "/api/v1/deposits", "/api/v1/statement", "/api/v1/statement.csv"} < paths
    return sorted(re.sub("<[^>]+>", "q-1", path) for path in paths)


def code(answer) -> tuple[int, str]:
    return answer.status_code, answer.json["error"]["code"]


@pytest.mark.parametrize(
    "origin", ["", "null", "https://evil.example", "http://localhost:8081", ORIGIN + "."]
)
def test_no_state_changes_without_our_origin(local_site: Site, origin: str) -> None:
    browser = local_site.browser().sign_in()
    for endpoint, path in state_changes(local_site):
        if endpoint not in MACHINES:
            answer = browser.post(path, {}, {"Origin": origin})
            assert code(answer) == (403, "forbidden_origin"), path


@pytest.mark.parametrize("token", ["", "wrong"])
def test_no_state_changes_without_the_sessions_token(local_site: Site, token: str) -> None:
    browser = local_site.browser().sign_in()
    for endpoint, path in state_changes(local_site):
        if endpoint not in MACHINES | WITHOUT_TOKEN:
            answer = browser.post(path, {}, {"X-CSRF-Token": token})
            assert code(answer) == (403, "forbidden_origin"), path
            assert answer.json["error"]["reason"] == "csrf"


def test_a_cookie_opens_nothing_that_is_for_agents(site: Site) -> None:
    """Those routes ask for no origin: a cookie that a browser adds by itself must not count there."""
    browser = site.browser().sign_in()
    for rule in site.app.url_map.iter_rules():
        if rule.endpoint in AGENTS and rule.rule.startswith("/api/"):
            ask = browser.post if "POST" in (rule.methods or ()) else browser.get
            assert ask(rule.rule).status_code in (401, 402, 409), rule.rule


def test_another_visitors_token_does_not_help(site: Site) -> None:
    alice, bob = site.browser().sign_in(ALICE), site.browser().sign_in(BOB)
    answer = alice.post("/api/v1/sign-out", headers={"X-CSRF-Token": bob.csrf})
    assert code(answer) == (403, "forbidden_origin")
    assert alice.get("/api/v1/me").status_code == 200


def test_nobody_changes_anything_unsigned(site: Site) -> None:
    for endpoint, path in state_changes(site):
        if endpoint not in MACHINES | WITHOUT_TOKEN:
            assert code(site.browser().post(path, {})) == (401, "sign_in_needed"), path


def test_nothing_of_a_wallet_is_read_unsigned(site: Site) -> None:
    wallet = ALICE.address
    for path in private_reads(site):
        for address in (path, f"{path}?wallet={wallet}&wallet_address={wallet}"):
            answer = site.browser().get(address, headers={"X-Wallet-Address": wallet})
            assert code(answer) == (401, "sign_in_needed"), address


def test_only_json_is_taken(site: Site) -> None:
    browser = site.browser().sign_in()
    headers = {"Origin": ORIGIN, "X-CSRF-Token": browser.csrf}
    form = browser.client.post(
        "/api/v1/sessions", base_url=ORIGIN, data={"profile": "small"}, headers=headers
    )
    assert code(form) == (400, "bad_input")
    plain = browser.client.post(
        "/api/v1/sessions",
        base_url=ORIGIN,
        data='{"profile":"small"}',
        headers=headers,
        content_type="text/plain",
    )
    assert code(plain) == (400, "bad_input")
    assert code(browser.post("/api/v1/sessions", ["small"])) == (400, "bad_input")


def test_large_bodies_are_refused(site: Site) -> None:
    answer = site.browser().post("/api/v1/sign-in/start", {"address": "x" * 70_000})
    assert answer.status_code in (400, 413)
    assert site.browser().client.post(
        "/api/v1/sign-in", base_url=ORIGIN, data=b"x" * 70_000, headers={"Origin": ORIGIN}
    ).status_code in (400, 413)


def test_the_close_beacon_shows_its_token_in_the_body(site: Site) -> None:
    browser = site.browser().sign_in()
    wrong = browser.post("/api/v1/sessions/none/close", {"csrf_token": "x"}, {"X-CSRF-Token": ""})
    assert code(wrong) == (403, "forbidden_origin")
    right = browser.post("/api/v1/sessions/none/close", {"csrf_token": browser.csrf}, {"X-CSRF-Token": ""})
    assert code(right) == (404, "not_found")
    elsewhere = browser.post("/api/v1/sessions/none/end", {"csrf_token": browser.csrf}, {"X-CSRF-Token": ""})
    assert code(elsewhere) == (403, "forbidden_origin")


def test_other_names_of_loopback_are_sent_to_the_one_origin(site: Site) -> None:
    client = site.app.test_client()
    moved = client.get("/launch?x=1", base_url="http://127.0.0.1:8080")
    assert (moved.status_code, moved.headers["Location"]) == (302, f"{ORIGIN}/launch?x=1")
    posted = client.post(
        "/api/v1/sign-in/start", json={}, base_url="http://127.0.0.1:8080", headers={"Origin": ORIGIN}
    )
    assert code(posted) == (403, "forbidden_origin")


@pytest.mark.parametrize(
    "host", ["http://evil.example", "http://localhost.evil.example:8080", "http://evil.example:8080"]
)
def test_other_hosts_are_refused(site: Site, host: str) -> None:
    answer = site.app.test_client().get("/launch", base_url=host)
    assert answer.status_code == 403
    assert "evil" not in answer.text


def test_no_answer_is_open_to_other_origins(site: Site) -> None:
    for method in ("GET", "OPTIONS"):
        answer = site.app.test_client().open(
            "/api/v1/config", method=method, base_url=ORIGIN, headers={"Origin": "https://evil.example"}
        )
        assert not [name for name, _ in answer.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    "path", ["/", "/launch", "/api/v1/config", "/healthz", "/static/css/base.css", "/nowhere"]
)
def test_every_answer_carries_the_strict_headers(site: Site, path: str) -> None:
    headers = site.browser().get(path).headers
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"


def test_a_database_that_is_down_is_a_503_and_says_nothing_else(site: Site, monkeypatch) -> None:
    def down(*_: object) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(type(site.deps.database), "begin", down)
    for path in ("/api/v1/me", "/api/v1/profiles"):
        browser = site.browser()
        browser.client.set_cookie("axonos_session", "x" * 43, domain="localhost")
        assert code(browser.get(path)) == (503, "database_unavailable")
        assert browser.get(path).json["error"]["retry"] is True
    page = browser.get("/launch", headers={"Accept": "text/html"})
    assert page.status_code == 503
    assert "<h1>" in page.text
    assert site.browser().get("/healthz").status_code == 503


def test_a_postgresql_that_drops_the_connection_is_a_503(site: Site) -> None:
    browser = site.browser().sign_in()
    engine = site.deps.database.engine
    engine.dispose()

    def refuse(*_: object) -> None:
        from psycopg import OperationalError

        raise OperationalError("connection to server at /secret/place failed")

    event.listen(engine, "do_connect", refuse)
    answer = browser.get("/api/v1/me")
    assert code(answer) == (503, "database_unavailable")
    assert "secret" not in answer.text


def test_a_chain_that_is_down_is_a_503_never_already_credited(site: Site) -> None:
    browser = site.browser().sign_in()
    site.chain.down = True
    answer = browser.post("/api/v1/deposits", {"tx_hash": "0x" + "7" * 64})
    assert code(answer) == (503, "chain_unavailable")
    assert "credited later" in answer.json["error"]["message"]


def test_a_fault_of_ours_is_told_without_its_words(site: Site, monkeypatch, caplog) -> None:
    def fault(*_: object) -> None:
        raise ValueError("https://user:key@rpc.example/v3/secret failed")

    monkeypatch.setattr(rates, "rates", fault)
    answer = site.browser().get("/api/v1/rates")
    assert code(answer) == (500, "internal_error")
    assert "secret" not in answer.text
    assert "rpc.example" not in answer.text
    assert "unexpected error in GET /api/v1/rates" in caplog.text


def test_no_answer_names_the_node(site: Site, monkeypatch) -> None:
    browser = site.browser().sign_in()
    for path in ("/api/v1/config", "/api/v1/rates", "/api/v1/me", "/healthz", "/launch"):
        assert site.node.url not in browser.get(path).text, path


def test_requests_are_counted_by_wallet_across_addresses(site: Site) -> None:
    browser = site.browser().sign_in()
    for number in range(30):
        browser.post("/api/v1/sessions", {"profile": "?"}, {})
        assert number >= 0
    limited = browser.client.post(
        "/api/v1/sessions",
        base_url=ORIGIN,
        json={"profile": "?"},
        headers={"Origin": ORIGIN, "X-CSRF-Token": browser.csrf},
        environ_overrides={"REMOTE_ADDR": "203.0.113.9"},
    )
    assert code(limited) == (429, "too_many_requests")


def test_a_forwarded_address_counts_only_behind_a_configured_proxy(make_site) -> None:
    from controller.web.context import caller

    forwarded = {"X-Forwarded-For": "198.51.100.7", "Origin": ORIGIN}
    for hops, same in ((0, True), (1, False)):
        app = make_site(web={"origin": ORIGIN, "port": 8080, "proxy_hops": hops}).app
        seen: list[str] = []
        app.before_request(lambda seen=seen: seen.append(caller()))
        for headers in ({}, forwarded):
            app.test_client().get("/healthz", base_url=ORIGIN, headers=headers)
        assert (seen[0] == seen[1]) is same
        assert all("198.51" not in value for value in seen)


def test_another_wallets_session_is_not_there(site: Site, monkeypatch) -> None:
    asked: list[str] = []

    def end(_deps, wallet, _id):
        asked.append(wallet)
        raise NotYours

    monkeypatch.setattr(sessions, "end", end)
    bob = site.browser().sign_in(BOB)
    answer = bob.post("/api/v1/sessions/of-alice/end", {"wallet": ALICE.address})
    assert code(answer) == (404, "not_found")
    assert asked == [BOB.address.lower()]
    for verb in ("heartbeat", "attach", "detach", "close", "stream"):
        assert code(bob.post(f"/api/v1/sessions/of-alice/{verb}")) == (404, "not_found")


def test_every_change_of_the_key_list_is_counted(site: Site) -> None:
    browser = site.browser().sign_in()
    for path in ("", "/none/rename", "/none/remove"):
        answers = [
            browser.post(f"/api/v1/ssh-keys{path}", {"name": "n", "public_key": "?"}) for _ in range(31)
        ]
        assert {a.status_code for a in answers[:30]} <= {400, 404}, path
        assert code(answers[30]) == (429, "too_many_requests"), path
        assert answers[30].headers["Retry-After"]
        site.clock.advance(60_000)
        again = browser.post(f"/api/v1/ssh-keys{path}", {"name": "n", "public_key": "?"})
        assert again.status_code in (400, 404)
