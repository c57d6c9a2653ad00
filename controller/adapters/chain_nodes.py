"""The nodes of one chain: which to ask, and which to leave alone for a while.

One node answers a question whole. A node that failed rests, twice as long each time. `pin` ties a thread's
questions by number to the node whose head it took, so that one reading of the chain never mixes two. What two
nodes must agree on is `chain_pool`'s.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from controller.adapters.chain_node import Node, NodeFailed, Refusal, Unknown
from controller.errors import ChainUnavailable, StateForgotten

log = logging.getLogger(__name__)

T = TypeVar("T")
Read = Callable[[Node], T]

# What a node's answer of another form comes to in the code that reads it.
GARBAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError, RecursionError)
LOOK_S = 5.0
LAG_BLOCKS = 5


class Lagging(ChainUnavailable):
    """The chain's nodes do not know that block yet."""


class WrongChain(NodeFailed):
    """The node serves another chain; the text is for the operator."""


class Nodes:
    """Asks the nodes; safe to share between threads."""

    def __init__(
        self,
        nodes: Sequence[Node],
        verify: Callable[[Node], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Args: the nodes, best first; what raises WrongChain for a wrong one; a clock in seconds."""
        self.nodes, self._verify, self._monotonic = list(nodes), verify, monotonic
        self._verified: set[int] = set()
        self._pins = threading.local()
        self._look_again = 0.0

    def order(self) -> list[Node]:
        """All nodes: healthy ones as configured, slow ones later; then those whose rest ends soonest."""
        return sorted(
            self.nodes,
            key=lambda n: (
                (True, n.rests_until, n.place) if n.is_resting else (False, float(n.is_slow), n.place)
            ),
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
