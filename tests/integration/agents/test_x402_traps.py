"""Each trap of x402 as a test: what stock servers do wrong, on a real chain (payments.md 5.3)."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from agent_kit import CENTS_10, DOLLAR, KEY, Platform, ask, payment
from eth_account import Account

from controller.models import X402Payment
from controller.services import x402_recover

pytestmark = pytest.mark.integration
SIX_MINUTES = 360_000
KEY_HEADER = {"Idempotency-Key": "an-agents-own-secret-1"}


def reason(answer: requests.Response) -> str:
    assert answer.status_code == 402, answer.text
    told: dict[str, Any] = json.loads(base64.b64decode(answer.headers["PAYMENT-REQUIRED"]))
    assert told["error"] == answer.json()["error"]
    return str(told["error"])


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
    chain.rpc("anvil_setBalance", account.address, hex(1000 * 10**18))
    with ThreadPoolExecutor(1) as pool:
        with chain.paused_mining():
            asked = pool.submit(ask, platform, payment(platform, account))
            wait_for(platform.payments)
            move = chain.usdc.functions.transfer(chain.faucet.address, CENTS_10)
            data = move.build_transaction({"gas": 1, "gasPrice": 1, "nonce": 0, "from": account.address})[
                "data"
            ]
            tip = {"maxFeePerGas": 10**12, "maxPriorityFeePerGas": 10**11}
            chain.send(account, to=chain.usdc.address, data=data, **tip)
            chain.rpc("evm_mine")
        assert reason(asked.result()) == "invalid_transaction_state"
    (row,) = platform.payments()
    assert (row.state, platform.gas_spent()) == ("reverted", int(row.gas_wei))
    chain.mint_usdc(account.address, DOLLAR)
    again = ask(platform, payment(platform, account))
    assert again.status_code == 429, again.text
    assert int(again.headers["Retry-After"]) > 0


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


def test_a_sender_without_gas_gives_its_nonce_back(platform: Platform) -> None:
    """Otherwise every later settlement waits for a nonce that never comes."""
    settler = platform.deps.settler
    assert settler is not None
    platform.chain.rpc("anvil_setBalance", settler.sender, "0x0")
    answer = ask(platform, payment(platform, platform.agent()))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "settlement_paused"), answer.text
    assert [row.state for row in platform.payments()] == ["unsent"]
    assert ("settlement", "gas") in platform.alerts()
    platform.chain.rpc("anvil_setBalance", settler.sender, hex(1000 * 10**18))
    assert ask(platform, payment(platform, platform.agent())).status_code == 200
    assert ("settlement", "gas") not in platform.alerts()
    assert [row.sender_nonce for row in platform.payments()] == [0, 0]


def test_a_receipt_that_does_not_come_in_time_is_202_and_never_lost(
    make_platform: Callable[..., Platform],
) -> None:
    platform = make_platform(x402={"receipt_wait_s": 0.2})
    account = platform.agent()
    paid = {**payment(platform, account), **KEY_HEADER}
    with platform.chain.paused_mining():
        slow = ask(platform, paid)
        assert slow.status_code == 202, slow.text
        assert slow.json()["payment"]["state"] == "settling"
        assert "PAYMENT-RESPONSE" not in slow.headers
        assert ask(platform, paid).status_code == 202
        platform.chain.rpc("evm_mine")
    wait_until_recovered(platform)
    token = {"Authorization": f"Bearer {slow.json()['session_token']}"}
    assert ask(platform, token, profile="medium").status_code == 409
    by_token, by_key = ask(platform, token), ask(platform, paid)
    assert (by_token.status_code, by_key.status_code) == (200, 200), by_token.text
    assert by_token.json()["session"]["id"] == by_key.json()["session"]["id"]
    assert len(platform.payments()) == 1
    assert platform.gpu_ms(account) <= SIX_MINUTES


def test_a_process_that_dies_between_sending_and_receipt_loses_no_payment(platform: Platform) -> None:
    """What kill -9 leaves: a row and a transaction in the pool, or not even that."""
    account = platform.agent()
    signed, never_sent = payment(platform, account), payment(platform, platform.agent())
    rows = [left_behind(platform, paid) for paid in (signed, never_sent)]
    assert platform.deps.settler is not None
    assert platform.deps.settler.send(rows[0].raw).outcome == "taken"
    wait_until_recovered(platform)
    assert [row.state for row in platform.payments()] == ["settled", "settled"]
    assert platform.gpu_ms(account) == SIX_MINUTES
    platform.chain.mine(8)
    platform.watch()
    assert [e.credited_gpu_ms for e in platform.events()] == [SIX_MINUTES, SIX_MINUTES]
    platform.sound()


def left_behind(platform: Platform, paid: dict[str, str]) -> X402Payment:
    """Sign and write down a settlement, and go no further."""
    from controller.domain.x402 import read_payload
    from controller.errors import SettlementPaused
    from controller.services import x402_sign, x402_terms

    deps = platform.deps
    payload = read_payload(next(iter(paid.values())))
    asked = x402_terms.terms(deps, "/api/x402/session")
    order = x402_sign.Order(asked.chain_id, payload.authorization, "w", "", alone=False)

    def sign_and_die(build: Any) -> Any:
        x402_sign.sign(deps, order, build, 0)
        raise SettlementPaused

    one = x402_terms.chosen(asked, payload, deps.clock.now_ms())
    assert deps.settler is not None
    with pytest.raises(SettlementPaused):
        deps.settler.settle(payload, one, sign_and_die)
    return platform.payments()[-1]


def test_a_settlement_that_ran_out_unsent_frees_its_nonce(platform: Platform) -> None:
    now_s = int(time.time())
    paid = payment(platform, platform.agent())
    left_behind(platform, paid)
    with platform.deps.database.begin() as db:
        row = db.get_one(X402Payment, platform.payments()[0].id)
        row.valid_before_s, row.created_at_ms = now_s - 60, row.created_at_ms - 60_000
        db.add(row)
    x402_recover.recover(platform.deps)
    x402_recover.recover(platform.deps)
    assert [row.state for row in platform.payments()] == ["skipped"]
    assert ask(platform, payment(platform, platform.agent())).status_code == 200


def wait_until_recovered(platform: Platform) -> None:
    with platform.deps.database.begin() as db:
        for row in platform.payments():
            mine = db.get_one(X402Payment, row.id)
            mine.created_at_ms -= x402_recover.LEAVE_ALONE_MS
            db.add(mine)
    wait_for(
        lambda: x402_recover.recover(platform.deps) or all(r.state != "signed" for r in platform.payments())
    )
    while any(row.state == "signed" for row in platform.payments()):
        x402_recover.recover(platform.deps)


def wait_for(found: Callable[[], Any]) -> Any:
    end_s = time.monotonic() + 10
    while not (value := found()):
        assert time.monotonic() < end_s, "waited too long"
        time.sleep(0.01)
    return value


def test_a_node_that_is_down_is_503_and_takes_nothing(platform: Platform) -> None:
    """Stock: 402 `failed_to_verify_signature`, which tells the agent that its payment is bad."""
    paid = payment(platform, platform.agent())
    nodes = platform.deps.settler._nodes._pool.nodes  # type: ignore[union-attr]
    kept, nodes[0]._url = nodes[0]._url, "http://127.0.0.1:9"
    answer = ask(platform, paid)
    nodes[0]._url = kept
    nodes[0].worked()
    assert (answer.status_code, answer.json()["error"]["retry"]) == (503, True)
    assert platform.payments() == []
    assert ask(platform, paid).status_code == 200


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


def test_credit_of_a_block_that_the_chain_drops_is_taken_back(platform: Platform) -> None:
    platform.chain.mine(3)
    platform.watch()
    account = platform.agent()
    answer = requests.get(
        platform.origin + "/api/x402/access", headers=payment(platform, account), timeout=30
    )
    assert (answer.status_code, answer.json()["remaining_minutes"]) == (200, 6), answer.text
    assert [event.unwatched for event in platform.events()] == [True]
    platform.chain.reorg(2)
    platform.chain.mine(2)
    platform.watch()
    assert platform.gpu_ms(account) == 0
    assert [event.state for event in platform.events()] == ["reversed"]
    platform.sound()


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
