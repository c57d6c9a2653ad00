"""A loop for each watched chain, so that one that is slow or down holds no other up."""

from __future__ import annotations

import threading

from controller.services.deposits_watch import watch_once
from controller.services.deps import Deps
from controller.worker.loops import Loop


def chain_loops(deps: Deps, stopping: threading.Event) -> tuple[Loop, ...]:
    """The watchers; each goes on at once while there is something to do, and pauses at the head."""
    return tuple(_loop(deps, chain.chain_id, chain.poll_ms, stopping) for chain in deps.settings.chains)


def _loop(deps: Deps, chain_id: int, poll_ms: int, stopping: threading.Event) -> Loop:
    def follow() -> int:
        done = 0
        while not stopping.is_set() and (step := watch_once(deps, chain_id)):
            done += step
        return done

    return Loop(f"chain-{chain_id}", follow, poll_ms / 1000, stopping)
