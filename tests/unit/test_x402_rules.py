"""Payloads, amounts and nonces of payments by HTTP 402, without chain and database."""

from __future__ import annotations

import base64
import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.domain.x402 import NONCE_LIFE_MS, covering, is_key, make_nonce, nonce_end_ms, read_payload

SIGNED = {
    "from": "0x" + "Aa" * 20,
    "to": "0x" + "bb" * 20,
    "value": "100000",
    "validAfter": "0",
    "validBefore": "1800000000",
    "nonce": "0x" + "0C" * 32,
}
V1: dict[str, Any] = {
    "x402Version": 1,
    "scheme": "exact",
    "network": "base-sepolia",
    "payload": {"signature": "0x" + "ab" * 65, "authorization": SIGNED},
}
V2: dict[str, Any] = {
    "x402Version": 2,
    "accepted": {"scheme": "exact", "network": "eip155:84532", "amount": "100000"},
    "payload": V1["payload"],
}


def header(value: Any) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


@pytest.mark.parametrize("payload", [V1, V2], ids=["v1", "v2"])
def test_both_versions_are_read_alike(payload: dict[str, Any]) -> None:
    found = read_payload(header(payload))
    assert (found.version, found.scheme) == (payload["x402Version"], "exact")
    assert found.authorization.payer == "0x" + "aa" * 20
    assert (found.authorization.amount, found.authorization.nonce) == (100_000, "0x" + "0c" * 32)
    assert (found.accepted is None) == (found.version == 1)


def changed(payload: dict[str, Any], *path: str, value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(payload))
    at = copy
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("x402Version",), True),
        (("x402Version",), "2"),
        (("accepted",), None),
        (("accepted", "network"), 8453),
        (("accepted", "scheme"), "x" * 65),
        (("payload",), []),
        (("payload", "authorization"), None),
        (("payload", "signature"), "0x1"),
        (("payload", "signature"), "0x" + "00" * 9_000),
        (("payload", "authorization", "value"), 100_000),
        (("payload", "authorization", "value"), "-1"),
        (("payload", "authorization", "value"), "1" * 79),
        (("payload", "authorization", "value"), "\uff11"),
        (("payload", "authorization", "from"), "0x" + "aa" * 19),
        (("payload", "authorization", "nonce"), "0x" + "00" * 31),
        (("payload", "authorization", "validBefore"), "1e9"),
        (("extensions",), {"payment-identifier": {"info": {"id": "short"}}}),
        (("extensions",), {"payment-identifier": {"info": {"id": 7}}}),
    ],
)
def test_what_has_another_form_is_refused_with_words(path: tuple[str, ...], value: Any) -> None:
    with pytest.raises(ValueError, match=r"must|missing|form|long|characters"):
        read_payload(header(changed(V2, *path, value=value)))


@given(st.text(max_size=200))
def test_no_header_does_more_than_be_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"header|must"):
        read_payload(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda s: st.lists(s) | st.dictionaries(st.text(), s),
    )
)
def test_no_json_does_more_than_be_refused(value: Any) -> None:
    with pytest.raises(ValueError, match=r"header|must"):
        read_payload(header(value))


def test_an_identifier_is_the_clients_key() -> None:
    named = {**V2, "extensions": {"payment-identifier": {"info": {"required": False, "id": "a" * 16}}}}
    assert read_payload(header(named)).identifier == "a" * 16
    assert read_payload(header(V2)).identifier is None


def test_a_key_is_long_enough_that_nobody_guesses_it() -> None:
    assert is_key("k" * 16)
    assert not any(is_key(key) for key in ("k" * 15, "k" * 256, "k" * 15 + "\n", "k" * 15 + "é", ""))


def test_amounts_cover_what_the_claim_needs() -> None:
    amounts = [100_000, 1_000_000]
    # Ten cents are six minutes at a dollar an hour.
    assert covering(amounts, 360_000, Decimal(1)) == amounts
    assert covering(amounts, 360_001, Decimal(1)) == [1_000_000]
    assert covering(amounts, 360_000, Decimal(2)) == [1_000_000]


def test_a_nonce_proves_itself_and_runs_out() -> None:
    nonce = make_nonce(b"key", 1_000, b"\x01" * 12)
    assert nonce.isalnum()
    assert nonce_end_ms(b"key", nonce, 1_000) == 1_000 + NONCE_LIFE_MS
    assert nonce_end_ms(b"key", nonce, 1_000 + NONCE_LIFE_MS) is None
    assert nonce_end_ms(b"other", nonce, 1_000) is None
    assert nonce_end_ms(b"key", "f" + nonce[1:], 1_000) is None
    for garbage in ("", "x", "é" * 60, nonce[:-1]):
        assert nonce_end_ms(b"key", garbage, 1_000) is None
