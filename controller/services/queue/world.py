"""Reads what the planner is told: hosts, sessions on GPUs, claims that wait. Writes nothing.

GPUs that are not free, whatever the reason, count as taken at least until a turnaround from now, so that a
plan never starts anybody on them.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Row, text
from sqlmodel import Session, col, select

from controller.domain.gpu_models import host_label
from controller.domain.planner import Host, Policy, Running, Slot, Waiting
from controller.domain.planner.bounds import Allowance, ends_by
from controller.models import GpuSession, Promise, QueuePlace
from controller.services.deps import Deps
from controller.services.homes import shared as home_shared
from controller.services.pool import waiting as pool
from controller.services.sessions import start_failures
from controller.services.sessions.start_failures import Rest
from controller.settings import Settings

MINUTE_MS = 60_000

_HOSTS = text(
    """
    SELECT g.host, array_agg(DISTINCT g.model) AS models,
           count(*) FILTER (WHERE g.state IN ('dirty', 'checked')) AS dirty,
           count(*) FILTER (WHERE g.state <> 'quarantined'
                            AND NOT (g.state = 'leased' AND coalesce(g.why, '') <> '')) AS gpus
    FROM gpu g JOIN host h ON h.name = g.host WHERE h.state = 'ready' GROUP BY g.host ORDER BY g.host
    """
)
_HOLDING = text(
    """
    SELECT slot.id AS slot, slot.host, g.count AS gpus, s.id, s.gpus AS burn, s.state, s.starting_at_ms,
           s.billed_to_ms, s.grace_until_ms, coalesce(a.credits - a.debits, 0) AS balance,
           p.bound_ms, p.until_ms, p.cut_for
    FROM (SELECT slot_id, count(*) FILTER (WHERE coalesce(why, '') = '') AS count FROM gpu
          WHERE state = 'leased' GROUP BY slot_id) g
    JOIN slot ON slot.id = g.slot_id
    LEFT JOIN gpu_session s ON s.slot_id = slot.id
    LEFT JOIN queue_place p ON p.session_id = s.id
    LEFT JOIN account a ON a.code = 'user:' || s.wallet
    WHERE g.count > 0
    ORDER BY slot.id
    """
)
_BALANCES = text(
    """
    SELECT s.id, coalesce(a.credits - a.debits, 0) FROM gpu_session s
    LEFT JOIN account a ON a.code = 'user:' || s.wallet WHERE s.state = 'queued'
    """
)


@dataclass(frozen=True)
class Claim:
    """A queued claim's rows, locked, and why it may have to leave a host alone for a moment."""

    row: GpuSession
    place: QueuePlace
    promise: Promise | None
    balance_gpu_ms: int
    rest: Rest | None


@dataclass(frozen=True)
class World:
    """What the planner is told at one instant. `known_bounds` are the bounds of the plan before."""

    now: int
    hosts: tuple[Host, ...]
    sessions: tuple[Running, ...]
    leaving: tuple[Running, ...]
    claims: tuple[Waiting, ...]
    rows: dict[str, Claim]
    known: dict[str, tuple[int | None, int | None]]

    @property
    def topped_up(self) -> frozenset[str]:
        """Sessions whose bound has risen since the plan before."""
        bounds = {s.id: s.bound for s in self.sessions}
        return frozenset(i for i, (bound, _) in self.known.items() if bound is not None and bounds[i] > bound)

    @property
    def fingerprint(self) -> int:
        """Equal while nothing has happened that a plan could depend on, but for the time."""
        held = [(s.id, s.host, s.gpus, s.bound, s.until) for s in self.sessions]
        claims = [(c.id, c.length, c.accept_bounded, c.accept_until, c.avoid) for c in self.claims]
        left = [(s.id, s.host, s.gpus) for s in self.leaving]
        return hash((self.hosts, tuple(held), tuple(claims), tuple(left)))


def read(deps: Deps, db: Session, *, lock: bool = True) -> World:
    """Everything at this instant.

    Args:
        deps: ports.
        db: open transaction; who wants to plan holds the placement lock.
        lock: keep the claims locked; not for those who only look.
    """
    now, connection = deps.clock.now_ms(), db.connection()
    warm = pool.usable(deps, db)
    found = connection.execute(_HOSTS).all()
    hosts = tuple(_host(h, warm.get(h.host, [])) for h in found)
    leaving = [Running(f"dirty:{h.host}", h.host, h.dirty, now, now) for h in found if h.dirty]
    sessions, known = [], {}
    for held in connection.execute(_HOLDING):
        session = _session(allowance(deps.settings), held, now)
        if session is None:
            leaving.append(Running(f"leaving:{held.slot}", held.host, held.gpus, now, now))
            continue
        sessions.append(session)
        known[held.id] = (held.bound_ms, held.until_ms)
    rows = _claims(deps, db, now, lock=lock)
    waiting = tuple(_waiting(deps.settings, claim, now) for claim in rows.values())
    return World(now, hosts, tuple(sessions), tuple(leaving), waiting, rows, known)


def _host(found: Row[tuple[object, ...]], warm: list[tuple[str, ...]]) -> Host:
    return Host(found.host, found.gpus, frozenset(map(len, warm)), host_label(found.models))


def allowance(settings: Settings) -> Allowance:
    """What every session may take beyond its balance."""
    return Allowance(settings.sessions.start_timeout_s * 1000, settings.sessions.grace_minutes * MINUTE_MS)


def policy(settings: Settings) -> Policy:
    """The operator's settings as the planner takes them."""
    queue = settings.queue
    return Policy(
        slack_share=queue.slack_percent / 100,
        slack_ms=queue.slack_minutes_per_gpu * MINUTE_MS,
        drain_after_ms=((8, queue.drain_max_minutes * MINUTE_MS), (4, queue.drain_large_minutes * MINUTE_MS)),
        firm_after_ms=queue.drain_firm_minutes * MINUTE_MS,
        firm_share=queue.drain_firm_percent / 100,
        hard_after_ms=queue.drain_hard_minutes * MINUTE_MS,
        least_guarantee_ms=queue.least_guarantee_minutes * MINUTE_MS,
        least_guarantee_share=queue.least_guarantee_percent / 100,
        extend_ms=queue.extend_minutes * MINUTE_MS,
        tries=queue.tries,
        turnaround_ms=queue.turnaround_s * 1000,
    )


def _session(allowed: Allowance, held: Row[tuple[object, ...]], now: int) -> Running | None:
    """A session that may go on; None for one that is ending, over, or about to be told so."""
    if held.state not in ("starting", "running", "grace") or held.cut_for is not None:
        return None
    bound = ends_by(
        allowed,
        balance_gpu_ms=int(held.balance),
        gpus=held.burn,
        starting_at_ms=held.starting_at_ms,
        billed_to_ms=held.billed_to_ms,
        grace_until_ms=held.grace_until_ms,
    )
    if bound <= now:
        return None
    until = bound if held.until_ms is None else min(bound, held.until_ms)
    return Running(held.id, held.host, held.gpus, bound, max(until, now))


def _claims(deps: Deps, db: Session, now: int, *, lock: bool) -> dict[str, Claim]:
    query = (
        select(GpuSession)
        .where(GpuSession.state == "queued")
        .order_by(col(GpuSession.claimed_at_ms), col(GpuSession.id))
    )
    query = query.with_for_update(key_share=True) if lock else query
    rows = {row.id: row for row in db.exec(query.execution_options(populate_existing=True))}
    if not rows:
        return {}
    ids = list(rows)
    places = {p.session_id: p for p in db.exec(select(QueuePlace).where(col(QueuePlace.session_id).in_(ids)))}
    promises = {p.session_id: p for p in db.exec(select(Promise).where(col(Promise.session_id).in_(ids)))}
    balances = {str(i): int(b) for i, b in db.connection().execute(_BALANCES).all()}
    rests = home_shared.keep_off(deps, db, ids, start_failures.resting(db, ids, now))
    return {
        i: Claim(row, places.get(i) or QueuePlace(session_id=i), promises.get(i), balances[i], rests.get(i))
        for i, row in rows.items()
    }


def _waiting(settings: Settings, claim: Claim, now: int) -> Waiting:
    row, place = claim.row, claim.place
    slot = None
    if place.host is not None and place.start_ms is not None and place.length_ms is not None:
        slot = Slot(place.host, place.start_ms, place.length_ms)
    hold_back = settings.queue.hold_back_s * 1000
    return Waiting(
        row.id,
        row.gpus,
        row.claimed_at_ms,
        allowance(settings).length(claim.balance_gpu_ms, row.gpus),
        claim.promise.latest_ms - hold_back if claim.promise else None,
        place.accept_bounded,
        slot,
        place.accept_until_ms or 0,
        claim.rest.hosts if claim.rest else frozenset(),
        now + start_failures.REST_MS if claim.rest else 0,
        row.gpu_model,
    )
