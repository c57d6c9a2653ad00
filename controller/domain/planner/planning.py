"""One call's working state: where every waiting claim is planned, on timelines of what is taken.

`base` holds what sessions may count on; `full` holds the plan on top of it. The plan is valid at any
time: nothing in it overlaps, and no claim is planned after its promise unless a cause outside (a lost
host, an outage) left no other way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from controller.domain.gpu_models import suits, unsuited
from controller.domain.planner.likely import SHARE, likely_free
from controller.domain.planner.timeline import NEVER, Board, Timeline
from controller.domain.planner.words import Decision, Host, Policy, Running, Slot, Waiting

Slots = dict[str, Slot]


class Planning:
    """Plans the waiting claims, and plans them anew around what is to be changed."""

    def __init__(
        self,
        now: int,
        hosts: Sequence[Host],
        sessions: Iterable[Running],
        claims: Iterable[Waiting],
        policy: Policy,
    ) -> None:
        """Args: the instant; hosts that take sessions; sessions on them; queued claims; the policy."""
        names = {host.name for host in hosts}
        self._labels = {host.name: host.model for host in hosts}
        self._unsuited: dict[str, frozenset[str]] = {}
        self.warm = {host.name: host.warm for host in hosts}
        self.now, self.policy, self.turnaround = now, policy, policy.turnaround_ms
        self.sessions = [session for session in sessions if session.host in names]
        self.until = {session.id: session.until for session in self.sessions}
        # A claim that no host of today can hold waits without a place or a promise.
        largest: dict[str, int] = {}
        fitting = (claim for claim in claims if claim.gpus <= _largest(hosts, claim.model, largest))
        self.waiting = {c.id: c for c in sorted(fitting, key=lambda c: (c.arrived, c.id))}
        self.promises = {c.id: c.promise for c in self.waiting.values() if c.promise is not None}
        self.tries = policy.tries
        self.decision = Decision()
        self.base = self._taken(hosts)
        self.drained = self._due_a_drain()
        self.slots: Slots = {}
        self.full = self.base
        self._plan()
        self._promise()

    def _taken(self, hosts: Sequence[Host]) -> Board:
        taken: dict[str, list[tuple[int, int]]] = {host.name: [] for host in hosts}
        for session in self.sessions:
            taken[session.host].append((session.until + self.turnaround, session.gpus))
        return Board({host.name: Timeline.of(self.now, host.gpus, taken[host.name]) for host in hosts})

    def _due_a_drain(self) -> Waiting | None:
        """The oldest large claim that has waited long enough for a host to be drained for it."""
        patience = dict(self.policy.drain_after_ms)
        for claim in self.waiting.values():
            if claim.gpus in patience and self.now - claim.arrived >= patience[claim.gpus]:
                return claim
        return None

    @property
    def firm(self) -> bool:
        """Whether the drained claim has waited so long that others may only stay briefly on its host."""
        patience = min(self.policy.firm_after_ms, self.policy.hard_after_ms)
        return self.drained is not None and self.now - self.drained.arrived >= patience

    def closes_at(self, claim: Waiting, slot: Slot) -> int:
        """From when on a claim's place keeps others away: its start; under a firm drain earlier."""
        if claim is not self.drained or not self.firm:
            return slot.start
        hard = self.now - claim.arrived >= self.policy.hard_after_ms
        return self.now if hard else self.now + int(self.policy.firm_share * (slot.start - self.now))

    def open_until(self, claim: Waiting, host: str) -> int:
        """Until when a claim may stay on a host, for all that a firm drain says."""
        if self.drained is None or self.drained is claim or not self.firm:
            return NEVER
        own, drain = self.slots[claim.id], self.slots[self.drained.id]
        goes_ahead = own.host == host and own.start < drain.start
        return NEVER if drain.host != host or goes_ahead else self.closes_at(self.drained, drain)

    def _plan(self) -> None:
        """Plan the drained claim first, or behind those that would break a promise, then the rest by promise.

        Failing that, plan without the drain; failing that, keep the stored plan, which is always valid,
        and only move claims earlier in it.
        """
        if self.drained and self._plan_drained(self.drained):
            return
        self.drained = None
        if not self.replan(self.base, self.by_promise()):
            self._pull_earlier()

    def _plan_drained(self, drained: Waiting) -> bool:
        """Whoever would miss a promise goes ahead of the drained claim, each by a plan made anew."""
        ahead: list[Waiting] = []
        order = self.by_promise()
        for _ in range(self.policy.ahead_of_drain + 1):
            late = self._late(self.base, [*(c for c in order if c in ahead), drained, *order])
            if late is None:
                return True
            if late is drained or late in ahead:
                return False
            ahead.append(late)
        return False

    def by_promise(self) -> list[Waiting]:
        """The claims that wait, earliest promise first; new claims last, as they came."""
        return sorted(self.waiting.values(), key=lambda c: (self.promises.get(c.id, NEVER), c.arrived))

    def replan(self, base: Board, order: Iterable[Waiting], kept: Slots | None = None) -> bool:
        """Plan all claims anew, each at its earliest place, and take that plan if it keeps every promise.

        Args:
            base: what is taken already; taken over with the plan.
            order: the claims, most important first; one that comes twice counts once.
            kept: places that must stay as they are.
        """
        return self._late(base, order, kept) is None

    def _late(self, base: Board, order: Iterable[Waiting], kept: Slots | None = None) -> Waiting | None:
        """As `replan`; the first claim without a place in time, None where the plan was taken."""
        board, slots = base.copy(), dict(kept or {})
        for claim_id, slot in slots.items():
            if not self._put(board, self.waiting[claim_id], slot):
                return self.waiting[claim_id]
        for claim in order:
            if claim.id in slots:
                continue
            if claim is self.drained and claim.id in self.promises:
                found = self._to_drain(base, board, claim)
            else:
                found = self._earliest(board, claim, claim.length, self._latest(claim))
            if found is None or not self._put(board, claim, found):
                return claim
            slots[claim.id] = found
        self.slots, self.base = slots, base
        self.full = self._board_of(slots) if self.firm else board
        return None

    def _to_drain(self, base: Board, board: Board, claim: Waiting) -> Slot | None:
        """The host where the claim will probably start first; it keeps its place rather than win little."""
        length, shut = claim.length + self.turnaround, self._shut(claim)
        emptied = dict(base.earliest_of_each(claim.gpus, length, NEVER - 1, shut))
        rooms = board.earliest_of_each(claim.gpus, length, self._latest(claim), shut)

        def wait(room: tuple[str, int]) -> tuple[float, int]:
            host, start = room
            freed = base.hosts[host].freed(claim.gpus)
            # Whoever is planned there before the claim also goes long before it must.
            likely = likely_free(*freed) + (start - emptied[host]) / SHARE
            stays = claim.slot is not None and claim.slot.host == host
            return self.policy.drain_wait(likely, start - self.now, stays=stays), start

        found = min(rooms, key=wait, default=None)
        return found and Slot(*found, claim.length)

    def _shut(self, claim: Waiting) -> dict[str, int]:
        """Hosts that a claim must not be planned on, and until when."""
        return dict.fromkeys(claim.avoid, claim.avoid_until) | dict.fromkeys(self.elsewhere(claim), NEVER)

    def _latest(self, claim: Waiting) -> int:
        """The promise; one that is over already (a cause outside) no longer binds the others."""
        promise = self.promises.get(claim.id, NEVER)
        return promise if self.now <= promise < NEVER else NEVER - 1

    def _earliest(self, board: Board, claim: Waiting, length: int, latest: int) -> Slot | None:
        found = board.earliest(claim.gpus, length + self.turnaround, latest, self._shut(claim))
        return found and Slot(found[0], found[1], length)

    def _put(self, board: Board, claim: Waiting, slot: Slot) -> bool:
        """Take a slot's GPUs if they are free all along; a firm drain closes its host to later comers."""
        length = slot.length + self.turnaround
        if (
            slot.host not in board.hosts
            or board.room(slot.host, slot.start, claim.gpus) < slot.start + length
        ):
            return False
        board.take(slot.host, slot.start, length, claim.gpus)
        if claim is self.drained and self.firm:
            board.close(slot.host, self.closes_at(claim, slot), slot.start)
        return True

    def _board_of(self, slots: Slots) -> Board:
        """The plan without what a drain closes: that binds who starts, not who is there."""
        board = self.base.copy()
        for claim_id, slot in slots.items():
            board.take(slot.host, slot.start, slot.length + self.turnaround, self.waiting[claim_id].gpus)
        return board

    def _pull_earlier(self) -> None:
        board, order = self.base.copy(), self.by_promise()
        slots = {c.id: c.slot for c in order if c.slot and self._still_good(board, c, c.slot)}
        for claim in order:
            stored = slots.get(claim.id)
            if stored:
                board.give(stored.host, stored.start, stored.length + self.turnaround, claim.gpus)
            length, latest = (stored.length, stored.start) if stored else (claim.length, NEVER - 1)
            found = self._earliest(board, claim, length, latest)
            if found and self._put(board, claim, found):
                slots[claim.id] = found
        self.slots, self.full = slots, board

    def _still_good(self, board: Board, claim: Waiting, slot: Slot) -> bool:
        suited = slot.host not in self.elsewhere(claim)
        return suited and slot.start >= self.now and self._put(board, claim, slot)

    def _promise(self) -> None:
        """New claims were planned last; their promise is their planned wait with slack, written once."""
        for claim_id, slot in self.slots.items():
            if claim_id not in self.promises:
                slack = self.policy.slack(slot.start - self.now, self.waiting[claim_id].gpus)
                self.promises[claim_id] = slot.start + slack

    def elsewhere(self, claim: Waiting) -> frozenset[str]:
        """Hosts of another model than the claim asks for."""
        if claim.model not in self._unsuited:
            self._unsuited[claim.model] = unsuited(claim.model, self._labels)
        return self._unsuited[claim.model]

    def begin(self, claim_id: str) -> tuple[Waiting, Slot]:
        """The claim's slot becomes a session: it no longer waits, its GPUs are taken from now on."""
        claim, slot = self.waiting.pop(claim_id), self.slots.pop(claim_id)
        self.base.take(slot.host, slot.start, slot.length + self.turnaround, claim.gpus)
        if claim is self.drained:
            self.drained = None
        return claim, slot


def _largest(hosts: Sequence[Host], model: str, known: dict[str, int]) -> int:
    """How many GPUs the largest host has that suits the model; remembered in `known`."""
    if model not in known:
        known[model] = max((host.gpus for host in hosts if suits(model, host.model)), default=0)
    return known[model]
