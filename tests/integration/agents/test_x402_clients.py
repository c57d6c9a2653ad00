"""Stock x402 clients against the running platform: one call, a payment, a shell."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest
import requests
from agent_kit import CENTS_10, DOLLAR, KEY, Platform, ask, client, payment
from eth_account.signers.local import LocalAccount
from instant_sessions import HOST_KEY
from sqlalchemy import text
from x402.extensions.sign_in_with_x.encode import encode_siwx_header
from x402.extensions.sign_in_with_x.message import create_siwx_message
from x402.extensions.sign_in_with_x.sign import sign_evm_message
from x402.extensions.sign_in_with_x.types import SIWxPayload
from x402.schemas import PaymentRequired
from x402.schemas.v1 import PaymentRequiredV1

from controller.app import create_app
from controller.models import PaymentAddresses
from controller.services.shells.public_keys import fingerprint

pytestmark = pytest.mark.integration
ASKED = {"profile": "small", "ssh_key": KEY, "wait_s": 10}


def test_the_stock_client_pays_and_has_a_shell_in_one_call(platform: Platform) -> None:
    account = platform.agent()
    answer = client(account).post(platform.url, json=ASKED, timeout=60)
    assert answer.status_code == 200, answer.text
    given = answer.json()
    ssh = given["session"]["ssh"]
    assert given["session"]["state"] == "running"
    assert (ssh["host"], ssh["user"], ssh["host_key"]) == ("localhost", "axon", HOST_KEY)
    assert ssh["host_key_fingerprint"] == fingerprint(HOST_KEY)
    assert 22_000 <= ssh["port"] < 24_000
    assert given["payment"]["state"] == "credited"
    # Ten cents are six minutes at a dollar an hour.
    assert given["balance_gpu_ms"] <= 360_000
    assert given["ends_by_ms"] <= platform.deps.clock.now_ms() + 360_000
    assert "PAYMENT-RESPONSE" in answer.headers
    token = {"Authorization": f"Bearer {given['session_token']}"}
    ended = requests.post(given["end_url"], headers=token, timeout=30)
    assert ended.status_code == 200, ended.text
    assert ended.json()["session"]["state"] in ("ending", "ended")
    (event,) = platform.events()
    assert (event.rail, event.state, int(event.amount)) == ("x402", "credited", CENTS_10)
    platform.chain.mine(8)
    platform.watch()
    (event,) = platform.events()
    assert (event.unwatched, event.credited_gpu_ms) == (False, 360_000)
    platform.sound()


def test_version_1_is_answered_by_its_body_alone(platform: Platform) -> None:
    """The same client pays by `X-PAYMENT` where it is given nothing but the body of version 1."""
    account = platform.agent()
    headers = {"X-X402-Version": "1"}
    answer = client(account).post(platform.url, json=ASKED, headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.request.headers["X-PAYMENT"]
    assert "X-PAYMENT-RESPONSE" in answer.headers
    assert answer.json()["payment"]["state"] == "credited"


def test_both_versions_are_offered_in_one_answer(platform: Platform) -> None:
    answer = requests.post(platform.url, json=ASKED, timeout=30)
    v1, v2 = answer.json(), platform.terms()
    assert (answer.status_code, v1["x402Version"], v2["x402Version"]) == (402, 1, 2)
    assert [one["maxAmountRequired"] for one in v1["accepts"]] == [one["amount"] for one in v2["accepts"]]
    assert {one["network"] for one in v1["accepts"]} == {"base-sepolia"}
    assert {one["network"] for one in v2["accepts"]} == {"eip155:84532"}
    assert v2["resource"]["url"] == platform.url
    # What a version 2 client makes of it is what the package's own types take.
    PaymentRequired.model_validate(v2)
    PaymentRequiredV1.model_validate({name: v1[name] for name in ("x402Version", "error", "accepts")})


def test_a_client_takes_a_larger_amount_where_its_owner_lets_it(platform: Platform) -> None:
    account = platform.agent()
    answer = client(account, "$2").post(platform.url, json={**ASKED, "profile": "max"}, timeout=60)
    assert answer.status_code == 200, answer.text
    assert answer.json()["payment"]["amount"] == str(DOLLAR)


def test_a_contract_wallet_pays(platform: Platform) -> None:
    """EIP-1271: the signature is the contract's, of any length."""
    owner = platform.agent(usdc=0)
    wallet = platform.chain.create("SmartWallet", owner.address)
    platform.chain.mint_usdc(wallet.address, DOLLAR)
    paid = payment(platform, owner, signed={"from": wallet.address})
    answer = ask(platform, paid)
    assert answer.status_code == 200, answer.text
    assert answer.json()["payment"]["payer"] == wallet.address.lower()


def test_discovery_says_where_to_pay_and_how_much(platform: Platform) -> None:
    found = requests.get(platform.origin + "/.well-known/x402", timeout=30).json()
    assert platform.url in found["resources"]
    assert [one["amount"] for one in found["accepts"]] == ["100000", "1000000", "5000000", "10000000"]
    assert found["networks"] == ["eip155:84532", "base-sepolia"]
    assert [profile["gpus"] for profile in found["profiles"]] == [1, 2, 4, 8]
    document = requests.get(found["openapi"], timeout=30).json()
    for endpoint in found["endpoints"]:
        path = endpoint["url"].removeprefix(platform.origin)
        assert endpoint["method"].lower() in document["paths"][path]


def test_access_tops_up_without_a_session(platform: Platform) -> None:
    account = platform.agent()
    answer = client(account).get(platform.origin + "/api/x402/access", timeout=30)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["access"], answer.json()["remaining_minutes"]) == (True, 6)
    assert platform.sessions() == 0


def test_whoever_paid_comes_back_by_signature_and_not_by_address(platform: Platform) -> None:
    account = platform.agent()
    client(account).get(platform.origin + "/api/x402/access", timeout=30)
    asked = {**ASKED, "wait_s": 0}
    stranger = ask(platform, {"SIGN-IN-WITH-X": proof(platform, platform.agent(usdc=0))})
    assert (stranger.status_code, stranger.json()["problem"]["code"]) == (402, "payment_required")
    signed = {"SIGN-IN-WITH-X": proof(platform, account)}
    answer = requests.post(platform.url, json=asked, headers=signed, timeout=30)
    assert answer.status_code == 200, answer.text
    assert answer.json()["payment"] is None
    assert len(platform.payments()) == 1
    again = requests.post(platform.url, json=asked, headers=signed, timeout=30)
    assert (again.status_code, again.json()["error"]["reason"]) == (401, "nonce")


def test_a_signature_for_another_resource_or_site_opens_nothing(platform: Platform) -> None:
    account = platform.agent()
    client(account).get(platform.origin + "/api/x402/access", timeout=30)
    told = platform.terms()["extensions"]["sign-in-with-x"]
    for change in (
        {"uri": platform.origin + "/api/x402/access"},
        {"domain": "evil.example"},
        {"nonce": "0" * 68},
        {"expirationTime": "2020-01-01T00:00:00Z"},
        {"issuedAt": "2020-01-01T00:00:00Z"},
    ):
        changed = {**told, "info": {**told["info"], **change}}
        refused = ask(platform, {"SIGN-IN-WITH-X": proof(platform, account, changed)})
        assert refused.status_code == 401, (change, refused.text)
    forged = proof(platform, account, address=platform.agent(usdc=0).address)
    assert ask(platform, {"SIGN-IN-WITH-X": forged}).status_code == 401
    for garbage in ("x", "e30=", "bnVsbA=="):
        assert ask(platform, {"SIGN-IN-WITH-X": garbage}).status_code == 401
    assert platform.sessions() == 0


def proof(
    platform: Platform, account: LocalAccount, told: dict[str, Any] | None = None, address: str | None = None
) -> str:
    """The header that the stock package makes of a 402's extension."""
    told = told or platform.terms()["extensions"]["sign-in-with-x"]
    chosen = {**told["info"], **told["supportedChains"][0]}
    message = create_siwx_message(chosen, account.address)
    payload = SIWxPayload(
        **chosen,
        address=address or account.address,
        signature=asyncio.run(sign_evm_message(message, account)),
    )
    return encode_siwx_header(payload)


def test_a_session_token_opens_one_session_and_nothing_else(platform: Platform) -> None:
    """Attacks 6 and 11 of the predecessor: a token in the open, and one that could do everything."""
    first = ask(platform, payment(platform, platform.agent())).json()
    second = ask(platform, payment(platform, platform.agent())).json()
    token = {"Authorization": f"Bearer {first['session_token']}"}
    shown = requests.get(platform.url, headers=token, timeout=30).json()
    assert shown["session"]["id"] == first["session"]["id"] != second["session"]["id"]
    for path in ("/api/v1/me", "/api/v1/sessions/current", "/api/v1/ssh-keys", "/api/v1/deposits"):
        assert requests.get(platform.origin + path, headers=token, timeout=30).status_code == 401
    for wrong in ({}, {"Authorization": "Bearer x"}, {"Authorization": f"Basic {first['session_token']}"}):
        assert requests.get(platform.url, headers=wrong, timeout=30).status_code == 401
        assert requests.post(platform.url + "/end", headers=wrong, timeout=30).status_code == 401
    with platform.deps.database.begin() as db:
        kept = [tuple(row) for row in db.execute(text("SELECT * FROM session_token"))]
    assert first["session_token"] not in str(kept)


def test_nothing_is_told_about_others(platform: Platform) -> None:
    """Attack 10 of the predecessor: balances, times and containers of any address."""
    account = platform.agent()
    ask(platform, payment(platform, account))
    for path in ("/api/x402/access", "/api/x402/session"):
        for name in ("wallet", "wallet_address", "address"):
            url = f"{platform.origin}{path}?{name}={account.address}"
            answer = requests.get(url, timeout=30)
            assert answer.status_code in (401, 402), answer.text
            assert "balance_" not in answer.text


def test_addresses_in_headers_do_not_dodge_the_limit(platform: Platform) -> None:
    """Attack 7: the predecessor counted by a header that the caller writes."""
    account = platform.agent()
    told = []
    for number in range(22):
        paid = payment(
            platform,
            account,
            signed={"validBefore": str(int(time.time()) + 100)},
            after={"nonce": "0x" + f"{number:064x}"},
        )
        told.append(ask(platform, {**paid, "X-Forwarded-For": f"10.0.0.{number}"}).status_code)
    assert told[:20] == [402] * 20
    assert told[-1] == 429
    assert platform.gas_spent() == 0


def test_changed_payment_addresses_hold_payments_of_agents_too(make_platform: Any) -> None:
    platform = make_platform()
    with platform.deps.database.begin() as db:
        row = PaymentAddresses(
            fingerprint="0" * 64,
            addresses={},
            state="accepted",
            reason="",
            actor="first start",
            asked_at_ms=1,
            decided_at_ms=2**40,
        )
        db.add(row)
    answer = ask(platform, payment(platform, platform.agent()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "payments_held"), answer.text
    assert platform.gas_spent() == 0


def test_without_a_settlement_key_the_rail_is_not_offered(platform: Platform) -> None:
    off = replace(platform.deps, settler=None)
    with create_app(off).test_client() as browser:
        answer = browser.post("/api/x402/session", json=ASKED, base_url=platform.origin)
        assert (answer.status_code, answer.json["error"]["code"]) == (409, "rail_not_offered")
        assert browser.get("/.well-known/x402", base_url=platform.origin).status_code == 409
