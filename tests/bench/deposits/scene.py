"""What a case is, and what its story, actors and checks work with: the chain, the hashes, the answers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from controller.adapters.chain import Web3Chain
from controller.errors import Unavailable
from controller.services.deposits import of_wallet as deposits
from controller.services.deps import Deps
from deposits.chain import ManualChain, Sent
from deposits.node import in_place_of_http
from deposits.oracle.judge import Verdict
from deposits.schedule import Scheduler
from deposits.stage import Stage

Mode = Literal["watcher", "hint", "race"]
Story = Callable[["Play"], Iterator[str]]
CALM_STEPS = 60
SLOWER = 100


def watch_all(deps: Deps) -> int:
    """One step of every chain's watcher."""
    return sum(deposits.watch_once(deps, chain_id) for chain_id in deps.chains)


@dataclass(frozen=True)
class Case:
    """A named story. Seeds take its modes in turn: watchers only, pasted hashes only, both. `expect` counts what the oracle must find on the chain, so that no story runs empty."""

    name: str
    story: Story
    modes: tuple[Mode, ...]
    expect: dict[str, int]
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    claims: int = 0
    settles: bool = True
    weather: bool = True
    check: Callable[[Play], list[str]] | None = None
    before: Callable[[Play], None] | None = None
    chains: int = 1
    findings: frozenset[str] = frozenset()  # what the oracle says of a watcher that must stop


@dataclass
class Result:
    """How one interleaving ended."""

    case: str
    seed: int
    mode: Mode
    order_hash: str
    steps: int
    verdict: Verdict
    problems: list[str]
    faults: list[str]
    order: list[str]

    @property
    def ok(self) -> bool:
        return not self.problems


@dataclass
class Play:
    """What a story works with: the chain, the hashes it has made public, and what the hints answered."""

    case: Case
    seed: int
    stage: Stage
    scheduler: Scheduler
    sent: dict[str, Sent] = field(default_factory=dict)
    told: list[tuple[str, str, str, Any]] = field(default_factory=list)  # (who, hash, outcome, view or error)
    finished: bool = False
    settings: Any = None
    readers: list[Web3Chain] = field(default_factory=list)
    later_ms: int = 0
    clock_ms: Iterator[int] = field(default_factory=itertools.count)

    @property
    def mode(self) -> Mode:
        """Who looks for the money."""
        return self.case.modes[self.seed % len(self.case.modes)]

    @property
    def chain(self) -> ManualChain:
        return self.stage.chains[0]

    @property
    def other(self) -> ManualChain:
        return self.stage.chains[1]

    def now_ms(self) -> int:
        """The server's clock: the chain's time, a millisecond later at each look."""
        return self.chain.time_s * 1000 + self.later_ms + next(self.clock_ms)

    def seconds(self) -> float:
        """For time-outs and rests of nodes: a block takes far less of it than a patient client waits."""
        return (self.chain.time_s + self.later_ms / 1000) / SLOWER

    def mine(self, blocks: int = 1, chain: ManualChain | None = None) -> Iterator[str]:
        """Blocks, one step each."""
        for _ in range(blocks):
            yield "mine"
            (chain or self.chain).mine()

    def watched(self) -> Iterator[str]:
        """One worker of its own does all there is to do by now, so that the story can rely on it."""
        yield "a worker looks"
        deps, failures = self.deps("early"), 0
        while failures < 3:
            try:
                if watch_all(deps) == 0:
                    return
            except Unavailable:
                failures += 1

    def publish(self, name: str, sent: Sent) -> Sent:
        """From now on people paste this hash."""
        self.sent[name] = sent
        return sent

    def pay(self, name: str, sender: str, wei: int, to: str | None = None, **fields: Any) -> Sent:
        """Pay ETH, to the revenue wallet unless told otherwise; the hash is published."""
        return self.publish(name, self.chain.send(sender, to or self.chain.revenue, wei, **fields))

    def token(self, name: str, sender: str, asset: str, units: int, to: str | None = None) -> Sent:
        """Pay a token."""
        contract = {"usdc": self.chain.deployment.usdc, "axgt": self.chain.deployment.axgt}[asset]
        kind = {"usdc": "MockUsdc", "axgt": "Axgt"}[asset]
        sent = self.chain.call(sender, contract, kind, "transfer", to or self.chain.revenue, units)
        return self.publish(name, sent)

    def give(self, name: str, sender: str, asset: str, amount: int) -> Sent:
        """Pay any asset."""
        if asset == "eth":
            return self.pay(name, sender, amount)
        return self.token(name, sender, asset, amount)

    def deps(self, actor: str) -> Deps:
        """The ports of one process."""
        database = self.stage.database(actor)
        database.scheduler = self.scheduler
        with in_place_of_http(self.stage.nodes(), self.scheduler, self.seconds):
            chains = {c.chain_id: Web3Chain(self.settings, c) for c in self.settings.chains}
        self.readers += chains.values()
        numbers = itertools.count(1)
        unused: Any = None
        return Deps(
            settings=self.settings,
            clock=self,
            database=database,
            chains=chains,
            tickets=unused,
            sign_in=unused,
            new_id=lambda: f"{actor}-{next(numbers)}",
        )
