"""One interleaving: a story on the chain, the product's actors around it, one seed - then calm, and the oracle.

The actors are what runs in production: watchers (two workers) and pasted hashes (payer and stranger). Each has
its own database connections and chain reader, as a process of its own would. A seed also draws the weather:
a process killed or a connection cut at one step of one actor, in about half of all interleavings.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

from controller.adapters.chain import Web3Chain
from controller.errors import AxonosError, Unavailable
from controller.services import deposits
from controller.services.deps import Deps
from deposits.chain import ManualChain, Sent, address
from deposits.node import in_place_of_http
from deposits.oracle.judge import Verdict, judge
from deposits.schedule import Killed, Planned, Scheduler
from deposits.stage import Stage

Mode = Literal["watcher", "hint", "race"]
Story = Callable[["Play"], Iterator[str]]
CALM_STEPS = 60
LOOK_AGAIN_MS = 61_000
SLOWER = 100
TRIES = 25
STRANGER = "mallory"


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
    clock_ms: Iterator[int] = field(default_factory=lambda: itertools.count())

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
        deps = self.deps("early")
        for _ in range(CALM_STEPS):
            with suppress(Unavailable):
                if watch_all(deps) == 0:
                    return

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


def play(case: Case, seed: int, stage: Stage) -> Result:
    """Run one interleaving and judge it. The seed decides everything."""
    name = f"{case.name}:{seed}"
    rng = random.Random(f"weather {name}")
    mode = case.modes[seed % len(case.modes)]
    run = Scheduler(name, _weather(case, mode, rng))
    played = Play(case, seed, stage, run)
    stage.begin(case.chains)
    played.settings = stage.settings(case.settings)
    if case.before:
        case.before(played)
    for chain in stage.chains[: case.chains]:
        chain.changed = run.stir
    run.add("chain", lambda: _tell(played))
    _cast(played)
    problems: list[str] = []
    try:
        run.run()
        problems += _too_early(played)
        _calm(played)
    except Exception as error:  # noqa: BLE001 - any error of the product is a finding
        problems.append(f"{type(error).__name__}: {error}")
    finally:
        stage.end()
        for reader in played.readers:
            reader.close()
    verdict = judge(stage.terms(played.settings))
    problems += [f for f in verdict.findings if not any(known in f for known in case.findings)]
    problems += _unlike(case, verdict)
    problems += case.check(played) if case.check else []
    return Result(
        case.name, seed, mode, run.order_hash, len(run.order), verdict, problems, run.faults, run.order
    )


def _weather(case: Case, mode: Mode, rng: random.Random) -> list[Planned]:
    """What goes wrong besides the story itself, if anything."""
    if not case.weather or rng.random() < 0.45:
        return []
    actors = {"watcher": ["watcher-1", "watcher-2"], "hint": ["payer", "stranger"]}
    names = actors.get(mode) or [*actors["watcher"], *actors["hint"]]
    faults: list[Any] = ["kill", "kill", "cut", "cut after"]
    planned = [
        Planned(rng.choice(names), int(rng.expovariate(1 / 60)) + 1, rng.choice(faults))
        for _ in range(rng.choice([1, 1, 2]))
    ]
    return list({(p.actor, p.at_step): p for p in planned}.values())


def _cast(played: Play) -> None:
    """Who plays, by the case's mode."""
    add = played.scheduler.add
    if played.mode in {"watcher", "race"}:
        for number in (1, 2):
            add(f"watcher-{number}", lambda n=number: _process(played, f"watcher-{n}", _watch))
    if played.mode in {"hint", "race"}:
        for who, wallet in (("payer", None), ("stranger", STRANGER)):
            add(who, lambda who=who, wallet=wallet: _process(played, who, _paste(wallet)))
    for number in range(played.case.claims):
        who = f"claim-{number}"
        add(who, lambda who=who: _process(played, who, _paste(None, tries=2)))


def _tell(played: Play) -> None:
    for label in played.case.story(played):
        played.scheduler.step(label)
    played.finished = True
    played.scheduler.stir()


def _process(played: Play, who: str, body: Callable[[Play, Deps, str], None]) -> None:
    """A process: started again, with nothing kept, whenever it was killed."""
    while True:
        try:
            body(played, played.deps(who), who)
        except Killed:
            played.scheduler.born_again()
        else:
            return


def _watch(played: Play, deps: Deps, _: str) -> None:
    for _try in range(TRIES * 4):
        last_look = played.finished
        try:
            done = watch_all(deps)
        except Unavailable:
            continue
        if done == 0 and last_look:
            return
        if done == 0:
            played.scheduler.idle()


def watch_all(deps: Deps) -> int:
    """One step of every chain's watcher."""
    return sum(deposits.watch_once(deps, chain_id) for chain_id in deps.chains)


def _paste(wallet: str | None, tries: int = TRIES) -> Callable[[Play, Deps, str], None]:
    """Somebody who pastes every hash that is known, now and then, and once more when all is told."""

    def body(played: Play, deps: Deps, who: str) -> None:
        rng = random.Random(f"paste {played.case.name}:{played.seed}:{who}")
        for _try in range(tries):
            last_look = played.finished
            answers = [
                _hint(played, deps, who, wallet or name.split("/")[0], sent)
                for name, sent in list(played.sent.items())
            ]
            if last_look and all(answers):
                return
            for _wait in range(rng.choice([0, 1, 1, 2, 3])):
                if not played.finished:
                    played.scheduler.idle()

    return body


def _hint(played: Play, deps: Deps, who: str, wallet: str, sent: Sent) -> bool:
    """Paste one hash; whether there was an answer that another try would not change."""
    shapes = (sent.tx_hash, sent.tx_hash.upper().replace("X", "x"), sent.tx_hash[2:])
    pasted = shapes[len(played.told) % 3]
    try:
        view = deposits.hint(deps, address(wallet), pasted)
    except AxonosError as error:
        played.told.append((who, sent.tx_hash, error.code, error))
        return not isinstance(error, Unavailable)
    played.told.append((who, sent.tx_hash, view.state, view))
    return True


def _too_early(played: Play) -> list[str]:
    """What was credited before the chain ever had the confirmations for it."""
    found = []
    for chain, settings in zip(played.stage.chains, played.settings.chains, strict=False):
        top = chain.top - settings.confirmations + 1
        for tx_hash, number in played.stage.credited(settings.chain_id):
            if number > top:
                found.append(
                    f"{tx_hash} in block {number} was credited, the chain never went past {chain.top}"
                )
    return found


def _calm(played: Play) -> None:
    """The weather clears: nodes are well, blocks come, one worker looks until there is nothing left to do."""
    played.stage.clear()
    for chain in played.stage.chains[: played.case.chains]:
        for node in chain.nodes:
            chain.spoil(node, None)
        for _ in range(played.settings.chain.confirmations if played.case.settles else 0):
            chain.mine()
    played.scheduler = Scheduler("calm")
    deps, quiet = played.deps("calm"), 0
    for _ in range(CALM_STEPS):
        with suppress(Unavailable):
            quiet = quiet + 1 if watch_all(deps) == 0 else 0
        if quiet == 2:
            return
        # What waits for a price, a second node or a tier is looked at again after a while.
        played.later_ms += LOOK_AGAIN_MS if quiet else 0
    raise RuntimeError("the watcher finds something to do for ever")


def _unlike(case: Case, verdict: Verdict) -> list[str]:
    counted = {name: getattr(verdict, name) for name in case.expect}
    return (
        [] if counted == case.expect else [f"the story was to end with {case.expect}, it did with {counted}"]
    )
