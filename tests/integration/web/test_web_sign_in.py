"""Signing in: what is accepted, what is refused and why, and what is left behind."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlmodel import select
from web_kit import ALICE, BOB, MAGIC, Browser, Site, sign

from controller.models import SignInNonce, WebSession

pytestmark = pytest.mark.integration


def reason(answer) -> str:
    assert answer.status_code == 401, answer.json
    assert answer.json["error"]["code"] == "sign_in_refused"
    return answer.json["error"]["reason"]


def count(site: Site, model) -> int:
    with site.deps.database.begin() as db:
        return len(db.exec(select(model)).all())


def test_a_wallet_signs_in_and_sees_its_own_account(site: Site) -> None:
    browser = site.browser().sign_in()
    me = browser.get("/api/v1/me").json
    assert me["wallet"] == ALICE.address.lower()
    assert me["balance"] == {"gpu_ms": 0, "held_gpu_ms": 0, "available_gpu_ms": 0}
    assert me["csrf_token"] == browser.csrf


def test_the_text_names_site_chain_nonce_and_end(site: Site) -> None:
    text = site.browser().ask()
    assert text.startswith(
        "http://localhost:8080 wants you to sign in with your Ethereum account:\n" + ALICE.address
    )
    assert "URI: http://localhost:8080/" in text
    assert "Chain ID: 84532" in text
    assert re.search(r"^Nonce: [A-Za-z0-9]{16,}$", text, re.MULTILINE)
    assert "Expiration Time: " in text


def test_the_cookie_is_closed_to_scripts_and_only_its_hash_is_stored(site: Site) -> None:
    browser = site.browser()
    done = browser.answer(browser.ask())
    cookie = next(c for c in done.headers.getlist("Set-Cookie") if c.startswith("axonos_session="))
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    token = cookie.split("=", 1)[1].split(";")[0]
    with site.deps.database.begin() as db:
        row = db.exec(select(WebSession)).one()
    assert token not in row.model_dump_json()
    assert len(row.token_hash) == 64


def test_with_tls_the_cookie_is_bound_to_host_and_tls(make_site) -> None:
    site = make_site(web={"origin": "https://gpu.example.org", "port": 8080})
    client = site.app.test_client()
    started = client.post(
        "/api/v1/sign-in/start",
        json={"address": ALICE.address},
        base_url="https://gpu.example.org",
        headers={"Origin": "https://gpu.example.org"},
    )
    cookie = started.headers["Set-Cookie"]
    assert cookie.startswith("__Host-axonos_browser=")
    assert "Secure" in cookie
    assert "Path=/" in cookie
    assert started.json["message"].startswith("gpu.example.org wants you")


def test_another_keys_signature_is_refused_and_uses_the_nonce_up(site: Site) -> None:
    browser = site.browser()
    text = browser.ask(ALICE)
    assert reason(browser.answer(text, signature=sign(text, BOB))) == "signature"
    assert reason(browser.answer(text, ALICE)) == "nonce"
    assert count(site, WebSession) == count(site, SignInNonce) == 0


def test_garbage_instead_of_a_signature_is_refused(site: Site) -> None:
    browser = site.browser()
    assert reason(browser.answer(browser.ask(), signature="0xnothex")) == "signature"


def test_a_text_signs_in_once(site: Site) -> None:
    browser = site.browser()
    text = browser.ask()
    cookie = browser.client.get_cookie("axonos_browser", domain="localhost")
    assert browser.answer(text).status_code == 200
    browser.client.set_cookie("axonos_browser", cookie.value, domain="localhost")
    assert reason(browser.answer(text)) == "nonce"


def test_of_two_simultaneous_answers_one_opens_a_session(site: Site) -> None:
    browser = site.browser()
    text = browser.ask()
    cookie = browser.client.get_cookie("axonos_browser", domain="localhost")

    def answer(_: int) -> int:
        other = site.browser()
        other.client.set_cookie("axonos_browser", cookie.value, domain="localhost")
        return other.answer(text).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = sorted(pool.map(answer, range(8)))
    assert codes == [200] + [401] * 7
    assert count(site, WebSession) == 1


def test_after_five_minutes_the_text_is_worth_nothing(site: Site) -> None:
    browser = site.browser()
    text = browser.ask()
    site.clock.advance(5 * 60_000 + 1)
    assert reason(browser.answer(text)) == "expired"


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("http://localhost:8080 wants", "http://evil.example wants", "domain"),
        ("http://localhost:8080 wants", "localhost:8080 wants", "domain"),
        ("URI: http://localhost:8080/", "URI: http://evil.example/", "domain"),
        ("Chain ID: 84532", "Chain ID: 1", "chain"),
        ("it costs nothing", "it costs everything", "altered"),
        ("Version: 1", "Version: 2", "malformed"),
    ],
)
def test_a_text_for_another_site_or_chain_is_refused(site: Site, old: str, new: str, why: str) -> None:
    browser = site.browser()
    text = browser.ask().replace(old, new)
    assert reason(browser.answer(text)) == why
    assert count(site, WebSession) == 0


def test_a_text_without_an_end_is_refused(site: Site) -> None:
    browser = site.browser()
    text = re.sub(r"\nExpiration Time: .*", "", browser.ask())
    assert reason(browser.answer(text)) == "malformed"


@pytest.mark.parametrize("shift", ["2020-01-01T00:00:00.000Z", "2039-01-01T00:00:00.000Z"])
def test_a_text_from_another_time_is_refused(site: Site, shift: str) -> None:
    browser = site.browser()
    text = re.sub(r"Issued At: .*", f"Issued At: {shift}", browser.ask())
    assert reason(browser.answer(text)) == "expired"


def test_another_wallet_cannot_answer_for_the_one_that_was_asked(site: Site) -> None:
    browser = site.browser()
    text = browser.ask(ALICE).replace(ALICE.address, BOB.address)
    assert reason(browser.answer(text, BOB)) == "altered"


def test_the_text_works_only_in_the_browser_that_asked(site: Site) -> None:
    browser = site.browser()
    text = browser.ask()
    assert reason(site.browser().answer(text)) == "nonce"
    assert browser.answer(text).status_code == 200


def test_a_long_text_is_not_even_parsed(site: Site) -> None:
    browser = site.browser()
    assert reason(browser.answer(browser.ask() + "x" * 4096)) == "too_long"


def test_a_contract_wallet_signs_in_by_eip_1271(site: Site) -> None:
    site.node.answers["eth_call"] = MAGIC
    browser = site.browser()
    text = browser.ask(ALICE)
    assert browser.answer(text, signature=sign(text, BOB)).status_code == 200
    assert "eth_call" in site.node.asked


def test_a_silent_node_is_no_wrong_signature(make_site) -> None:
    site = make_site(chain={"rpc_urls": ["http://127.0.0.1:9"]})
    browser = site.browser()
    text = browser.ask(ALICE)
    answer = browser.answer(text, signature=sign(text, BOB))
    assert answer.status_code == 503
    assert answer.json["error"]["code"] == "chain_unavailable"
    assert "127.0.0.1" not in answer.text
    assert browser.answer(text, ALICE).status_code == 200  # nothing was used up


def test_signing_in_again_ends_the_browsers_old_session(site: Site) -> None:
    browser = site.browser().sign_in()
    old = browser.client.get_cookie("axonos_session", domain="localhost").value
    browser.sign_in()
    assert browser.client.get_cookie("axonos_session", domain="localhost").value != old
    assert count(site, WebSession) == 1
    thief = site.browser()
    thief.client.set_cookie("axonos_session", old, domain="localhost")
    assert thief.get("/api/v1/me").status_code == 401


def test_signing_out_ends_it_on_the_server(site: Site) -> None:
    browser = site.browser().sign_in()
    token = browser.client.get_cookie("axonos_session", domain="localhost").value
    assert browser.post("/api/v1/sign-out").status_code == 200
    browser.client.set_cookie("axonos_session", token, domain="localhost")
    assert browser.get("/api/v1/me").status_code == 401


def test_signing_out_everywhere_ends_all_of_the_wallets_browsers_and_nobody_elses(site: Site) -> None:
    here, there, bob = site.browser().sign_in(), site.browser().sign_in(), site.browser().sign_in(BOB)
    assert here.post("/api/v1/sign-out", {"everywhere": "yes"}).status_code == 400
    assert here.post("/api/v1/sign-out", {"everywhere": True}).status_code == 200
    assert [one.get("/api/v1/me").status_code for one in (here, there, bob)] == [401, 401, 200]


def test_a_session_ends_after_twelve_hours(site: Site) -> None:
    browser = site.browser().sign_in()
    site.clock.advance(12 * 3_600_000)
    assert browser.get("/api/v1/me").status_code == 401


@pytest.mark.parametrize("address", ["", "0x12", "0x" + "g" * 40, "0x" + "a" * 40 + "\n"])
def test_only_addresses_are_asked(site: Site, address: str) -> None:
    answer = site.browser().post("/api/v1/sign-in/start", {"address": address})
    assert (answer.status_code, answer.json["error"]["code"]) == (400, "bad_input")


def test_asking_too_often_is_refused_until_the_next_minute(site: Site) -> None:
    browser: Browser = site.browser()
    for _ in range(20):
        browser.ask()
    refused = browser.post("/api/v1/sign-in/start", {"address": ALICE.address})
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    site.clock.advance(60_000)
    browser.ask()
