"""Stream tickets: what is issued checks; anything else is refused, and says why."""

import base64
import dataclasses
import hmac
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.ticket import MAX_LIFE_MS, TicketClaims, TicketRefused, check, issue

NOW = 1_800_000_000_000
ORIGIN = "https://gpu.example.org"
KEY = b"k"


def sign(payload):
    return hmac.digest(KEY, payload, "sha512")


def verify(payload, signature):
    return hmac.compare_digest(sign(payload), signature)


def claims(**changes):
    base = TicketClaims("id-1", "session-1", "s-0123456789ab", "host-1", ORIGIN, NOW, NOW + MAX_LIFE_MS)
    return dataclasses.replace(base, **changes)


def checked(text, *, now=NOW + 1, not_before=NOW - 10, origin=ORIGIN):
    return check(text, verify, now, not_before, origin)


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


words = st.text(max_size=8) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)


@given(name=words, session=words, slot=words, life=st.integers(1, MAX_LIFE_MS), looks=st.booleans())
def test_an_issued_ticket_gives_back_its_claims(name, session, slot, life, looks):
    made = claims(id=name, session=session, slot=slot, expires_at_ms=NOW + life, view_only=looks)
    assert check(issue(made, sign), verify, NOW, NOW, ORIGIN) == made


@given(at=st.integers(0, 10_000), to=st.characters())
def test_a_changed_character_anywhere_is_refused(at, to):
    text = issue(claims(), sign)
    at %= len(text)
    changed = text[:at] + to + text[at + 1 :]
    if changed != text:
        with pytest.raises(TicketRefused):
            checked(changed)


@given(st.text(max_size=2000))
def test_any_other_text_is_refused(text):
    with pytest.raises(TicketRefused):
        checked(text)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(words, x)))
def test_signed_but_foreign_json_is_refused(value):
    payload = json.dumps(value).encode()
    with pytest.raises(TicketRefused, match="form"):
        checked(f"{b64(payload)}.{b64(sign(payload))}")


@pytest.mark.parametrize(
    ("changes", "arguments", "reason"),
    [
        ({}, {"now": NOW + MAX_LIFE_MS}, "expired"),
        ({}, {"origin": "https://evil.example.org"}, "origin"),
        ({}, {"origin": ""}, "origin"),
        ({}, {"not_before": NOW + 1}, "stale"),
        ({"issued_at_ms": NOW + 5_000, "expires_at_ms": NOW + 6_000}, {}, "early"),
    ],
)
def test_refusals_name_their_reason(changes, arguments, reason):
    with pytest.raises(TicketRefused, match=reason):
        checked(issue(claims(**changes), sign), **arguments)


def test_a_long_life_is_neither_issued_nor_accepted():
    long = claims(expires_at_ms=NOW + MAX_LIFE_MS + 1)
    with pytest.raises(ValueError, match="lives"):
        issue(long, sign)
    payload = json.dumps(dataclasses.asdict(long)).encode()
    with pytest.raises(TicketRefused, match="expired"):
        checked(f"{b64(payload)}.{b64(sign(payload))}")


@pytest.mark.parametrize("value", [True, 1.5, "1", None])
def test_instants_are_integers(value):
    payload = json.dumps(dataclasses.asdict(claims()) | {"expires_at_ms": value}).encode()
    with pytest.raises(TicketRefused, match="form"):
        checked(f"{b64(payload)}.{b64(sign(payload))}")


def test_the_text_fits_a_subprotocol_token():
    text = issue(claims(), sign)
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.")


def test_claims_too_long_to_be_checked_are_not_issued():
    with pytest.raises(ValueError, match="at most"):
        issue(claims(host="h" * 1024), sign)
