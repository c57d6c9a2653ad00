"""One interleaving: a story on the chain, the product's actors around it, one seed - then calm, and the oracle.

The actors are what runs in production (`actors`). A seed also draws the weather: a process killed or a
connection cut at one step of one actor, in about half of all interleavings.
"""

from __future__ import annotations

import random
from contextlib import suppress

from controller.errors import Unavailable
from deposits.actors import cast, tell, weather
from deposits.oracle.judge import Verdict, judge
from deposits.scene import CALM_STEPS, Case, Play, Result, watch_all
from deposits.schedule import Scheduler
from deposits.stage import Stage

LOOK_AGAIN_MS = 61_000


def play(case: Case, seed: int, stage: Stage) -> Result:
    """Run one interleaving and judge it. The seed decides everything."""
    name = f"{case.name}:{seed}"
    rng = random.Random(f"weather {name}")
    mode = case.modes[seed % len(case.modes)]
    run = Scheduler(name, weather(case, mode, rng))
    played = Play(case, seed, stage, run)
    stage.begin(case.chains)
    played.settings = stage.settings(case.settings)
    if case.before:
        case.before(played)
    for chain in stage.chains[: case.chains]:
        chain.changed = run.stir
    run.add("chain", lambda: tell(played))
    cast(played)
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
