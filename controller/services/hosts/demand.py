"""What an elastic pool of hosts decides by: who waits and for how long, what is on each host. Reads only."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sqlalchemy import text

from controller.models.sessions import LIVE_STATES
from controller.services.deps import Deps
from controller.services.hosts import image_welcome

_WAITING = text(
    """
    SELECT s.gpus, s.claimed_at_ms, p.latest_ms, coalesce(p.broken_why, '') <> '', s.gpu_model
    FROM gpu_session s LEFT JOIN promise p ON p.session_id = s.id
    WHERE s.state = 'queued' ORDER BY s.claimed_at_ms, s.id
    """
)
_HOSTS = text(
    """
    SELECT h.name, h.state,
           count(s.id) FILTER (WHERE s.state = ANY(:live)) AS sessions,
           (SELECT count(*) FROM home
            WHERE home.host = h.name AND home.state <> 'gone' AND NOT :shared) AS homes,
           max(s.ended_at_ms) AS idle_since_ms
    FROM host h LEFT JOIN slot ON slot.host = h.name LEFT JOIN gpu_session s ON s.slot_id = slot.id
    GROUP BY h.name, h.state ORDER BY h.name
    """
)


@dataclass(frozen=True)
class Wait:
    """A queued claim; `latest_ms` is its promise, `broken` whether that cannot be kept.

    `gpu_model` is the only one it takes, empty for any.
    """

    gpus: int
    waiting_since_ms: int
    latest_ms: int | None
    broken: bool
    gpu_model: str


@dataclass(frozen=True)
class Load:
    """What is on a host; `idle_since_ms` is when its last session ended, None while one runs.

    `state` is `arriving` where it waits for its image and was never in use.
    """

    name: str
    state: str
    sessions: int
    homes: int
    idle_since_ms: int | None


@dataclass(frozen=True)
class Demand:
    """Both, at one instant."""

    now_ms: int
    waiting: list[Wait]
    hosts: list[Load]


def demand(deps: Deps) -> Demand:
    """Who waits, and what is on each host, removed ones too."""
    with deps.database.begin() as db:
        waiting = [Wait(*row) for row in db.connection().execute(_WAITING)]
        asked = {"live": list(LIVE_STATES), "shared": bool(deps.settings.storage.shared)}
        rows = [Load(*row) for row in db.connection().execute(_HOSTS, asked)]
        coming = set(image_welcome.arriving(db))
    rows = [replace(row, state="arriving") if row.name in coming else row for row in rows]
    return Demand(deps.clock.now_ms(), waiting, [_idle(row) for row in rows])


def _idle(load: Load) -> Load:
    return Load(
        load.name, load.state, load.sessions, load.homes, None if load.sessions else load.idle_since_ms
    )
