"""What the nodes of one chain must agree on before it is believed.

What is tied to a block's hash, and each block by its number, is also asked of a second node: where the two
differ a third decides, and without a third nothing is decided.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress

from controller.adapters.chain_node import Node
from controller.adapters.chain_nodes import Lagging, Nodes, Read, T
from controller.errors import (
    AxonosError,
    ChainUnavailable,
    NodesDisagree,
    PriceUnavailable,
    SettingsInvalid,
)

log = logging.getLogger(__name__)

Same = Callable[[T, T], T | None]

STUCK_S = 60.0


class Pool(Nodes):
    """Asks the nodes, and compares them; safe to share between threads.

    `suspects` are the places of nodes that were contradicted: what they said before must not be built upon.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        verify: Callable[[Node], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: the nodes, best first; what raises WrongChain for a wrong one; a clock in seconds."""
        super().__init__(nodes, verify, monotonic)
        self.suspects: set[int] = set()
        self._heads: dict[int, tuple[int, float]] = {}

    def by_number(self, read: Read[T]) -> T:
        """What the node this thread is tied to says, and a second one does not contradict.

        Raises:
            NodesDisagree: it does, and no third decides.
            ChainUnavailable: the node does not answer, or was found out.
        """
        node: Node | None = getattr(self._pins, "node", None)
        same: Same[T] = equal
        if node is None or len(self.nodes) == 1:
            return self.compared(read, same)
        try:
            if not node.is_resting:
                found: T = self.compared(read, same, begin=node)
                if not node.is_resting:
                    return found
        except ChainUnavailable as error:
            if isinstance(error, NodesDisagree):
                raise
        self.pin(None)
        raise ChainUnavailable

    def final(self, read: Read[int]) -> int:
        """The highest number that two healthy nodes reach; one node's where there is but one."""
        found: list[int] = []
        for node in self.order():
            if found and node.is_resting:
                break
            with suppress(ChainUnavailable):
                found.append(self.one(node, read))
        if not found:
            raise ChainUnavailable
        return sorted(found)[-2] if len(found) > 1 else found[0]

    def compared(
        self, read: Read[T], same: Same[T], *, up_to: int | None = None, begin: Node | None = None
    ) -> T:
        """An answer that a second node does not contradict.

        Args:
            read: asks one node about what is tied to a block hash.
            same: what two answers come to if they are the same; None where they contradict each other.
            up_to: the number of the last block it is about, where a second node that does not know that
                block yet is waited for: one that is past it and does not know it says no.
            begin: the node to ask first, and no other in its place.

        Raises:
            NodesDisagree: two nodes contradict each other, and no third decides.
            ChainUnavailable, StateForgotten: as `first`.
        """
        node, found = (begin, self.one(begin, _tolerant(read))) if begin else self._first(_tolerant(read))
        others = self._others(node, read, up_to)
        for other, said in others:
            agreed = _same(found, said, same)
            if agreed is not None:
                return _told(agreed)
            for third, word in others:
                for liar, claim in ((other, found), (node, said)):
                    agreed = _same(claim, word, same)
                    if agreed is not None:
                        self.blame(liar, f"contradicts nodes {third.place} and another")
                        self.suspects.add(liar.place)
                        return _told(agreed)
            self.suspects |= {node.place, other.place}
            log.error("chain nodes %d and %d contradict each other", node.place, other.place)
            raise NodesDisagree
        return _told(found)

    def _others(self, node: Node, read: Read[T], up_to: int | None) -> Iterator[tuple[Node, T | AxonosError]]:
        """What other healthy nodes say; those that cannot say are passed over."""
        for other in self.order():
            if other is node or other.is_resting:
                continue
            try:
                yield other, self.one(other, _tolerant(read))
            except Lagging:
                head = None if up_to is None else self._head_of(other)
                if head is None or up_to is None:
                    continue
                if head >= up_to:
                    yield other, NodesDisagree()
                elif self._moves(other, head):
                    raise ChainUnavailable from None
            except ChainUnavailable:
                continue

    def _head_of(self, node: Node) -> int | None:
        try:
            return self.one(node, lambda n: int(n.ask("eth_blockNumber"), 16))
        except ChainUnavailable:
            return None

    def _moves(self, node: Node, head: int) -> bool:
        """Whether a node that does not know a block may learn of it: its head has moved of late."""
        now = self._monotonic()
        known, since = self._heads.get(node.place, (-1, now))
        if head != known:
            self._heads[node.place] = (head, now)
            return True
        return now - since < STUCK_S

    def agreed(self, read: Read[T], same: Same[T]) -> T:
        """An answer that two nodes give.

        Raises:
            NodesDisagree: no two do.
            PriceUnavailable: two say that there is none.
        """
        found: list[T | AxonosError] = []
        for node in self.order():
            try:
                said = self.one(node, _tolerant(read))
            except ChainUnavailable:
                continue
            for before in found:
                agreed = _same(before, said, same)
                if agreed is not None:
                    return _told(agreed)
            found.append(said)
        raise NodesDisagree


def equal(one: T, other: T) -> T | None:
    """What two answers come to that must be the same in every part."""
    return one if one == other else None


def _tolerant(read: Read[T]) -> Read[T | AxonosError]:
    """An answer that says no is an answer too: two nodes may agree on it."""

    def tolerant(node: Node) -> T | AxonosError:
        try:
            return read(node)
        except (PriceUnavailable, SettingsInvalid) as error:
            return error

    return tolerant


def _same(one: T | AxonosError, other: T | AxonosError, same: Same[T]) -> T | AxonosError | None:
    if isinstance(one, AxonosError) or isinstance(other, AxonosError):
        return one if isinstance(one, AxonosError) and isinstance(other, type(one)) else None
    return same(one, other)


def _told(found: T | AxonosError) -> T:
    if isinstance(found, AxonosError):
        raise found
    return found
