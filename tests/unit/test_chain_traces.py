"""ETH in call trees: what moved, against a plain recursive reading; and the words around it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.adapters import chain_words as words
from controller.adapters.chain_traces import Move, moves

PEOPLE = ["0x" + digit * 40 for digit in "abc"]
KINDS = ["CALL", "CREATE", "CREATE2", "SELFDESTRUCT", "DELEGATECALL", "CALLCODE", "STATICCALL"]


def frames(children: Any) -> Any:
    optional = {
        "value": st.integers(0, 3).map(hex),
        "error": st.sampled_from(["execution reverted", "out of gas"]),
        "calls": children,
    }
    fixed = {
        "type": st.sampled_from(KINDS),
        "from": st.sampled_from(PEOPLE),
        "to": st.sampled_from(PEOPLE),
    }
    return st.fixed_dictionaries(fixed, optional=optional)


TREES = st.recursive(frames(st.just([])), lambda inner: frames(st.lists(inner, max_size=4)), max_leaves=30)


def plainly(frame: dict[str, Any], path: str) -> list[Move]:
    if "error" in frame:
        return []
    wei = int(frame.get("value", "0x0"), 16)
    moved = wei and frame["type"] in {"CALL", "CREATE", "CREATE2"}
    found = [Move(path, frame["from"], frame["to"], wei)] if moved else []
    for place, child in enumerate(frame.get("calls", [])):
        found += plainly(child, f"{path}.{place}")
    return found


@given(TREES)
def test_value_moves_in_frames_that_last_and_by_calls_that_carry_it(tree: dict[str, Any]):
    assert list(moves(tree)) == plainly(tree, "0")


def test_a_tree_deeper_than_any_stack_is_read():
    tree: dict[str, Any] = {"type": "CALL", "from": PEOPLE[0], "to": PEOPLE[1], "value": "0x7"}
    for _ in range(20_000):
        tree = {"type": "CALL", "from": PEOPLE[0], "to": PEOPLE[0], "value": "0x0", "calls": [tree]}
    (move,) = moves(tree)
    assert (move.wei, move.path.count(".")) == (7, 20_000)


def log_of(**changes: Any) -> dict[str, Any]:
    topics = [words.TRANSFER, "0x" + words.padded(PEOPLE[0]), "0x" + words.padded(PEOPLE[1])]
    return {"address": PEOPLE[2], "topics": topics, "data": "0x" + f"{5:064x}", **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"removed": True},
        {"data": "0x"},
        {"data": "0x" + "0" * 64},
        {"data": "0x" + "0" * 63 + "1" + "0" * 64},
        {"topics": [words.TRANSFER]},
        {"topics": [words.TRANSFER, *["0x" + "0" * 64] * 3]},
        {"topics": ["0x" + "1" * 64, *["0x" + "0" * 64] * 2]},
    ],
)
def test_a_log_that_is_no_transfer_of_something(changes: dict[str, Any]):
    assert words.is_transfer(log_of())
    assert not words.is_transfer(log_of(**changes))


def test_a_failed_transaction_spends_its_fee_and_a_good_one_its_value_too():
    tx = {"value": "0x64", "gasPrice": "0x2"}
    receipt = {"gasUsed": "0xa", "effectiveGasPrice": "0x3", "l1Fee": "0x7", "status": "0x1"}
    assert words.spent(tx, receipt) == 100 + 30 + 7
    assert words.spent(tx, {**receipt, "status": "0x0"}) == 37
    assert words.spent(tx, {"gasUsed": "0xa", "status": "0x0"}) == 20
    blob = {**receipt, "blobGasUsed": "0x2", "blobGasPrice": "0x5"}
    assert words.spent(tx, blob) == 147


@pytest.mark.parametrize("text", ["", "12", "0x" + "f" * 65, "0xzz", "0x-1"])
def test_what_is_no_quantity_is_refused(text: str):
    with pytest.raises(ValueError, match=r"quantity|literal|invalid"):
        words.integer(text)


def test_what_is_no_hash_or_address_is_refused():
    for text in ("0x12", "0x" + "g" * 64, "0x" + "1" * 65):
        with pytest.raises(ValueError, match="no hash"):
            words.hash32(text)
        with pytest.raises(ValueError, match="no address"):
            words.address(text)
