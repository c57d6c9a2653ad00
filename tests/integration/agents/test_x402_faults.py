"""Payments while something breaks: no gas, a dead process, a slow or silent node, a chain that takes blocks back."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import requests
from agent_kit import (
    CENTS_10,
    KEY_HEADER,
    SIX_MINUTES,
    Platform,
    ask,
    deps_for,
    payment,
    reason,
    wait_for,
)
from chainkit import Chain
from hostile_node import changed, error, hostile, result
from test_x402_traps import empty

from controller.models import X402Payment
from controller.services.deps import Deps
from controller.services.x402 import recover as x402_recover

pytestmark = pytest.mark.integration


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
    from controller.services.x402 import sign as x402_sign
    from controller.services.x402 import terms as x402_terms

    deps = platform.deps
    payload = read_payload(next(iter(paid.values())))
    asked = x402_terms.terms(deps, "/api/x402/session")
    order = x402_sign.Order(asked.chain_id, payload.authorization, "w", "", ssh_key="")

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
    recovered_by(platform, platform.deps)


def recovered_by(platform: Platform, worker: Deps) -> None:
    """Let a worker look at once, and until nothing is open any more."""
    with platform.deps.database.begin() as db:
        for row in platform.payments():
            mine = db.get_one(X402Payment, row.id)
            mine.created_at_ms -= x402_recover.LEAVE_ALONE_MS
            db.add(mine)
    wait_for(lambda: x402_recover.recover(worker) or all(r.state != "signed" for r in platform.payments()))
    while any(row.state == "signed" for row in platform.payments()):
        x402_recover.recover(worker)


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


# What a node says no to once it has the transaction, and what the agent is answered. Only our own row knows.
SILENT = {
    "having taken it": (("eth_sendRawTransaction",), 200),
    "having it at all": (("eth_sendRawTransaction", "eth_getTransactionByHash"), 202),
    "its receipt": (("eth_getTransactionReceipt",), 202),
    "its block": (("eth_getBlockByHash",), 202),
}


@pytest.mark.parametrize(("methods", "status"), SILENT.values(), ids=SILENT.keys())
def test_a_node_that_denies_what_it_took_costs_nobody_anything(
    anvil: Chain, make_platform: Callable[..., Platform], methods: tuple[str, ...], status: int
) -> None:
    """A session, or 202 with a token; never 402 or 503, for the money has moved."""
    with hostile(anvil.rpc_url) as node:

        def denying(question: Any, ask_real: Any) -> Any:
            sending = question["method"] == "eth_sendRawTransaction"
            if sending:
                sent.append(ask_real(question)["result"])
            if sent and question["method"] in methods:
                return error(-32603, "gone")(question, ask_real)
            return result(question, sent[-1]) if sending else None

        sent: list[str] = []
        platform = make_platform(chain={"rpc_urls": [node.url]}, x402={"receipt_wait_s": 1})
        account = platform.agent()
        node.faults = [denying]
        answer = ask(platform, payment(platform, account))
        assert answer.status_code == status, answer.text
        assert answer.json()["payment"]["state"] == ("credited" if status == 200 else "settling")
        node.heal()
        platform.deps.settler._nodes._pool.nodes[0].worked()  # type: ignore[union-attr]
        wait_until_recovered(platform)
        token = {"Authorization": f"Bearer {answer.json()['session_token']}"}
        claimed = ask(platform, token)
        assert claimed.status_code == 200, claimed.text
        (row,) = platform.payments()
        assert (row.state, [row.tx_hash]) == ("settled", sent)
        assert (platform.sessions(), len(platform.events())) == (1, 1)
        assert platform.gas_spent() == int(row.gas_wei)
        platform.sound()


def test_a_failed_transfer_that_the_worker_sees_first_is_402_for_its_agent(
    anvil: Chain, make_platform: Callable[..., Platform]
) -> None:
    """The request waits for a receipt that another node has shown the worker already."""
    with hostile(anvil.rpc_url) as node, ThreadPoolExecutor(1) as pool:
        platform = make_platform(chain={"rpc_urls": [node.url]}, x402={"receipt_wait_s": 30})
        account = platform.agent(usdc=CENTS_10)
        with anvil.paused_mining():
            node.faults = [changed("eth_getTransactionReceipt", lambda _: None)]
            asked = pool.submit(ask, platform, payment(platform, account))
            wait_for(platform.payments)
            empty(platform, account)
        settings = platform.deps.settings
        direct = settings.chain.model_copy(update={"rpc_urls": [anvil.rpc_url]})
        worker = deps_for(settings.model_copy(update={"chain": direct}), platform.deps.database)
        recovered_by(platform, worker)
        assert [row.state for row in platform.payments()] == ["reverted"]
        node.heal()
        answer = asked.result()
        assert reason(answer) == "invalid_transaction_state"
        (row,) = platform.payments()
        assert (platform.sessions(), platform.gas_spent()) == (0, int(row.gas_wei))
        worker.settler.close()  # type: ignore[union-attr]
        worker.chain.close()  # type: ignore[attr-defined]
