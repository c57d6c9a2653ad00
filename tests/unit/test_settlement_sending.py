"""What a node's answer to a settlement means: a refusal is believed only where the node does not know it."""

from __future__ import annotations

from typing import Any

import pytest
from eth_account import Account
from fakes import make_settings

from controller.adapters.chain_node import Refusal
from controller.adapters.settlement_node import SettlementNodes

SIGNED = Account.create().sign_transaction(
    {"to": "0x" + "11" * 20, "value": 0, "gas": 21_000, "gasPrice": 1, "nonce": 0, "chainId": 84532}
)


class OneNode:
    """A pool of one node, which refuses with these words, or takes it."""

    def __init__(self, says: str | None, *, knows: bool) -> None:
        self.says, self.knows = says, knows

    def first(self, read: Any) -> Any:
        return read(self)

    def ask(self, method: str, *params: Any) -> Any:
        if method == "eth_sendRawTransaction":
            if self.says is not None:
                raise Refusal(-32000, self.says)
            return SIGNED.hash.to_0x_hex()
        assert (method, params) == ("eth_getTransactionByHash", (SIGNED.hash.to_0x_hex(),))
        return {"hash": params[0]} if self.knows else None


@pytest.mark.parametrize(
    ("says", "knows", "outcome"),
    [
        (None, False, "taken"),
        ("already known", False, "taken"),
        ("nonce too low", False, "nonce"),
        ("nonce too low", True, "taken"),
        ("internal error", True, "taken"),
        ("internal error", False, "refused"),
        ("insufficient funds for gas * price + value", False, "refused"),
    ],
)
def test_what_a_node_says_to_a_settlement(says: str | None, knows: bool, outcome: str) -> None:
    nodes = SettlementNodes(make_settings().chain)
    nodes._pool = OneNode(says, knows=knows)  # type: ignore[assignment]
    said = nodes.send(SIGNED.raw_transaction.to_0x_hex())
    nodes.close()
    assert said.outcome == outcome
    assert bool(said.why) is (outcome != "taken")
