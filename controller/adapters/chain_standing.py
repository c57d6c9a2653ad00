"""Whether ETH reached or left the revenue wallets over a stretch of blocks, without reading the blocks.

A wallet without code spends only by its own transactions, and each of those raises its nonce: where balance
and nonce are the same at both ends of a stretch, nothing came or went in between. So a stretch in which
nothing happened costs one request, however long it is. A wallet with code can spend without any sign of it:
then every block is looked into.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from controller.adapters.chain_node import Node, Refusal, Unknown
from controller.adapters.chain_words import integer
from controller.services.ports import Block

log = logging.getLogger(__name__)

KEPT = 64
_WORDS = ("eth_getBalance", "eth_getTransactionCount", "eth_getCode")


@dataclass(frozen=True)
class Standing:
    """The revenue wallets after a block, in their order."""

    wei: tuple[int, ...]
    nonces: tuple[int, ...]
    has_code: bool


class Memory:
    """What one node said lately: after an outage longer than it keeps state, this tells where we stood.

    `expected` are balances after blocks whose state is gone: the last that was known, and what the
    transactions since then say. What is more when state can be read again came through contracts.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Standing] = {}
        self.expected: dict[str, tuple[int, ...]] = {}

    def trim(self) -> None:
        """Forget all but the newest."""
        for kept in (self.seen, self.expected):
            for block_hash in list(kept)[:-KEPT]:
                kept.pop(block_hash, None)


class Standings:
    """What one node says of the wallets, block by block; each block is asked about once."""

    def __init__(self, node: Node, wallets: Sequence[str], memory: Memory) -> None:
        self._node, self._wallets, self._memory = node, wallets, memory
        self._known: dict[str, Standing | None] = {}

    def after(self, block_hash: str) -> Standing | None:
        """The wallets after a block; None where the node keeps that state no longer.

        Raises:
            Unknown: the node does not know the block.
        """
        if block_hash not in self._known:
            found = self._memory.seen.get(block_hash) or self._ask(block_hash)
            self._known[block_hash] = found
            if found is not None:
                self._memory.seen[block_hash] = found
        return self._known[block_hash]

    def grown(self, block: Block, explained: Sequence[int]) -> list[int] | None:
        """By how much each wallet has grown beyond what is explained, up to the end of a block.

        None where the state is gone: then it is told with the first later block whose state is there.
        """
        before, after = self.after(block.parent_hash), self.after(block.hash)
        stood = before.wei if before else self._memory.expected.get(block.parent_hash)
        if stood is None:
            log.warning("block %d: state gone, ETH through contracts cannot be seen", block.number)
            return None
        expected = tuple(wei + more for wei, more in zip(stood, explained, strict=True))
        if after is None:
            self._memory.expected[block.hash] = expected
            return None
        return [wei - known for wei, known in zip(after.wei, expected, strict=True)]

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
