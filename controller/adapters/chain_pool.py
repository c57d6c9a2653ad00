"""The nodes of one chain: which to ask, which to leave alone for a while, and what two of them agree on.

One node answers a question whole. What is tied to a block hash is also asked of a second one: where they
differ a third decides, and without a third nothing is decided. A node that failed rests, twice as long each
time. `pin` ties a thread's questions by number to the node whose head it took, so that one reading of the
chain never mixes two.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import TypeVar

from controller.adapters.chain_node import Node, NodeFailed, Refusal, Unknown
from controller.errors import (
    AxonosError,
    ChainUnavailable,
    NodesDisagree,
    PriceUnavailable,
    SettingsInvalid,
    StateForgotten,
)

log = logging.getLogger(__name__)

T = TypeVar("T")
Read = Callable[[Node], T]
Same = Callable[[T, T], T | None]

# What a node's answer of another form comes to in the code that reads it.
GARBAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
STUCK_S = 60.0
LOOK_S = 5.0
LAG_BLOCKS = 5


class Pool:
    """Asks the nodes; safe to share between threads.

    `suspects` are the places of nodes that were contradicted: what they said before must not be built upon.
    """

    def __init__(
        self,
        nodes: Sequence[Node],
        verify: Callable[[Node], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: the nodes, best first; what raises WrongChain for a wrong one; a clock in seconds."""
        self.nodes, self._verify, self._monotonic = list(nodes), verify, monotonic
        self.suspects: set[int] = set()
        self._verified: set[int] = set()
        self._heads: dict[int, tuple[int, float]] = {}
        self._pins = threading.local()
        self._look_again = 0.0

    def order(self) -> list[Node]:
        """All nodes: healthy ones as configured, then those whose rest ends soonest."""
        return sorted(
            self.nodes, key=lambda n: (True, n.rests_until, n.place) if n.is_resting else (False, 0, n.place)
        )

    def first(self, read: Read[T]) -> T:
        """The first usable answer.

        Raises:
            StateForgotten: no node keeps that state.
            ChainUnavailable: no node answers, or none knows.
        """
        return self._first(read)[1]

    def _first(self, read: Read[T]) -> tuple[Node, T]:
        problem: ChainUnavailable | None = None
        for node in self.order():
            try:
                return node, self.one(node, read)
            except ChainUnavailable as error:
                problem = problem if isinstance(problem, StateForgotten) else error
        raise problem or ChainUnavailable

    def one(self, node: Node, read: Read[T]) -> T:
        """One node's answer; a node that gives none that can be used is left to rest.

        Raises:
            Lagging: it does not know the block asked about.
            StateForgotten: it does not keep that state.
            ChainUnavailable: it does not answer.
            PriceUnavailable, SettingsInvalid: as `read` raises them.
        """
        try:
            if node.place not in self._verified:
                self._verify(node)
                self._verified.add(node.place)
            found = read(node)
        except Unknown as error:
            raise Lagging from error
        except Refusal as refusal:
            if refusal.forgotten:
                raise StateForgotten from refusal
            if refusal.no_such_block:
                raise Lagging from refusal
            raise self.blame(node, f"refuses: {refusal}") from refusal
        except WrongChain as error:
            self.blame(node, str(error))
            raise ChainUnavailable(str(error)) from error
        except (NodeFailed, *GARBAGE) as error:
            why = str(error) if isinstance(error, NodeFailed) else f"garbage ({type(error).__name__})"
            raise self.blame(node, why) from error
        node.worked()
        return found

    def blame(self, node: Node, why: str) -> ChainUnavailable:
        """Let a node rest, and say why; returns the error to raise."""
        log.warning("chain node %d: %s", node.place, why)
        self._verified.discard(node.place)
        node.failed()
        return ChainUnavailable()

    def newest(self, read: Read[T], number: Callable[[T], int]) -> T:
        """The head of a node that does not lag; this thread is tied to that node.

        Every few seconds the others are asked too, so that a node that stands still is noticed.
        """
        node, head = self._first(read)
        now = self._monotonic()
        if len(self.nodes) > 1 and now >= self._look_again:
            self._look_again = now + LOOK_S
            for other in self.order():
                if other is node or other.is_resting:
                    continue
                try:
                    found = self.one(other, read)
                except ChainUnavailable:
                    continue
                if number(found) > number(head) + LAG_BLOCKS:
                    self.blame(node, f"lags by {number(found) - number(head)} blocks")
                    node, head = other, found
        self.pin(node)
        return head

    def pin(self, node: Node | None) -> None:
        """Tie this thread's next questions by number to a node."""
        self._pins.node = node

    def blame_pinned(self, why: str) -> None:
        """Let the node this thread is tied to rest."""
        node: Node | None = getattr(self._pins, "node", None)
        if node is not None:
            self.blame(node, why)

    def pinned(self, read: Read[T]) -> T:
        """The answer of the node this thread is tied to; of the first that answers where it is to none.

        Raises:
            ChainUnavailable: it does not answer; the next reading begins with another head.
        """
        node: Node | None = getattr(self._pins, "node", None)
        if node is None or len(self.nodes) == 1:
            return self.first(read)
        if node.is_resting:
            self.pin(None)
            raise ChainUnavailable
        try:
            return self.one(node, read)
        except ChainUnavailable:
            self.pin(None)
            raise

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


class Lagging(ChainUnavailable):
    """The chain's nodes do not know that block yet."""


class WrongChain(NodeFailed):
    """The node serves another chain; the text is for the operator."""


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
