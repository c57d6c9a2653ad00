"""Transfer logs that name a revenue wallet, over stretches of blocks, as one node shows them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller.adapters.chain_bloom import unshown
from controller.adapters.chain_node import Call, Node, Refusal, TooMuch, Unknown
from controller.adapters.chain_words import BALANCE_OF, TRANSFER, hash32, is_transfer, padded, split
from controller.services.ports import Block

# The last blocks of a stretch are asked for by hash: near the head the node may stand on another branch.
NEAR = 16

Raw = Mapping[str, Any]


class TransferLogs:
    """Asks one node about given tokens and wallets."""

    def __init__(self, node: Node, wallets: Sequence[str], tokens: Sequence[str]) -> None:
        """Args: the node; the revenue wallets and the tokens' contracts, lower case."""
        self._node, self._wallets, self._tokens = node, wallets, tokens
        self._topics = ["0x" + padded(wallet) for wallet in wallets]

    def incoming(self, blocks: Sequence[Block]) -> list[Raw]:
        """Transfers to a wallet in blocks that follow one another; empty transfers are left out.

        Raises:
            Unknown: the node does not know one of the last blocks.
        """
        if not self._tokens:
            return []
        found = [*self._range(blocks[:-NEAR]), *self._by_hash(blocks[-NEAR:])]
        shown = {hash32(entry["blockHash"]) for entry in found}
        found += unshown(self._node, blocks[-NEAR:], shown, self._wallets, self._tokens)
        return [entry for entry in found if is_transfer(entry)]

    def _range(self, blocks: Sequence[Block]) -> list[Raw]:
        """Logs of a stretch at once; in halves where the node finds that too much."""
        if len(blocks) <= NEAR:
            return self._by_hash(blocks)
        first, last = hex(blocks[0].number), hex(blocks[-1].number)
        try:
            found = self._node.ask("eth_getLogs", {**self._wanted(), "fromBlock": first, "toBlock": last})
        except (Refusal, TooMuch):
            middle = len(blocks) // 2
            return [*self._range(blocks[:middle]), *self._range(blocks[middle:])]
        return list(found)

    def _by_hash(self, blocks: Sequence[Block]) -> list[Raw]:
        calls: list[Call] = [("eth_getLogs", [{**self._wanted(), "blockHash": b.hash}]) for b in blocks]
        if not calls:
            return []
        try:
            return [entry for found in self._node.asked(calls) for entry in found]
        except Refusal as refusal:
            if refusal.no_such_block:
                raise Unknown from refusal
            raise

    def _wanted(self) -> dict[str, Any]:
        return {"address": list(self._tokens), "topics": [TRANSFER, None, self._topics]}

    def lie(self, contract: str, block: Block) -> bool:
        """Whether the wallets got less of a token in a block than its logs say.

        So it is with a token that hides a fee, or changes balances by itself. Where the node keeps that
        state no longer, the logs are believed.
        """
        about = {"address": contract, "blockHash": block.hash}
        both_ways = [TRANSFER, None, self._topics], [TRANSFER, self._topics]
        logs: list[Call] = [("eth_getLogs", [{**about, "topics": topics}]) for topics in both_ways]
        held: list[Call] = [
            ("eth_call", [{"to": contract, "data": BALANCE_OF + padded(wallet)}, {"blockHash": at}])
            for at in (block.parent_hash, block.hash)
            for wallet in self._wallets
        ]
        try:
            came, went, *balances = self._node.asked([*logs, *held])
        except Refusal as refusal:
            if refusal.forgotten:
                return False
            raise
        amounts = [split(balance, 1)[0] for balance in balances]
        before, after = amounts[: len(self._wallets)], amounts[len(self._wallets) :]
        logged = sum(int(entry["data"], 16) for entry in came) - sum(int(entry["data"], 16) for entry in went)
        return sum(after) - sum(before) < logged
