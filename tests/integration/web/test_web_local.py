"""Local mode: there on loopback, absent everywhere else, and no way past the list of methods."""

from __future__ import annotations

import json

import pytest
from fakes import AXGT, USDC
from pydantic import ValidationError
from web_kit import ALICE, ORIGIN, Site

from controller.services.local_chain import ALLOWED, MAX_BATCH

pytestmark = pytest.mark.integration
ROUTES = [
    ("GET", "/local/demo-wallet.js"),
    ("GET", "/vendor/ethers.js"),
    ("POST", "/local/rpc"),
    ("POST", "/local/faucet"),
]


def call(method: str, params: list | None = None) -> dict:
    return {"jsonrpc": "2.0", "id": 1, "method": method, "params": params or []}


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_production_has_no_local_routes(site: Site, method: str, path: str) -> None:
    answer = site.app.test_client().open(
        path, method=method, base_url=ORIGIN, json={}, headers={"Origin": ORIGIN}, buffered=True
    )
    assert answer.status_code == 404
    assert not [r for r in site.app.url_map.iter_rules() if r.rule.startswith("/local")]


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_local_mode_has_them(local_site: Site, method: str, path: str) -> None:
    answer = local_site.app.test_client().open(
        path, method=method, base_url=ORIGIN, json={}, headers={"Origin": ORIGIN}, buffered=True
    )
    assert answer.status_code in (200, 400)


@pytest.mark.parametrize(
    "web",
    [
        {"origin": "https://gpu.example.org", "port": 8080},
        {"origin": ORIGIN, "port": 8080, "bind": "0.0.0.0"},
    ],
)
def test_local_mode_exists_on_loopback_only(make_site, web: dict) -> None:
    with pytest.raises(ValidationError, match="bound to loopback"):
        make_site("local", web=web)


def test_pages_say_play_money_in_local_mode_only(site: Site, local_site: Site) -> None:
    for path in ("/", "/launch"):
        assert "LOCAL MODE" in local_site.browser().get(path).text
        assert "LOCAL MODE" not in site.browser().get(path).text
    assert "/local/demo-wallet.js" in local_site.browser().get("/launch").text
    assert "demo-wallet" not in site.browser().get("/launch").text


def test_reading_and_sending_reach_the_chain(local_site: Site) -> None:
    local_site.node.answers["eth_getBalance"] = "0x2a"
    answer = local_site.browser().post("/local/rpc", call("eth_getBalance", [ALICE.address, "latest"]))
    assert answer.json["result"] == "0x2a"
    batch = [call(method) for method in sorted(ALLOWED)]
    assert local_site.browser().post("/local/rpc", batch).status_code == 200
    assert set(local_site.node.asked) == ALLOWED


BAD = [
    "anvil_setBalance", "evm_mine", "debug_traceTransaction", "eth_sendTransaction", "eth_sign",
    "eth_accounts", "personal_sign", "hardhat_reset", "ETH_CALL", "eth_call ", "", None, 7, ["eth_call"],
]  # fmt: skip


@pytest.mark.parametrize("method", BAD)
def test_nothing_else_passes_alone_or_in_a_batch(local_site: Site, method: object) -> None:
    browser = local_site.browser()
    for body in (call(method), [call("eth_chainId"), call(method)], [call(method)], [[call("eth_chainId")]]):
        assert browser.post("/local/rpc", body).status_code == 400
    assert local_site.node.asked == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"null",
        b"7",
        b'"eth_call"',
        b"{",
        b"[" * 5_000,
        json.dumps([call("eth_chainId")] * (MAX_BATCH + 1)).encode(),
    ],
)
def test_what_is_no_call_is_refused(local_site: Site, body: bytes) -> None:
    answer = local_site.app.test_client().post(
        "/local/rpc", base_url=ORIGIN, data=body, headers={"Origin": ORIGIN}
    )
    assert answer.status_code == 400
    assert local_site.node.asked == []


def test_a_method_named_twice_in_one_call_does_not_slip_through(local_site: Site) -> None:
    """The node gets what was checked, not another reading of the same bytes."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"anvil_reset","method":"eth_chainId","params":[]}'
    local_site.app.test_client().post("/local/rpc", base_url=ORIGIN, data=body, headers={"Origin": ORIGIN})
    assert "anvil_reset" not in local_site.node.asked


def test_large_calls_are_refused(local_site: Site) -> None:
    answer = local_site.browser().post("/local/rpc", call("eth_call", ["x" * 140_000]))
    assert answer.status_code == 413


def test_the_faucet_pays_and_then_rests(local_site: Site) -> None:
    local_site.node.answers |= {
        "eth_gasPrice": "0x1",
        "eth_getTransactionCount": "0x0",
        "eth_sendRawTransaction": "0x" + "7" * 64,
    }
    browser = local_site.browser()
    paid = browser.post("/local/faucet", {"address": ALICE.address})
    assert (paid.status_code, paid.json) == (202, {"tx_hash": "0x" + "7" * 64, "amount": str(10**18)})
    for _ in range(2):
        browser.post("/local/faucet", {"address": ALICE.address})
    assert browser.post("/local/faucet", {"address": ALICE.address}).status_code == 429
    others = [browser.post("/local/faucet", {"address": f"0x{n:040x}"}).status_code for n in range(20)]
    assert others.count(202) == 16
    assert others[-1] == 429
    local_site.clock.advance(3_600_000)
    assert browser.post("/local/faucet", {"address": ALICE.address}).status_code == 202


def test_the_faucet_mints_our_two_tokens_and_no_other(local_site: Site) -> None:
    local_site.node.answers |= {
        "eth_gasPrice": "0x1",
        "eth_getTransactionCount": "0x0",
        "eth_sendRawTransaction": "0x" + "7" * 64,
    }
    browser = local_site.browser()
    for token, amount in ((USDC, 100 * 10**6), (AXGT, 1_000 * 10**18)):
        for expected in (202, 202, 202, 429):
            paid = browser.post("/local/faucet", {"address": ALICE.address, "token": token.upper()})
            assert paid.status_code == expected
            assert expected == 429 or paid.json["amount"] == str(amount)
    for wrong in ("0x" + "12" * 20, "eth", "", 7, None):
        answer = browser.post("/local/faucet", {"address": ALICE.address, "token": wrong})
        assert answer.status_code == 400
    assert browser.post("/local/faucet", {"address": ALICE.address}).status_code == 202


def test_a_local_chain_that_is_down_is_a_503(make_site) -> None:
    site = make_site("local", chain={"rpc_urls": ["http://127.0.0.1:9"]})
    for path, body in (("/local/rpc", call("eth_chainId")), ("/local/faucet", {"address": ALICE.address})):
        answer = site.browser().post(path, body)
        assert answer.status_code == 503
        assert "127.0.0.1" not in answer.text
