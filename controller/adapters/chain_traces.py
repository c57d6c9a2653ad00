"""ETH that moved inside a transaction, read from its call tree (geth's `callTracer`). Pure.

Source: payments.md 2.2: CALL and CREATE move value, and only in frames with no error in themselves or any
ancestor; DELEGATECALL, CALLCODE and STATICCALL name a value and move none. SELFDESTRUCT moves some, but
from a contract that may be gone and never sign in: that stays unexplained, for the operator (2.4).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from controller.adapters.chain_words import address, integer

TRACER = {"tracer": "callTracer"}
MOVING = frozenset({"CALL", "CREATE", "CREATE2"})
# A plain transfer runs no code: nothing moves in it but its own value.
PLAIN_GAS = 21_000


@dataclass(frozen=True)
class Move:
    """Value that one frame moved; `path` is its place in the tree, `0` for the transaction's own frame."""

    path: str
    sender: str
    to: str
    wei: int


def moves(trace: Mapping[str, Any]) -> Iterator[Move]:
    """Every move of value in a call tree, in the order of the calls.

    A tree may be a thousand frames deep, made so by whoever pays: nothing here recurses.
    """
    waiting: list[tuple[str, Mapping[str, Any]]] = [("0", trace)]
    while waiting:
        path, frame = waiting.pop()
        if frame.get("error"):
            continue  # undone, with everything below
        wei = integer(frame.get("value") or "0x0")
        if frame["type"].upper() in MOVING and wei and frame.get("to"):
            yield Move(path, address(frame["from"]), address(frame["to"]), wei)
        below = frame.get("calls") or []
        waiting += [(f"{path}.{place}", child) for place, child in reversed(list(enumerate(below)))]


def may_call(tx: Mapping[str, Any]) -> bool:
    """Whether a transaction can run code at all."""
    return tx.get("to") is None or tx.get("input", "0x") != "0x" or integer(tx["gas"]) > PLAIN_GAS
