"""The launch page's picture of the GPUs over time, from what the last plan has written. Reads only."""

from __future__ import annotations

from dataclasses import dataclass

from controller.domain.planner.picture import HostPicture, picture
from controller.services.deps import Deps
from controller.services.queue import world as queue_world
from controller.services.queue.world import MINUTE_MS

HORIZON_MS = 720 * MINUTE_MS
BEYOND_MS = 60 * MINUTE_MS  # what is drawn of the reader's own place where that begins later
DRAWN_HOSTS = 12


@dataclass(frozen=True)
class QueuePicture:
    """Hosts as they are drawn; of many, those where something frees up first. `waiting`: how many wait."""

    now_ms: int
    until_ms: int
    waiting: int
    hosts: list[HostPicture]
    more_hosts: int


def drawn(deps: Deps, wallet: str) -> QueuePicture:
    """The GPUs from now on, as this wallet may see them: counts, and its own place."""
    with deps.database.begin() as db:
        world = queue_world.read(deps, db, lock=False)
        mine = {i for i, claim in world.rows.items() if claim.row.wallet == wallet}
    places = [(c.gpus, c.slot, c.id in mine) for c in world.claims if c.slot is not None]
    own = max((slot.start + BEYOND_MS - world.now for _, slot, yours in places if yours), default=0)
    horizon = max(HORIZON_MS, own)
    sessions = (*world.sessions, *world.leaving)
    hosts = picture(world.now, world.hosts, sessions, places, horizon_ms=horizon)
    first = sorted(hosts, key=lambda host: (not any(step.yours for step in host.steps), len(host.steps) < 2))
    return QueuePicture(
        world.now,
        world.now + horizon,
        len(world.rows),
        first[:DRAWN_HOSTS],
        max(0, len(hosts) - DRAWN_HOSTS),
    )
