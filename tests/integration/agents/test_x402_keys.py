"""Whose key a payment opens a session for: it is signed for an amount alone, and may come by way of somebody else."""

from __future__ import annotations

from typing import Any

import pytest
import requests
from agent_kit import DOLLAR, KEY, Platform, ask, payment, wait_for
from eth_account.signers.local import LocalAccount
from sqlalchemy import text
from test_x402_clients import proof

from controller.services.shells import keys as ssh_keys

pytestmark = pytest.mark.integration
THIEF = KEY.replace("IHUV", "IHUW")


def had_a_session(platform: Platform, account: LocalAccount, **body: Any) -> None:
    given = ask(platform, payment(platform, account), **body)
    assert given.status_code == 200, given.text
    token = {"Authorization": f"Bearer {given.json()['session_token']}"}
    requests.post(platform.url + "/end", headers=token, timeout=30)
    wait_for(lambda: ended(platform, account))


def ended(platform: Platform, account: LocalAccount) -> bool:
    with platform.deps.database.begin() as db:
        left = text("SELECT count(*) FROM gpu_session WHERE wallet = :w AND state <> 'ended'")
        return db.execute(left, {"w": account.address.lower()}).scalar_one() == 0


def refused(answer: requests.Response) -> bool:
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "signature_needed"), answer.text
    return True


def test_a_relayed_payment_opens_no_files_for_a_stranger_s_key(platform: Platform) -> None:
    """Attack 1 of the predecessor by another way: a shop in the middle passes a payment on, with its own key."""
    account = platform.agent()
    had_a_session(platform, account)
    spent = platform.gas_spent()
    relayed = payment(platform, account)
    assert refused(ask(platform, relayed, ssh_key=THIEF))
    assert (platform.gas_spent(), len(platform.payments()), platform.sessions()) == (spent, 1, 1)
    # The same payment still does what its owner wants, for the key of the last session.
    assert ask(platform, relayed).status_code == 200
    platform.sound()


def test_a_relayed_payment_spends_no_credit_that_was_there(platform: Platform) -> None:
    account = platform.agent()
    requests.get(platform.origin + "/api/x402/access", headers=payment(platform, account, DOLLAR), timeout=30)
    spent = platform.gas_spent()
    assert refused(ask(platform, payment(platform, account), ssh_key=THIEF))
    assert (platform.gas_spent(), len(platform.payments()), platform.sessions()) == (spent, 1, 0)


def test_a_signature_names_a_key_for_the_payment_after_it(platform: Platform) -> None:
    """As clients with sign-in-with-x do by themselves: they sign first, and pay where that is not enough."""
    account = platform.agent()
    had_a_session(platform, account)
    large = {"ssh_key": THIEF, "profile": "max"}
    told = platform.terms()["extensions"]["sign-in-with-x"]
    signed = ask(platform, {"SIGN-IN-WITH-X": proof(platform, account, told)}, **large)
    assert signed.status_code == 402, signed.text
    assert 0 < signed.json()["problem"]["available_gpu_ms"] < 8 * 60_000
    assert ask(platform, payment(platform, account, DOLLAR), **large).status_code == 200


def test_a_signature_names_it_for_ten_minutes_and_for_its_own_wallet(platform: Platform) -> None:
    account, other = platform.agent(), platform.agent()
    for one in (account, other):
        had_a_session(platform, one)
    signed = ask(platform, {"SIGN-IN-WITH-X": proof(platform, other)}, ssh_key=THIEF, profile="max")
    assert signed.status_code == 402
    assert refused(ask(platform, payment(platform, account), ssh_key=THIEF))
    with platform.deps.database.begin() as db:
        db.execute(text("UPDATE signed_key SET expires_at_ms = 1"))
    assert refused(ask(platform, payment(platform, other), ssh_key=THIEF))


def test_a_key_of_the_wallet_s_list_will_do(platform: Platform) -> None:
    account = platform.agent()
    had_a_session(platform, account)
    ssh_keys.add_key(platform.deps, account.address.lower(), THIEF)
    assert ask(platform, payment(platform, account), ssh_key=THIEF).status_code == 200


def test_the_key_of_the_session_before_the_last_will_not(platform: Platform) -> None:
    """Who once slipped a key in loses it with the owner's next session."""
    account = platform.agent()
    had_a_session(platform, account, ssh_key=THIEF)
    signed = ask(platform, {"SIGN-IN-WITH-X": proof(platform, account)})
    assert signed.status_code == 200, signed.text
    token = {"Authorization": f"Bearer {signed.json()['session_token']}"}
    requests.post(platform.url + "/end", headers=token, timeout=30)
    wait_for(lambda: ended(platform, account))
    assert refused(ask(platform, payment(platform, account), ssh_key=THIEF))
