"""Whether ETH reached or left the revenue wallets over a stretch of blocks, without reading the blocks.

A wallet without code spends only by its own transactions, and each of those raises its nonce: where balance
and nonce are the same at both ends of a stretch, nothing came or went in between. So a stretch in which
nothing happened costs one request, however long it is. A wallet with code can spend without any sign of it:
then every block is looked into.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from controller.adapters.chain_node import Node, Refusal, Unknown
from controller.adapters.chain_words import integer
from controller.services.ports import Block

_WORDS = ("eth_getBalance", "eth_getTransactionCount", "eth_getCode")


@dataclass(frozen=True)
class Standing:
    """The revenue wallets after a block, in their order."""

    wei: tuple[int, ...]
    nonces: tuple[int, ...]
    has_code: bool


class Standings:
    """What one node says of the wallets, block by block; each block is asked about once."""

    def __init__(self, node: Node, wallets: Sequence[str]) -> None:
        self._node, self._wallets = node, wallets
        self._known: dict[str, Standing | None] = {}

    def after(self, block_hash: str) -> Standing | None:
        """The wallets after a block; None where the node keeps that state no longer.

        Raises:
            Unknown: the node does not know the block.
        """
        if block_hash not in self._known:
            self._known[block_hash] = self._ask(block_hash)
        return self._known[block_hash]

    def _ask(self, block_hash: str) -> Standing | None:
        at = {"blockHash": block_hash}
        try:
            said = self._node.asked([(word, [wallet, at]) for word in _WORDS for wallet in self._wallets])
        except Refusal as refusal:
            if refusal.no_such_block:
                raise Unknown from refusal
            if refusal.forgotten:
                return None
            raise
        count = len(self._wallets)
        numbers = tuple(integer(word) for word in said[: 2 * count])
        code = any(len(word) > len("0x") for word in said[2 * count :])
        return Standing(numbers[:count], numbers[count:], code)

    def moved(self, blocks: Sequence[Block]) -> set[str]:
        """Hashes of the blocks in which ETH may have come or gone; `blocks` follow one another."""
        found: set[str] = set()
        hashes = [blocks[0].parent_hash, *(block.hash for block in blocks)]
        spans = [(0, len(blocks))]
        while spans:
            low, high = spans.pop()
            before, after = self.after(hashes[low]), self.after(hashes[high])
            if before == after and after is not None and not after.has_code:
                continue
            if high - low == 1 or after is None or after.has_code:
                found.update(hashes[low + 1 : high + 1])
                continue
            middle = (low + high) // 2
            spans += [(low, middle), (middle, high)]
        return found
