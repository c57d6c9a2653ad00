"""The statement in words: ticks of one session become a line, and nothing is lost in the sum."""

from __future__ import annotations

from controller.services.ledger import StatementLine
from controller.web.statement_words import readable

TX = "0x" + "7" * 58 + "abcdef"


def use(at_ms: int, session: str, from_ms: int, to_ms: int, after: int) -> StatementLine:
    why = {"session": session, "profile": "medium", "gpus": 2, "from_ms": from_ms, "to_ms": to_ms}
    return StatementLine(at_ms, "use", -2 * (to_ms - from_ms), after, why)


def test_charges_of_one_session_are_one_line_that_adds_up() -> None:
    lines = [
        use(300, "session-b", 200_000, 260_000, 100),
        use(200, "session-a", 60_000, 3_725_000, 500),
        use(100, "session-a", 0, 60_000, 900),
        use(50, "session-b", 0, 10_000, 1_000),
    ]
    shown = readable(lines)
    assert [line.reference for line in shown] == ["session-", "session-", "session-"]
    assert shown[1].why == "Medium, 2 GPUs for 1:02:05"
    assert (shown[1].gpu_ms, shown[1].balance_after_gpu_ms, shown[1].at_ms) == (-7_450_000, 500, 200)
    assert sum(line.gpu_ms for line in shown) == sum(line.gpu_ms for line in lines)


def test_a_deposit_says_amount_price_and_discount() -> None:
    why = {
        "asset": "eth",
        "amount": str(475 * 10**12),
        "token_decimals": 18,
        "usd_answer": "250000000000",
        "usd_decimals": 8,
        "discount_bps": 500,
        "tx_hash": TX,
    }
    (line,) = readable([StatementLine(1, "deposit", 75, 75, why)])
    assert line.what == "Deposit"
    assert line.why == "0.000475 ETH at $2500 with 5 % holder discount"
    assert line.reference == "0x77777777…abcdef"
    (line,) = readable([StatementLine(1, "deposit", 75, 75, {**why, "quote": {"id": "5f0c9d1e-aa"}})])
    assert line.why.endswith("holder discount as quoted (5f0c9d1e)")


def test_unknown_kinds_are_shown_as_they_are() -> None:
    (line,) = readable([StatementLine(1, "storage_fee", -1, 0, {})])
    assert (line.what, line.why, line.reference) == ("Storage fee", "", "")
