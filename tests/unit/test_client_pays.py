"""A wallet that pays by x402, against answers in order: what it signs, what it sends again, and what it never pays."""

from __future__ import annotations

import base64
import json
from decimal import Decimal

import httpx
import pytest
from eth_account import Account

from controller.client import ApiError, NotReady, PaymentRefused, Unreachable, paying
from controller.client.paying import Payer

ORIGIN = "https://gpu.example"
KEY = "0x" + "a7" * 32
USDC = "0x036CbD53842c5426634e7929541eC2318f3dCF7e"  # on Base Sepolia
SSH_KEY = "ssh-ed25519 AAAA"
SESSION = {
    "id": "s-1", "state": "running", "kind": "ssh", "profile": "small", "gpus": 1, "queue_position": None,
    "queue_reason": "", "why": "", "billed_gpu_ms": 5, "ends_at_ms": 9, "ssh": None,
}  # fmt: skip
TAKEN = {
    "state": "credited",
    "transaction": "0xaa",
    "network": "eip155:84532",
    "payer": "0x",
    "amount": "100000",
}
GIVEN = {"session": SESSION, "session_token": "axonos_session_x", "payment": TAKEN, "problem": None}
BOOKED = {**GIVEN, "session": None, "problem": {"code": "settling", "message": "On its way.", "retry": True}}


def needed(*amounts, asset=USDC, reason="payment_required", **sign_in):
    """A 402 as the site gives it."""
    accepts = [
        {
            "scheme": "exact",
            "network": "eip155:84532",
            "amount": amount,
            "asset": asset,
            "payTo": "0x" + "11" * 20,
            "maxTimeoutSeconds": 120,
            "extra": {"name": "USDC", "version": "2"},
        }
        for amount in amounts or ("100000", "1000000", "5000000")
    ]
    info = {
        "domain": "gpu.example",
        "uri": f"{ORIGIN}/api/x402/session",
        "statement": "Use the balance of this wallet.",
        "version": "1",
        "nonce": "0123456789abcdef",
        "issuedAt": "2024-05-01T00:00:00Z",
        "expirationTime": "2024-05-01T00:05:00Z",
        "resources": [f"{ORIGIN}/api/x402/session"],
        **sign_in,
    }
    extension = {"info": info, "supportedChains": [{"chainId": "eip155:84532", "type": "eip191"}]}
    terms = {
        "x402Version": 2,
        "error": reason,
        "resource": {"url": f"{ORIGIN}/api/x402/session"},
        "accepts": accepts,
        "extensions": {"sign-in-with-x": extension},
    }
    header = base64.b64encode(json.dumps(terms).encode()).decode()
    body = {"x402Version": 1, "error": reason, "accepts": [], "problem": {}}
    return httpx.Response(402, json=body, headers={"PAYMENT-REQUIRED": header})


def refused(status, code, *, retry=False):
    return httpx.Response(status, json={"error": {"code": code, "message": "No.", "retry": retry}})


def given(said, status=200):
    return httpx.Response(status, json=said)


class Site:
    """Answers in order, and remembers what was asked."""

    def __init__(self, *answers):
        self.answers, self.asked, self.paused = list(answers), [], []

    def handle(self, request):
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def payer(self, at_most="1"):
        transport = httpx.MockTransport(self.handle)
        return Payer(ORIGIN, KEY, Decimal(at_most), transport=transport, pause=self.paused.append)


def read(header):
    return json.loads(base64.b64decode(header))


@pytest.mark.parametrize(("at_most", "amount"), [("0.10", "100000"), ("1", "1000000"), ("4.99", "1000000")])
def test_it_pays_the_largest_amount_that_its_owner_allows(at_most, amount):
    site = Site(needed(), needed(), given(GIVEN))
    payer = site.payer(at_most)
    assert payer.claim("small", ssh_key=SSH_KEY).id == "s-1"
    paid = read(site.asked[-1].headers["PAYMENT-SIGNATURE"])
    assert (paid["accepted"]["amount"], paid["payload"]["authorization"]["value"]) == (amount, amount)
    assert paid["payload"]["authorization"]["from"] == Account.from_key(KEY).address
    assert len(site.asked[-1].headers["Idempotency-Key"]) >= 16
    assert json.loads(site.asked[-1].content)["ssh_key"] == SSH_KEY
    assert (payer.paid.amount, payer.paid.transaction) == ("100000", "0xaa")
    sent = str([(asked.headers, asked.content) for asked in site.asked])
    assert KEY[2:] not in sent, "the key signs here and is sent nowhere"


def test_a_balance_is_used_before_anything_is_paid():
    site = Site(needed(), given({**GIVEN, "payment": None}))
    payer = site.payer()
    assert payer.claim("small", ssh_key=SSH_KEY).state == "running"
    assert payer.paid is None
    assert not [asked for asked in site.asked if "PAYMENT-SIGNATURE" in asked.headers]
    signed = read(site.asked[-1].headers["SIGN-IN-WITH-X"])
    assert (signed["domain"], signed["address"]) == ("gpu.example", Account.from_key(KEY).address)


@pytest.mark.parametrize(
    ("offer", "at_most"),
    [({}, "0.09"), ({}, "0.0000001"), ({"asset": "0x" + "22" * 20}, "5")],
    ids=["too little", "less than a unit", "another token"],
)
def test_what_may_not_be_paid_is_not_signed(offer, at_most):
    site = Site(needed(**offer), needed(**offer))
    with pytest.raises(PaymentRefused, match=r"offered \(0.1, 1, 5\) nothing is USDC up to"):
        site.payer(at_most).claim("small", ssh_key=SSH_KEY)
    assert len(site.asked) == 2


@pytest.mark.parametrize(
    "change",
    [{"domain": "evil.example"}, {"uri": "https://evil.example/api/x402/session"}, {"uri": "nothing"}],
)
def test_a_text_for_another_site_is_not_signed(change):
    site = Site(needed(**change))
    with pytest.raises(PaymentRefused, match="sign something else"):
        site.payer().claim("small", ssh_key=SSH_KEY)
    assert len(site.asked) == 1


def test_a_lost_answer_is_asked_for_with_the_same_payment_and_the_same_key():
    lost = httpx.ReadError("gone")
    busy = refused(503, "settlement_paused", retry=True)
    site = Site(needed(), needed(), lost, busy, lost, given(GIVEN))
    assert site.payer().claim("small", ssh_key=SSH_KEY).id == "s-1"
    tries = [
        (a.headers["PAYMENT-SIGNATURE"], a.headers["Idempotency-Key"], a.content) for a in site.asked[2:]
    ]
    assert len(tries) == 4
    assert len(set(tries)) == 1
    site = Site(needed(), needed(), *[lost] * paying.PAID_TRIES)
    with pytest.raises(Unreachable):
        site.payer().claim("small", ssh_key=SSH_KEY)
    site = Site(needed(), lost)
    with pytest.raises(Unreachable):
        site.payer().claim("small", ssh_key=SSH_KEY)
    assert len(site.asked) == 2, "a signature is good for one answer"


def test_money_on_its_way_becomes_a_session_by_the_token():
    site = Site(needed(), needed(), given(BOOKED, 202), given(BOOKED, 202), given({**GIVEN, "payment": None}))
    payer = site.payer()
    assert payer.claim("small", ssh_key=SSH_KEY).id == "s-1"
    assert payer.paid is not None
    for asked in site.asked[3:]:
        assert asked.headers["Authorization"] == "Bearer axonos_session_x"
        assert "PAYMENT-SIGNATURE" not in asked.headers
    site = Site(needed(), needed(), given(BOOKED, 202), httpx.Response(402, json={}))
    payer = site.payer()
    with pytest.raises(PaymentRefused, match="did not settle"):
        payer.claim("small", ssh_key=SSH_KEY)
    assert payer.paid is None


def test_credit_without_a_session_is_said(monkeypatch):
    monkeypatch.setattr(paying, "BOOKED_S", -1)
    site = Site(needed(), needed(), given(BOOKED, 202))
    with pytest.raises(NotReady, match=r"kept as credit; there is no session. On its way"):
        site.payer().claim("small", ssh_key=SSH_KEY)


def test_a_refusal_says_why_in_the_protocol_s_words():
    site = Site(needed(), needed(), needed(reason="insufficient_funds"))
    with pytest.raises(PaymentRefused, match="insufficient_funds") as found:
        site.payer().claim("small", ssh_key=SSH_KEY)
    assert (found.value.code, found.value.retry) == ("payment_refused", False)
    site = Site(needed(), refused(409, "session_already_live"))
    with pytest.raises(ApiError) as live:
        site.payer().claim("small", ssh_key=SSH_KEY)
    assert live.value.code == "session_already_live"
    for other in (given(GIVEN), httpx.Response(402, json={}), httpx.Response(402, text="<html>")):
        with pytest.raises(PaymentRefused, match="what it costs"):
            Site(other).payer().claim("small", ssh_key=SSH_KEY)


def test_its_session_is_shown_and_ended_by_the_token_alone():
    ended = {**GIVEN, "session": {**SESSION, "state": "ended"}}
    site = Site(needed(), given(GIVEN), given(GIVEN), given(ended), given(ended))
    payer = site.payer()
    assert payer.current() is None
    payer.claim("small", ssh_key=SSH_KEY)
    assert payer.current().id == "s-1"
    assert payer.current() is None
    assert payer.end("s-1").state == "ended"
    paths = [(asked.method, asked.url.path) for asked in site.asked[2:]]
    assert paths == [("GET", paying.SESSION), ("GET", paying.SESSION), ("POST", f"{paying.SESSION}/end")]
    assert all(asked.headers["Authorization"] == "Bearer axonos_session_x" for asked in site.asked[2:])
