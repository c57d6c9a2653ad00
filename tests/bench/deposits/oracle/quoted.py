"""Binding quotes: which payment one holds for, and what it is worth then."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deposits.oracle import worth
from deposits.oracle.money import Fact, hexed
from deposits.oracle.rpc import Asker
from deposits.oracle.terms import Ledgered, Terms

SKEW_MS = 15_000


class Quotes:
    """The quotes that were given out; each is used up by one payment that it holds for.

    Of several it is the one that was settled first, which only the product knows: a pasted hash can be settled
    before an older payment was seen. A word of the product's that cannot be does not count.
    """

    def __init__(
        self, asker: Asker, terms: Terms, chain: Ledgered, rows: list[dict[str, Any]], facts: list[Fact]
    ) -> None:
        self._asker, self._terms, self._chain, self._facts = asker, terms, chain, facts
        self._free = sorted(rows, key=lambda row: row["created_at_ms"])

    def value(self, fact: Fact) -> int | None:
        """GPU-milliseconds of a payment by the oldest quote for it; None where none holds."""
        for row in self._free:
            if self._holds(row, fact) and not self._another_has(row, fact):
                self._free.remove(row)
                block = self._asker.one("eth_getBlockByNumber", hex(row["block_number"]), False)
                then = replace(fact, block_hash=block["hash"], time_s=hexed(block["timestamp"]))
                found = worth.value(self._asker, self._terms, self._chain, then)
                return found[0] if found else None
        return None

    def _another_has(self, row: dict[str, Any], fact: Fact) -> bool:
        """Whether the quote was used by another payment that it holds for just as well."""
        users = [other.tx_hash for other in self._facts if self._holds(row, other)]
        return row["used_by"] in users and row["used_by"] != fact.tx_hash

    def _holds(self, row: dict[str, Any], fact: Fact) -> bool:
        same = (row["wallet"], row["rail"], row["chain_id"], int(row["amount"])) == (
            fact.payer,
            fact.asset,
            fact.chain_id,
            fact.amount,
        )
        later = fact.block > row["block_number"] and fact.time_s * 1000 > row["created_at_ms"] - SKEW_MS
        return same and later and fact.time_s * 1000 <= row["expires_at_ms"]
