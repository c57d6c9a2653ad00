"""The guard's loop: look, report, obey, and stop what has no lease any more. Runs without the controller too.

One step never waits for a desktop: stops and warnings run beside it. Whatever fails is tried again at the
next step, so a restart of dockerd, of the controller or of the guard itself needs no special case.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from controller.guard import clocks
from controller.guard.activity import Activity
from controller.guard.homes import Homes
from controller.guard.notify import deliver
from controller.guard.observe import Sight, again, look
from controller.guard.report import Controller, NoAnswer, Orders, Renewal, Warn
from controller.host import firewall, inputs, leftovers
from controller.host.config import HostConfig
from controller.host.engine import Engine
from controller.host.health import look as look_at_host
from controller.host.instants import now_ms
from controller.host.leases import Leases
from controller.host.probe import Known
from controller.host.request import StopRequest
from controller.host.steady import HostClock
from controller.host.stop import stop
from controller.host.words import HostRefused

log = logging.getLogger("axonos.guard")
STEP_MS = 2_000
MAX_BACK_OFF_MS = 4_000  # a controller that came back hears from every host within seconds
WALLS_EVERY_MS = 10_000
HEALTH_EVERY_MS = 30_000
STOP_TIMEOUT_S = 5


class Guard:
    """One host's guard."""

    def __init__(self, config: HostConfig, controller: Controller, clock: HostClock | None = None) -> None:
        """Args: the host; its connection to the controller; the controller's time as this host knows it."""
        self._config, self._controller = config, controller
        self._clock = clock or HostClock(config.run_dir)
        self._clock.keep()
        inputs.make_folder(config)
        self._since_boot = self._clock.since_boot
        self._leases = Leases(config.run_dir)
        self._engine = Engine(timeout_s=10)
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="guard")
        self._homes = Homes(config, self._since_boot, self._pool)
        self._activity = Activity(config, self._since_boot, self._pool)
        self._stops: dict[str, Future[Any]] = {}
        self._shown: dict[int, Future[bool]] = {}
        self._known: Known = {}
        self._unleased: set[str] = set()
        self._left: set[str] = set()
        self._links: set[str] = set()
        self._walls: str | None = None
        self._walls_at_ms = self._report_at_ms = self._health_at_ms = 0
        self._back_off_ms = 1_000

    def step(self, *, woken: bool = False) -> int:
        """Do everything that is due.

        Args:
            woken: a container started or ended; report now.

        Returns:
            In how many milliseconds to step again at the latest.
        """
        self._keep_walls()
        looked_at_ms = (
            self._clock.now_ms()
        )  # before the look: a desktop that dies during it has not lived longer
        try:
            left, links = leftovers.find(self._config, self._engine)
            sight = look(self._config, self._engine, self._known)
        except HostRefused as refused:
            log.warning("cannot look at the host: %s", refused)
            return 1_000
        if woken or self._since_boot() >= self._report_at_ms:
            self._report(sight, looked_at_ms)
        sight = again(sight, self._leases)
        self._enforce(sight)
        self._clear(sight.nobodys(left, self._leases), links - sight.bridges(self._config))
        return max(50, min(STEP_MS, self._report_at_ms - self._since_boot()))

    def _report(self, sight: Sight, at_ms: int) -> None:
        delivered = [key for key, future in self._shown.items() if future.done() and future.result()]
        try:
            asked_at_ms = self._since_boot()
            homes, seen, health = self._homes.counted(), self._activity.seen(), self._health()
            said = {"homes": homes, "activity": seen, "health": health}
            orders = self._controller.report(sight.report(), delivered, at_ms, **said)
        except NoAnswer as error:
            log.warning("no answer from the controller, next try in %d ms: %s", self._back_off_ms, error)
            self._report_at_ms = self._since_boot() + self._back_off_ms
            self._back_off_ms = min(2 * self._back_off_ms, MAX_BACK_OFF_MS)
            return
        if orders.now_ms is not None:
            self._clock.correct(orders.now_ms, asked_at_ms, self._since_boot())
        if health is not None:
            self._health_at_ms = self._since_boot() + HEALTH_EVERY_MS
        self._back_off_ms = 1_000
        self._report_at_ms = self._since_boot() + orders.next_ms
        self._shown = {key: future for key, future in self._shown.items() if not future.done()}
        self._obey(orders)
        if orders.measure:
            self._activity.look(sight.slots, at_ms)

    def _health(self) -> dict[str, Any] | None:
        """How the host is, when it is time to say so again."""
        due = self._since_boot() >= self._health_at_ms
        return look_at_host(self._config) if due else None

    def _obey(self, orders: Orders) -> None:
        for renewal in orders.leases:
            self._renew(renewal)
        for slot in orders.stop:
            self._stop(slot, "the controller asked")
        for warn in orders.warnings:
            self._warn(warn)
        for clock in orders.clocks:
            clocks.show(self._config, clock, now_ms())  # what the shell inside reads is the wall clock
        if orders.quotas is not None:
            self._homes.limit(orders.quotas)

    def _renew(self, renewal: Renewal) -> None:
        try:
            renewed = self._leases.renew(renewal.slot, renewal.fencing_token, renewal.until_ms)
        except OSError as error:  # a full disk must not stop desktops: the lease has minutes left
            log.error("slot %s: lease not written: %s", renewal.slot, error)  # noqa: TRY400
            return
        if not renewed:
            log.warning("slot %s: lease not renewed, its token is stale or it is over", renewal.slot)

    def _enforce(self, sight: Sight) -> None:
        """Stop what has outlived its lease, and what was seen twice without having one."""
        for slot in sight.expired(self._clock.now_ms()):
            # With the token seen: a start that has renewed the lease since has a newer one.
            self._stop(slot, "its lease has run out", sight.leases[slot].fencing_token)
        unleased = sight.unleased()
        for slot in unleased & self._unleased:
            self._stop(slot, "it has no lease")
        self._unleased = unleased

    def _clear(self, left: set[str], links: set[str]) -> None:
        """Take away what a crash left without container and lease, once it was seen twice."""
        for slot in left & self._left:
            self._stop(slot, "something of it was left behind")
        for link in links & self._links:
            log.info("bridge %s belongs to no network: removed", link)
            leftovers.remove_link(link)
        self._left, self._links = left, links

    def _stop(self, slot: str, why: str, token: int | None = None) -> None:
        running = self._stops.get(slot)
        if running is not None and not running.done():
            return
        log.info("slot %s is stopped: %s", slot, why)
        token = max(0, self._leases.newest_token(slot)) if token is None else token
        request = StopRequest(self._config.instance, slot, token, STOP_TIMEOUT_S)
        self._stops = {key: future for key, future in self._stops.items() if not future.done()}
        self._stops[slot] = self._pool.submit(self._stopped, request)

    def _stopped(self, request: StopRequest) -> None:
        try:
            stop(self._config, request)
        except (HostRefused, OSError) as refused:
            log.warning("slot %s could not be stopped: %s", request.slot, refused)

    def _warn(self, warn: Warn) -> None:
        if warn.id not in self._shown:
            self._shown[warn.id] = self._pool.submit(deliver, self._config, warn)

    def _keep_walls(self) -> None:
        """Put the firewall table back when it is missing or was changed."""
        if self._walls is not None and self._since_boot() < self._walls_at_ms:
            return
        self._walls_at_ms = self._since_boot() + WALLS_EVERY_MS
        try:
            if self._walls is None or firewall.listing(self._config.instance) != self._walls:
                firewall.load(self._config.instance)
                self._walls = firewall.listing(self._config.instance)
                log.info("firewall table put in place")
        except HostRefused as refused:
            log.error("%s", refused)  # noqa: TRY400 (the sentence is enough)

    def run(self, stopping: threading.Event, woken: threading.Event) -> None:
        """Step until told to stop; an event of the engine shortens the wait."""
        wait_ms = 0
        while not stopping.is_set():
            early = woken.wait(wait_ms / 1000)
            woken.clear()
            try:
                wait_ms = self.step(woken=early)
            except Exception:  # a guard that ends guards nothing
                log.exception("the step failed")
                wait_ms = 1_000
        self.close()

    def close(self) -> None:
        """Finish the stops that are under way."""
        self._pool.shutdown(wait=True)
        self._activity.close()
        self._engine.close()
