"""The statement in words: each kind of entry says its why, and nothing in it is a formula."""

from __future__ import annotations

from typing import Any

import pytest

from controller.services.money.statement import StatementEntry
from controller.web.statement_words import readable, safe_cell

TX = "0x" + "7" * 58 + "abcdef"
DEPOSIT = {
    "asset": "eth",
    "amount": str(475 * 10**12),
    "token_decimals": 18,
    "usd_answer": "250000000000",
    "usd_decimals": 8,
    "discount_bps": 500,
    "tx_hash": TX,
    "chain_id": 1,
}


def entry(kind: str, newest: dict[str, Any], oldest: dict[str, Any] | None = None) -> StatementEntry:
    return StatementEntry(9, 300, kind, -5, 100, newest, oldest or newest, 1)


def test_charges_of_one_session_are_one_line_with_a_way_to_its_windows() -> None:
    first = {"session": "session-a", "profile": "medium", "gpus": 2, "from_ms": 0, "to_ms": 60_000}
    last = {**first, "from_ms": 3_700_000, "to_ms": 3_725_000}
    (line,) = readable([entry("use", last, first)], {})
    assert line.why == "Medium, 2 GPUs for 1:02:05"
    assert (line.what, line.reference, line.session) == ("GPU session", "session-", "session-a")
    assert (line.gpu_ms, line.balance_after_gpu_ms, line.at_ms) == (-5, 100, 300)


@pytest.mark.parametrize(
    ("kind", "words"), [("desktop", "GPU desktop"), ("ssh", "GPU shell"), ("x", "GPU session")]
)
def test_a_session_is_called_what_it_was(kind: str, words: str) -> None:
    (line,) = readable([entry("use", {"session": "s", "kind": kind})], {})
    assert line.what == words


def test_a_deposit_says_amount_price_discount_and_chain() -> None:
    (line,) = readable([entry("deposit", DEPOSIT)], {1: "Ethereum"})
    assert line.what == "Deposit"
    assert line.why == "0.000475 ETH at $2500 with 5 % holder discount on Ethereum"
    assert line.reference == "0x77777777…abcdef"
    quoted = {**DEPOSIT, "discount_bps": 0, "bonus_bps": 2_500, "quote": {"id": "q"}}
    (line,) = readable([entry("deposit", quoted)], {})
    assert line.why == "0.000475 ETH at $2500 with 25 % bonus as quoted"


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        ("credit", "Credit by the operator"),
        ("refund", "Refund by the operator"),
        ("adjust", "Adjustment by the operator"),
        ("reversal", "Deposit reversed"),
        ("storage_fee", "Storage fee"),
    ],
)
def test_each_kind_says_its_reason(kind: str, what: str) -> None:
    (line,) = readable([entry(kind, {"reason": "a broken fan"})], {})
    assert (line.what, line.why) == (what, "a broken fan")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1", "\r=1", "\n=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert safe_cell(text) == "'" + text
    assert safe_cell("a " + text) == "a " + text
