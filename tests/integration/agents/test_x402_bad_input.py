"""What agents may get wrong, or want to: each has its status and its reason, and no money moves."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from agent_kit import CENTS_10, DOLLAR, KEY, KEY_HEADER, SIX_MINUTES, Platform, ask, payment, reason
from eth_abi.abi import encode
from eth_account import Account

pytestmark = pytest.mark.integration


@pytest.mark.parametrize(
    "header", ["", "!", "e30=", "W10=", base64.b64encode(b'{"x402Version":3}').decode(), "x" * 30_000]
)
def test_garbage_is_400_not_402(platform: Platform, header: str) -> None:
    name = "PAYMENT-SIGNATURE"
    answer = ask(platform, {name: header or "="})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_payment"), answer.text
    assert answer.headers["Content-Type"] == "application/json"


def test_a_402_has_one_content_type(platform: Platform) -> None:
    answer = ask(platform)
    assert answer.status_code == 402
    assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"signed": {"value": "100001"}}, "invalid_exact_evm_payload_authorization_value_mismatch"),
        ({"signed": {"to": "0x" + "11" * 20}}, "invalid_exact_evm_payload_recipient_mismatch"),
        ({"signed": {"validBefore": "1"}}, "invalid_exact_evm_payload_authorization_valid_before"),
        ({"signed": {"validAfter": "9999999998", "validBefore": "9999999999"}}, "…valid_after"),
        ({"accepted": {"network": "eip155:1"}}, "invalid_network"),
        ({"accepted": {"scheme": "upto"}}, "unsupported_scheme"),
        ({"accepted": {"asset": "0x" + "11" * 20}}, "invalid_payment_requirements"),
        ({"accepted": {"payTo": "0x" + "11" * 20}}, "invalid_exact_evm_payload_recipient_mismatch"),
        ({"after": {"nonce": "0x" + "22" * 32}}, "invalid_exact_evm_payload_signature"),
    ],
    ids=lambda value: value[-30:] if isinstance(value, str) else "",
)
def test_a_payment_for_something_else_is_402_with_the_reason(
    platform: Platform, changes: dict[str, Any], why: str
) -> None:
    amount = int(changes.get("signed", {}).get("value", CENTS_10))
    paid = payment(platform, platform.agent(), amount, **changes)
    assert reason(ask(platform, paid)).endswith(why.lstrip("…"))
    assert (platform.gas_spent(), platform.payments(), platform.sessions()) == (0, [], 0)


def test_amounts_are_only_those_that_cover_the_profile(platform: Platform) -> None:
    assert [one["amount"] for one in platform.terms()["accepts"]] == [
        "100000",
        "1000000",
        "5000000",
        "10000000",
    ]
    # Eight minutes on one GPU cost more than ten cents.
    assert [one["amount"] for one in platform.terms(profile="max")["accepts"]] == [
        "1000000",
        "5000000",
        "10000000",
    ]
    answer = ask(platform, payment(platform, platform.agent()), profile="max")
    assert reason(answer) == "invalid_exact_evm_payload_authorization_value_mismatch"


def test_bad_input_is_told_before_any_money_moves(make_platform: Callable[..., Platform]) -> None:
    platform = make_platform(gpus=2)
    paid = payment(platform, platform.agent())
    for body, code in (
        ({"ssh_key": "ssh-ed25519 AAAA"}, "bad_ssh_key"),
        ({"profile": "huge"}, "unknown_profile"),
        ({"wait_s": "soon"}, "bad_input"),
        ({"profile": "large"}, None),
    ):
        answer = ask(platform, paid, **body)
        if code:
            assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), answer.text
    large = ask(platform, payment(platform, platform.agent(), DOLLAR), profile="large")
    assert (large.status_code, large.json()["error"]["code"]) == (409, "profile_too_large")
    short = ask(platform, {**paid, "Idempotency-Key": "1"})
    assert short.status_code == 400
    assert (platform.gas_spent(), platform.payments()) == (0, [])


def test_version_1_has_no_name_for_other_chains() -> None:
    from x402.mechanisms.evm.v1.constants import V1_NETWORK_CHAIN_IDS

    assert 31337 not in V1_NETWORK_CHAIN_IDS.values()
    assert V1_NETWORK_CHAIN_IDS["base-sepolia"] == 84532


def test_an_address_alone_spends_nothing(platform: Platform) -> None:
    """Attack 1 of the predecessor: anyone with an address got a session on its credit."""
    account = platform.agent()
    requests.get(platform.origin + "/api/x402/access", headers=payment(platform, account), timeout=30)
    assert platform.gpu_ms(account) == SIX_MINUTES
    for named in (
        {"wallet": account.address},
        {"wallet_address": account.address},
        {"payer": account.address},
    ):
        answer = ask(platform, **named)
        assert answer.status_code == 402, answer.text
    stranger = Account.create()
    forged = payment(platform, stranger, after={"from": account.address})
    assert reason(ask(platform, forged)) == "invalid_exact_evm_payload_signature"
    assert platform.sessions() == 0


@pytest.mark.parametrize(
    "changes",
    [{"network": "base"}, {"network": "eip155:84532"}, {"scheme": "upto"}],
    ids=["another network", "the network's name in version 2", "another scheme"],
)
def test_version_1_for_something_else_is_402(platform: Platform, changes: dict[str, str]) -> None:
    why = reason(ask(platform, payment(platform, platform.agent(), version=1, **changes)))
    assert why == ("unsupported_scheme" if "scheme" in changes else "invalid_network")
    assert (platform.gas_spent(), platform.payments()) == (0, [])


@pytest.mark.parametrize(
    "domain",
    [{"chainId": 8453}, {"verifyingContract": "0x" + "11" * 20}, {"name": "USD Coin"}, {"version": "1"}],
    ids=lambda change: next(iter(change)),
)
def test_a_signature_for_another_chain_or_token_is_402(platform: Platform, domain: dict[str, Any]) -> None:
    paid = payment(platform, platform.agent(), domain=domain)
    assert reason(ask(platform, paid)) == "invalid_exact_evm_payload_signature"
    assert (platform.gas_spent(), platform.payments()) == (0, [])


@pytest.mark.parametrize(
    "pasted",
    [
        f'command="sh" {KEY}',
        f"{KEY}\n{KEY}",
        f"{KEY}\x00",
        "-----BEGIN OPENSSH PRIVATE KEY-----",
        "ssh-dss AAAAB3NzaC1kc3M=",
        KEY.replace("ssh-ed25519", "ssh-rsa"),
        "",
        "x" * 4_000,
    ],
    ids=["options", "two lines", "a nul", "private", "dsa", "another type", "empty", "too long"],
)
def test_a_bad_key_is_told_before_any_money_moves(platform: Platform, pasted: str) -> None:
    answer = ask(platform, payment(platform, platform.agent()), ssh_key=pasted)
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["code"] in ("bad_ssh_key", "bad_input")
    assert (platform.gas_spent(), platform.payments(), platform.sessions()) == (0, [], 0)


@pytest.mark.parametrize("body", [None, [], {}, {"profile": "small"}, {"ssh_key": KEY}, "text"])
def test_a_payment_without_what_it_is_for_is_not_taken(platform: Platform, body: Any) -> None:
    paid = payment(platform, platform.agent())
    answer = requests.post(platform.url, json=body, headers=paid, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_input"), answer.text
    assert (platform.gas_spent(), platform.payments()) == (0, [])


def test_a_wallet_that_is_not_deployed_is_refused_without_gas(platform: Platform) -> None:
    """EIP-6492: its signature asks the settler to call a factory of the payer's choice first."""
    owner, factory = platform.agent(usdc=0), platform.chain.create("Forwarder")
    nowhere = Account.create().address
    platform.chain.mint_usdc(nowhere, DOLLAR)
    paid = payment(platform, owner, signed={"from": nowhere})
    told = json.loads(base64.b64decode(paid["PAYMENT-SIGNATURE"]))
    wrapped = encode(
        ["address", "bytes", "bytes"],
        [factory.address, b"\x01" * 36, bytes.fromhex(told["payload"]["signature"][2:])],
    )
    told["payload"]["signature"] = "0x" + (wrapped + bytes.fromhex("6492" * 16)).hex()
    header = base64.b64encode(json.dumps(told).encode()).decode()
    assert reason(ask(platform, {"PAYMENT-SIGNATURE": header})) == "eip6492_factory_not_allowed"
    assert (platform.gas_spent(), platform.payments()) == (0, [])


def test_a_token_that_lost_its_dollar_is_not_taken(platform: Platform) -> None:
    chain = platform.chain
    chain.call(chain.faucet, chain.usdc_usd.functions.setAnswer(80_000_000))
    try:
        answer = ask(platform, payment(platform, platform.agent()))
    finally:
        chain.call(chain.faucet, chain.usdc_usd.functions.setAnswer(100_000_000))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "price_unavailable"), answer.text
    assert (platform.gas_spent(), platform.payments()) == (0, [])


def test_somebody_else_s_idempotency_key_shows_and_opens_nothing_of_his(platform: Platform) -> None:
    first = ask(platform, {**payment(platform, platform.agent()), **KEY_HEADER}).json()
    second = ask(platform, {**payment(platform, platform.agent()), **KEY_HEADER}).json()
    assert first["session"]["id"] != second["session"]["id"]
    assert first["payment"]["transaction"] != second["payment"]["transaction"]
    assert (len(platform.payments()), platform.sessions()) == (2, 2)


def test_two_payments_in_one_request_are_refused(platform: Platform) -> None:
    both = payment(platform, platform.agent()) | payment(platform, platform.agent(), version=1)
    answer = ask(platform, both)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_payment")
    assert (platform.gas_spent(), platform.payments()) == (0, [])
