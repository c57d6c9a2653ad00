"""A loop for each watched chain, so that one that is slow or down holds no other up."""

from __future__ import annotations

import threading
from dataclasses import dataclass

from controller.errors import ChainUnavailable
from controller.services.alerts import clear_alert, raise_alert
from controller.services.deposits.watch import watch_once
from controller.services.deps import Deps
from controller.services.pricing import payment_addresses
from controller.worker.loops import Loop

UNREACHABLE_AFTER_MS = 120_000


def chain_loops(deps: Deps, stopping: threading.Event) -> tuple[Loop, ...]:
    """The watchers; each goes on at once while there is something to do, and pauses at the head."""
    return tuple(
        Loop(
            f"chain-{chain.chain_id}",
            Follower(deps, chain.chain_id, stopping).follow,
            chain.poll_ms / 1000,
            stopping,
        )
        for chain in deps.settings.chains
    )


@dataclass
class Follower:
    """Follows one chain; tells the operator when it has been unreachable for minutes, and when it is back."""

    deps: Deps
    chain_id: int
    stopping: threading.Event
    _down_since_ms: int | None = None
    _well: bool = False
    _accepted: bool = False

    def follow(self) -> int:
        """Step until there is nothing to do. Returns how much was done; nothing while payments are held.

        Raises:
            ChainUnavailable: the chain could not be read.
        """
        done = 0
        # Settings never change within a process: what was accepted stays so.
        self._accepted = self._accepted or payment_addresses.watch(self.deps)
        if not self._accepted:
            return 0
        try:
            while not self.stopping.is_set() and (step := watch_once(self.deps, self.chain_id)):
                done += step
        except ChainUnavailable as error:
            self._down(error.message)
            raise
        self._up()
        return done

    def _down(self, why: str) -> None:
        now_ms = self.deps.clock.now_ms()
        self._well = False
        if self._down_since_ms is None:
            self._down_since_ms = now_ms
        if now_ms - self._down_since_ms >= UNREACHABLE_AFTER_MS:
            with self.deps.database.begin() as db:
                raise_alert(db, "chain-unreachable", str(self.chain_id), why, now_ms)

    def _up(self) -> None:
        if self._well:
            return
        with self.deps.database.begin() as db:
            clear_alert(db, "chain-unreachable", str(self.chain_id), self.deps.clock.now_ms())
        self._well, self._down_since_ms = True, None
