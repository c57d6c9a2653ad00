"""Each trap of x402 as a test: what stock servers do wrong, on a real chain (payments.md 5.3)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from agent_kit import (
    CENTS_10,
    DOLLAR,
    KEY,
    KEY_HEADER,
    SIX_MINUTES,
    Platform,
    ask,
    payment,
    reason,
    wait_for,
)
from eth_account.signers.local import LocalAccount

from controller.models import X402Payment

pytestmark = pytest.mark.integration


def test_50_copies_of_one_payment_at_once_buy_one_session(platform: Platform) -> None:
    account = platform.agent()
    paid = payment(platform, account)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda _: ask(platform, {**paid, **KEY_HEADER}), range(50)))
    told = [a.status_code for a in answers]
    assert told.count(200) >= 1
    # Whoever comes while every settling thread is busy is asked to come again; nobody is refused for money.
    assert set(told) <= {200, 429, 503}
    assert len({a.json()["session"]["id"] for a in answers if a.status_code == 200}) == 1
    assert (platform.sessions(), len(platform.payments()), len(platform.events())) == (1, 1, 1)
    (row,) = platform.payments()
    assert platform.gas_spent() == int(row.gas_wei)
    platform.watch()
    assert platform.gpu_ms(account) <= SIX_MINUTES
    platform.sound()


def test_50_copies_without_a_key_buy_one_session_for_one_of_them(platform: Platform) -> None:
    account = platform.agent()
    paid = payment(platform, account)
    with ThreadPoolExecutor(50) as pool:
        told = [a.status_code for a in pool.map(lambda _: ask(platform, paid), range(50))]
    assert told.count(200) == 1
    assert set(told) <= {200, 409, 429, 503}
    assert len(platform.payments()) == 1


def test_a_replay_burns_no_gas_and_opens_nothing(platform: Platform) -> None:
    account = platform.agent()
    paid = payment(platform, account)
    first = ask(platform, paid)
    assert first.status_code == 200, first.text
    spent = platform.gas_spent()
    for key in (KEY, KEY.replace("IHUV", "IHUW")):
        again = ask(platform, paid, ssh_key=key)
        assert (again.status_code, again.json()["error"]["code"]) == (409, "payment_used"), again.text
        assert "session_token" not in again.text
    assert platform.gas_spent() == spent
    assert (platform.sessions(), len(platform.events())) == (1, 1)


def test_a_payment_authorises_only_what_it_paid_for(platform: Platform) -> None:
    account = platform.agent()
    paid = {**payment(platform, account), **KEY_HEADER}
    first = ask(platform, paid)
    same = ask(platform, paid)
    assert (first.status_code, same.status_code) == (200, 200), same.text
    assert first.json()["session"]["id"] == same.json()["session"]["id"]
    for other in ({"profile": "medium"}, {"ssh_key": KEY.replace("IHUV", "IHUW")}, {"accept_bounded": True}):
        refused = ask(platform, paid, **other)
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "payment_used")
    elsewhere = requests.get(platform.origin + "/api/x402/access", headers=paid, timeout=30)
    assert elsewhere.status_code == 409


def test_a_key_that_was_used_takes_no_second_payment(platform: Platform) -> None:
    account = platform.agent()
    first = ask(platform, {**payment(platform, account), **KEY_HEADER})
    again = ask(platform, {**payment(platform, account), **KEY_HEADER})
    assert again.status_code == 200, again.text
    assert again.json()["session"]["id"] == first.json()["session"]["id"]
    assert len(platform.payments()) == 1


def test_a_payment_identifier_serves_as_key(platform: Platform) -> None:
    account = platform.agent()
    named = {"payment-identifier": {"info": {"required": False, "id": "pay_0123456789abcdef"}}}
    first = ask(platform, payment(platform, account, extensions=named))
    again = ask(platform, payment(platform, account, extensions=named))
    other = ask(platform, payment(platform, account, extensions=named), profile="medium")
    assert (first.status_code, again.status_code, other.status_code) == (200, 200, 409)
    assert len(platform.payments()) == 1


def test_an_emptied_wallet_costs_us_nothing(platform: Platform) -> None:
    account = platform.agent(usdc=CENTS_10 - 1)
    assert reason(ask(platform, payment(platform, account))) == "invalid_exact_evm_insufficient_balance"
    assert (platform.gas_spent(), platform.payments()) == (0, [])


def test_a_wallet_emptied_after_the_simulation_is_refused_and_then_left_alone(platform: Platform) -> None:
    """Its transfer waits in the pool; one that pays more gas empties the wallet before it."""
    account, chain = platform.agent(usdc=CENTS_10), platform.chain
    with ThreadPoolExecutor(1) as pool:
        with chain.paused_mining():
            asked = pool.submit(ask, platform, payment(platform, account))
            wait_for(platform.payments)
            empty(platform, account)
        assert reason(asked.result()) == "invalid_transaction_state"
    (row,) = platform.payments()
    assert (row.state, platform.gas_spent()) == ("reverted", int(row.gas_wei))
    chain.mint_usdc(account.address, DOLLAR)
    again = ask(platform, payment(platform, account))
    assert again.status_code == 429, again.text
    assert int(again.headers["Retry-After"]) > 0


def empty(platform: Platform, account: LocalAccount) -> None:
    """Take ten cents out of a wallet before anything else that waits in the pool, and mine."""
    chain = platform.chain
    chain.rpc("anvil_setBalance", account.address, hex(1000 * 10**18))
    move = chain.usdc.functions.transfer(chain.faucet.address, CENTS_10)
    data = move.build_transaction({"gas": 1, "gasPrice": 1, "nonce": 0, "from": account.address})["data"]
    tip = {"maxFeePerGas": 10**12, "maxPriorityFeePerGas": 10**11}
    chain.send(account, to=chain.usdc.address, data=data, **tip)
    chain.rpc("evm_mine")


def test_too_many_failures_trip_the_breaker(make_platform: Callable[..., Platform]) -> None:
    platform = make_platform(x402={"breaker_reverts": 1})
    with platform.deps.database.begin() as db:
        db.add(failed(platform, "0x" + "be" * 20))
    answer = ask(platform, payment(platform, platform.agent()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "settlement_paused")
    assert int(answer.headers["Retry-After"]) > 0
    assert ("settlement", "breaker") in platform.alerts()
    assert platform.gas_spent() == 0


def failed(platform: Platform, payer: str) -> X402Payment:
    now_ms = platform.deps.clock.now_ms()
    return X402Payment(
        chain_id=84532,
        payer=payer,
        auth_nonce="0x" + "01" * 32,
        amount=CENTS_10,
        valid_before_s=now_ms // 1000,
        wanted="",
        session_id="failed",
        state="reverted",
        sender="0x" + "00" * 20,
        sender_nonce=0,
        raw="",
        tx_hash="0x" + "02" * 32,
        gas_wei=1,
        created_at_ms=now_ms,
        decided_at_ms=now_ms,
    )


def test_the_days_gas_is_bounded(make_platform: Callable[..., Platform]) -> None:
    platform = make_platform(x402={"gas_budget_wei": 1})
    answer = ask(platform, payment(platform, platform.agent()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "settlement_paused")
    assert (platform.gas_spent(), platform.payments()) == (0, [])


def test_gas_that_is_too_dear_pauses_payments(make_platform: Callable[..., Platform]) -> None:
    platform = make_platform(x402={"max_gas_price_wei": 1})
    assert ask(platform, payment(platform, platform.agent())).status_code == 503
    assert platform.payments() == []


def test_an_authorization_sent_by_somebody_else_first_is_the_payers_credit(platform: Platform) -> None:
    """Whoever sent it knows its signature, so it opens no session; its money is booked all the same."""
    account = platform.agent()
    paid = payment(platform, account)
    send_authorization(platform, paid)
    answer = ask(platform, paid)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "payment_used")
    assert (platform.sessions(), platform.gas_spent()) == (0, 0)
    assert platform.gpu_ms(account) == SIX_MINUTES
    platform.chain.mine(8)
    platform.watch()
    assert platform.gpu_ms(account) == SIX_MINUTES
    platform.sound()


def test_an_authorization_overtaken_in_the_pool_still_buys_its_session(platform: Platform) -> None:
    """Ours reverts; the money came by the other's transaction, and our request was there before it."""
    account, chain = platform.agent(), platform.chain
    paid = payment(platform, account)
    with ThreadPoolExecutor(1) as pool, chain.paused_mining():
        asked = pool.submit(ask, platform, paid)
        wait_for(platform.payments)
        send_authorization(platform, paid, maxFeePerGas=10**12, maxPriorityFeePerGas=10**11)
        chain.rpc("evm_mine")
        answer = asked.result()
    assert answer.status_code == 200, answer.text
    (row,) = platform.payments()
    assert (row.state, row.why.split(" in ")[0]) == ("settled", "sent by somebody else")
    platform.chain.mine(8)
    platform.watch()
    (event,) = platform.events()
    assert (event.tx_hash, event.credited_gpu_ms) == (row.tx_hash, SIX_MINUTES)
    platform.sound()


def send_authorization(platform: Platform, paid: dict[str, str], **fields: Any) -> str:
    """What a front-runner does with a signature that it has seen."""
    inner = json.loads(base64.b64decode(next(iter(paid.values()))))["payload"]
    signed, signature = inner["authorization"], bytes.fromhex(inner["signature"][2:])
    usdc, runner = platform.chain.usdc, platform.chain.accounts[0]
    function = usdc.get_function_by_signature(
        "transferWithAuthorization(address,address,uint256,uint256,uint256,bytes32,bytes)"
    )(
        signed["from"],
        signed["to"],
        *(int(signed[name]) for name in ("value", "validAfter", "validBefore")),
        bytes.fromhex(signed["nonce"][2:]),
        signature,
    )
    plain = {"gas": 1, "gasPrice": 1, "nonce": 0, "from": runner.address}
    data = function.build_transaction(plain)["data"]
    return platform.chain.send(runner, to=usdc.address, data=data, **fields)


def test_a_second_payment_while_a_session_runs_is_not_taken(platform: Platform) -> None:
    account = platform.agent()
    assert ask(platform, payment(platform, account)).status_code == 200
    answer = ask(platform, payment(platform, account))
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "session_already_live")
    assert "session_id" not in answer.json()["error"]
    assert len(platform.payments()) == 1


def test_no_free_gpu_is_202_with_ticket_and_promise_and_the_credit_stays(
    make_platform: Callable[..., Platform],
) -> None:
    platform = make_platform(gpus=1)
    assert ask(platform, payment(platform, platform.agent())).status_code == 200
    account = platform.agent()
    answer = ask(platform, payment(platform, account), wait_s=5)
    assert answer.status_code == 202, answer.text
    given = answer.json()
    assert given["session"]["state"] == "queued"
    assert given["session"]["queue"]["latest_start_ms"] > platform.deps.clock.now_ms()
    assert given["payment"]["state"] == "credited"
    assert platform.gpu_ms(account) == SIX_MINUTES
    shown = requests.get(
        given["status_url"], headers={"Authorization": f"Bearer {given['session_token']}"}, timeout=30
    )
    assert (shown.status_code, shown.json()["session"]["queue_position"]) == (202, 1)


def test_more_than_the_cap_waits_for_confirmations(make_platform: Callable[..., Platform]) -> None:
    platform = make_platform(x402={"provisional_cap_minutes": 6})
    account = platform.agent()
    answer = ask(platform, payment(platform, account, DOLLAR))
    assert answer.status_code == 202, answer.text
    assert answer.json()["payment"]["state"] == "confirming"
    assert answer.json()["problem"]["code"] == "not_enough_credit"
    platform.chain.mine(8)
    platform.watch()
    assert platform.gpu_ms(account) == 3_600_000
    platform.sound()
