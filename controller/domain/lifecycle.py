"""The life of a session: every transition is one function here, and nothing else changes a state.

    queued <-> starting -> running <-> grace -> ending -> ended,    starting -> failed

`detached` is a flag beside running and grace. Source: specification, *Launch a GPU session*; design 5.1.
Pure: instants come in as milliseconds of the server's clock; nothing here reads a clock or a table.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

State = Literal["queued", "starting", "running", "grace", "ending", "ended", "failed"]

LIVE: frozenset[str] = frozenset({"queued", "starting", "running", "grace", "ending"})
UP: frozenset[str] = frozenset({"running", "grace"})
FINAL: frozenset[str] = frozenset({"ended", "failed"})
IN_FLIGHT_MS = 2_000  # a heartbeat this soon after the close beacon was sent before it


class NotPossible(Exception):
    """The session is not in a state in which this can be done."""


@dataclass(frozen=True)
class Life:
    """The part of a session that the lifecycle decides on. All instants in ms."""

    state: State = "queued"
    detached: bool = False
    why: str = ""
    starting_at_ms: int | None = None
    ready_at_ms: int | None = None
    billed_to_ms: int | None = None
    bill_until_ms: int | None = None
    grace_until_ms: int | None = None
    seen_at_ms: int | None = None
    closed_at_ms: int | None = None
    ended_at_ms: int | None = None
    end_reason: str | None = None
    opened_at_ms: int | None = None


@dataclass(frozen=True)
class Change:
    """One transition: the life after it, and the event row that records it."""

    before: State | None
    life: Life
    event: str
    at_ms: int
    detail: dict[str, Any] = field(default_factory=dict)


Step = Callable[[Life, int], Change | None]


def claimed(now_ms: int, *, unwatched: bool = False) -> Change:
    """A new claim; it stands in the queue until GPUs are found. A shell is `unwatched` from the start."""
    return Change(None, Life(detached=unwatched, seen_at_ms=now_ms), "claimed", now_ms)


def started(life: Life, now_ms: int) -> Change:
    """GPUs were found: queued -> starting."""
    _need(life, "queued")
    return _change(life, "started", now_ms, state="starting", why="", starting_at_ms=now_ms)


def ready(life: Life, ready_at_ms: int, now_ms: int, absence_ms: int) -> Change:
    """The desktop is painted: starting -> running; billing begins at `ready_at_ms`.

    Detached where no page has been watching for `absence_ms`: its owner left while it waited.
    """
    _need(life, "starting")
    unwatched = life.seen_at_ms is None or now_ms - life.seen_at_ms > absence_ms
    return _change(
        life,
        "ready",
        now_ms,
        state="running",
        detached=life.detached or unwatched,
        ready_at_ms=ready_at_ms,
        billed_to_ms=ready_at_ms,
        seen_at_ms=max(ready_at_ms, now_ms),
    )


def failed(life: Life, why: str, now_ms: int) -> Change:
    """The desktop could not be started: starting -> failed; nothing is billed."""
    _need(life, "starting")
    return _change(life, "failed", now_ms, state="failed", why=why, ended_at_ms=now_ms, end_reason=why)


def requeued(life: Life, why: str, now_ms: int) -> Change:
    """The start failed for a reason that another start may not have: starting -> queued, in its old place."""
    _need(life, "starting")
    return _change(life, "requeued", now_ms, state="queued", why=why, starting_at_ms=None)


def detached(life: Life, now_ms: int) -> Change:
    """Left running on purpose; keeps running and billing without a browser."""
    _need(life, "running", "grace")
    opened_at_ms = now_ms if life.opened_at_ms is None else life.opened_at_ms
    return _change(life, "detached", now_ms, detached=True, closed_at_ms=None, opened_at_ms=opened_at_ms)


def attached(life: Life, now_ms: int) -> Change:
    """Somebody is back: ends a detach, and takes a close beacon back, which makes the gap billable."""
    _need(life, "running", "grace")
    return _change(life, "attached", now_ms, detached=False, closed_at_ms=None, seen_at_ms=now_ms)


def seen(life: Life, now_ms: int) -> Life:
    """A heartbeat is presence, not a transition; it takes back a close beacon unless sent before it."""
    _need(life, "queued", "starting", "running", "grace")
    returned = life.closed_at_ms is not None and now_ms - life.closed_at_ms > IN_FLIGHT_MS
    return replace(
        life,
        seen_at_ms=max(now_ms, life.seen_at_ms or 0),
        closed_at_ms=None if returned else life.closed_at_ms,
    )


def opened(life: Life, now_ms: int) -> Life:
    """The desktop is looked at, or the shell logged in to, for the first time; no transition either."""
    _need(life, "running", "grace")
    return replace(life, opened_at_ms=now_ms if life.opened_at_ms is None else life.opened_at_ms)


def closed(life: Life, now_ms: int) -> Change | None:
    """The tab said it closes: the reconnect window opens. None where a close means nothing.

    A desktop detached on purpose, a claim still queued or starting, and a second beacon are left alone.
    """
    if life.state not in UP or life.detached or life.closed_at_ms is not None:
        return None
    return _change(life, "closed", now_ms, closed_at_ms=now_ms)


def exhausted(life: Life, at_ms: int, grace_ms: int) -> Change:
    """The balance reached zero at `at_ms`: running -> grace, billing paused from that very instant."""
    _need(life, "running")
    return _change(
        life, "exhausted", at_ms, state="grace", billed_to_ms=at_ms, grace_until_ms=at_ms + grace_ms
    )


def topped_up(life: Life, now_ms: int) -> Change:
    """New credit in grace: grace -> running, billing goes on from now."""
    _need(life, "grace")
    resumed = max(now_ms, life.billed_to_ms or 0)
    return _change(life, "topped_up", now_ms, state="running", billed_to_ms=resumed, grace_until_ms=None)


def ending(life: Life, at_ms: int, reason: str, now_ms: int) -> Change:
    """The end was asked for or came due at `at_ms`; nothing after that instant is billed.

    A queued claim just leaves the queue (queued -> ended); all others end when the container is
    confirmed gone (starting, running, grace -> ending).
    """
    _need(life, "queued", "starting", "running", "grace")
    if life.state == "queued":
        return _change(life, "left_queue", now_ms, state="ended", ended_at_ms=now_ms, end_reason=reason)
    until = min(b for b in (at_ms, life.bill_until_ms, life.closed_at_ms) if b is not None)
    return _change(
        life, "ending", now_ms, state="ending", bill_until_ms=until, end_reason=reason, grace_until_ms=None
    )


def ended(life: Life, now_ms: int) -> Change:
    """The stop run confirmed that the container is gone: ending -> ended."""
    _need(life, "ending")
    return _change(life, "ended", now_ms, state="ended", ended_at_ms=now_ms)


def due(life: Life, now_ms: int, *, reconnect_ms: int, absence_ms: int) -> tuple[int, str] | None:
    """Whether the session must end by itself by now.

    Args:
        life: of a running or grace session.
        now_ms: server clock.
        reconnect_ms: how long a close beacon waits for a return.
        absence_ms: how long an undetached desktop may go unwatched.

    Returns:
        The instant up to which it counts as used, and the reason; None while it may go on.
    """
    if life.state not in UP:
        return None
    if life.closed_at_ms is not None and now_ms >= life.closed_at_ms + reconnect_ms:
        return life.closed_at_ms, "tab closed"
    if life.grace_until_ms is not None and now_ms >= life.grace_until_ms:
        return life.grace_until_ms, "grace period over"
    if not life.detached and life.seen_at_ms is not None and now_ms >= life.seen_at_ms + absence_ms:
        return life.seen_at_ms + absence_ms, "nobody was watching"
    return None


def unopened(life: Life, proof_ms: int, within_ms: int) -> int | None:
    """When a session ends because nobody has opened it; None while it may go on.

    Args:
        life: of a running or grace session.
        proof_ms: its last proof of life; what happened after that may not be known yet.
        within_ms: how long it waits to be opened.
    """
    if life.state not in UP or life.opened_at_ms is not None or life.ready_at_ms is None:
        return None
    at_ms = life.ready_at_ms + within_ms
    return at_ms if proof_ms >= at_ms else None


def given_up(life: Life, now_ms: int, keep_ms: int) -> bool:
    """Whether a claim leaves the queue: no page has watched it for that long. A shell needs no page."""
    return (
        life.state == "queued"
        and not life.detached
        and life.seen_at_ms is not None
        and now_ms >= life.seen_at_ms + keep_ms
    )


def billable_until(life: Life, proof_ms: int, absence_ms: int | None = None) -> int:
    """The instant up to which a session may be billed, given its last proof of life.

    The earliest of: the end instant, an open close beacon (a return makes the gap billable), the
    last proof of life, and the end of the absence that an unwatched desktop is given. Never before what
    is billed already. Source: design 4.7.

    Args:
        life: of the session.
        proof_ms: its last proof of life.
        absence_ms: as in `due`; None where whoever asks has just seen somebody, or knows the end.
    """
    away = None
    if absence_ms is not None and not life.detached and life.seen_at_ms is not None:
        away = life.seen_at_ms + absence_ms
    bounds = [b for b in (proof_ms, life.bill_until_ms, life.closed_at_ms, away) if b is not None]
    return max(min(bounds), life.billed_to_ms or 0)


def _need(life: Life, *states: State) -> None:
    if life.state not in states:
        raise NotPossible(f"a session that is {life.state} cannot do this")


def _change(life: Life, event: str, at_ms: int, **fields: Any) -> Change:
    return Change(life.state, replace(life, **fields), event, at_ms)
